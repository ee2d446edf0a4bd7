package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import io.github.textpoke.apply.ProgramEnd;
import io.github.textpoke.x86.probe.EarlyProbes;
import io.github.textpoke.x86.probe.ProbeSnapshot.Counted;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.Comparator;
import java.util.List;

/**
 * What was counted in a program, from its first instruction to its end, and in those that it and
 * its children have executed.
 */
record ProbedProgram(
    List<String> command, ProgramEnd end, EarlyProbes probes, List<ProbedChild> children)
    implements Result {
  @Override
  public void text(PrintWriter out) {
    text(probes, out);
    for (ProbedChild each : children) {
      out.println(each.title());
      each.probes().ifPresent(probing -> text(probing, out));
    }
  }

  private static void text(EarlyProbes probes, PrintWriter out) {
    List<Counted> called =
        probes.snapshot().functions().stream()
            .filter(each -> each.count() > 0)
            .sorted(Comparator.comparingLong(each -> -each.count()))
            .toList();
    if (!called.isEmpty()) {
      boolean isTimed = called.get(0).latencies().isPresent();
      TextTable table =
          isTimed
              ? new TextTable("calls", "p50", "p99", "function")
              : new TextTable("calls", "function");
      for (Counted each : called) {
        String count = "%,d".formatted(each.count());
        String name = each.function().name();
        each.latencies()
            .ifPresentOrElse(
                times ->
                    table.row(count, Output.nanos(times.p50()), Output.nanos(times.p99()), name),
                () -> table.row(count, name));
      }
      table.print(out);
    }
    out.printf(
        "%s of %s called%n",
        called.size(), Output.count(probes.functions().size(), "function was", "functions were"));
    probes
        .unprobed()
        .forEach(each -> out.printf("not probed: %s: %s%n", each.name(), each.reason()));
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("command").beginArray();
    for (String word : command) {
      json.value(word);
    }
    json.endArray();
    json.name("exitCode").value(end.shellCode());
    json.name("signal").value(end.signal());
    json(probes, json);
    if (!children.isEmpty()) {
      json.name("children").beginArray();
      for (ProbedChild each : children) {
        json.beginObject();
        json.name("pid").value(each.program().pid());
        json.name("program").value(each.program().file().toString());
        if (each.program().failure().isPresent()) {
          json.name("failure").value(each.program().failure().get().getMessage());
        }
        if (each.probes().isPresent()) {
          json(each.probes().get(), json);
        }
        json.endObject();
      }
      json.endArray();
    }
  }

  private static void json(EarlyProbes probes, JsonWriter json) throws IOException {
    Probed.json(json, probes.snapshot().functions(), probes.unprobed());
  }
}
