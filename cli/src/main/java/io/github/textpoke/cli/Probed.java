package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import io.github.textpoke.x86.probe.Latencies;
import io.github.textpoke.x86.probe.Probe;
import io.github.textpoke.x86.probe.ProbeAction;
import io.github.textpoke.x86.probe.ProbeSnapshot;
import io.github.textpoke.x86.probe.ProbeSnapshot.Counted;
import io.github.textpoke.x86.probe.ProbeStand;
import io.github.textpoke.x86.probe.UnprobedFunction;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.Comparator;
import java.util.List;

/**
 * What a probe has counted.
 *
 * @param first when it was armed
 * @param last when it was taken back
 */
record Probed(int pid, String pattern, Probe probe, ProbeSnapshot first, ProbeSnapshot last)
    implements Result {

  private double seconds() {
    return (last.nanos() - first.nanos()) / 1e9;
  }

  private List<Counted> called() {
    return last.functions().stream()
        .filter(each -> each.count() > 0)
        .sorted(Comparator.comparingLong(each -> -each.count()))
        .toList();
  }

  @Override
  public void text(PrintWriter out) {
    List<Counted> called = called();
    boolean isTimed = probe.action() instanceof ProbeAction.Latency;
    TextTable table =
        isTimed
            ? new TextTable("calls", "calls/s", "p50", "p99", "function")
            : new TextTable("calls", "calls/s", "function");
    for (Counted each : called) {
      String count = "%,d".formatted(each.count());
      String rate = "%,.0f".formatted(each.count() / seconds());
      String name = each.function().name();
      each.latencies()
          .ifPresentOrElse(
              times ->
                  table.row(
                      count, rate, Output.nanos(times.p50()), Output.nanos(times.p99()), name),
              () -> table.row(count, rate, name));
    }
    table.print(out);
    out.printf(
        "%s of %s called in %.3f s%n",
        called.size(),
        Output.count(probe.functions().size(), "function was", "functions were"),
        seconds());
    probe.functions().stream()
        .filter(each -> each.stand() instanceof ProbeStand.Breakpoint)
        .forEach(each -> out.printf("%s: %s%n", each.name(), each.stand()));
    probe
        .unprobed()
        .forEach(each -> out.printf("not probed: %s: %s%n", each.name(), each.reason()));
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("pid").value(pid);
    json.name("pattern").value(pattern);
    json.name("nanos").value(last.nanos() - first.nanos());
    json(json, last.functions(), probe.unprobed());
  }

  /** What was counted of functions, and which ones were not probed. */
  static void json(JsonWriter json, List<Counted> functions, List<UnprobedFunction> unprobed)
      throws IOException {
    json.name("functions").beginObject();
    for (Counted each : functions) {
      json.name(each.function().name()).beginObject();
      json.name("address").value(Output.hex(each.function().address()));
      json.name("count").value(each.count());
      if (each.function().stand() instanceof ProbeStand.Breakpoint stand) {
        json.name("int3").value(stand.reason());
      }
      if (each.latencies().isPresent()) {
        Latencies times = each.latencies().get();
        json.name("timed").value(times.count());
        json.name("p50").value(times.p50());
        json.name("p99").value(times.p99());
        json.name("max").value(times.max());
      }
      json.endObject();
    }
    json.endObject();
    json.name("unprobed").beginArray();
    for (UnprobedFunction each : unprobed) {
      json.beginObject();
      json.name("name").value(each.name());
      json.name("address").value(Output.hex(each.address()));
      json.name("reason").value(each.reason());
      json.endObject();
    }
    json.endArray();
  }
}
