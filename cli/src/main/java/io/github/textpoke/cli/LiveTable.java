package io.github.textpoke.cli;

import io.github.textpoke.x86.probe.ProbeSnapshot;
import io.github.textpoke.x86.probe.ProbeSnapshot.Counted;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Comparator;
import java.util.stream.IntStream;

/** The functions that are called most, drawn anew over what was drawn before, on stderr. */
final class LiveTable {
  private static final int ROWS = 20;

  private final boolean isShown;
  private String ending = "Ctrl-C";
  private int drawn;

  private LiveTable(boolean isShown) {
    this.isShown = isShown;
  }

  /** Whether it shows anything. */
  boolean isShown() {
    return isShown;
  }

  /** It says that a key ends it too. */
  void endsBy(char key) {
    ending = key + " or Ctrl-C";
  }

  /** One that shows nothing where stderr is no terminal, or somebody else reads the output. */
  static LiveTable onTerminal(boolean json) {
    return new LiveTable(!json && Progress.stderrIsTerminal());
  }

  void show(ProbeSnapshot before, ProbeSnapshot now) {
    if (!isShown) {
      return;
    }
    clear();
    String text = text(before, now, ending);
    drawn = (int) text.lines().count();
    System.err.print(text);
    System.err.flush();
  }

  /** What one drawing shows. */
  private static String text(ProbeSnapshot before, ProbeSnapshot now, String ending) {
    double seconds = (now.nanos() - before.nanos()) / 1e9;
    boolean isTimed = now.functions().stream().anyMatch(each -> each.latencies().isPresent());
    TextTable table =
        isTimed
            ? new TextTable("calls/s", "calls", "p50", "p99", "function")
            : new TextTable("calls/s", "calls", "function");
    IntStream.range(0, now.functions().size())
        .filter(i -> now.functions().get(i).count() > 0)
        .boxed()
        .sorted(Comparator.comparingLong(i -> -calls(before, now, i)))
        .limit(ROWS)
        .forEach(
            i -> {
              Counted each = now.functions().get(i);
              String rate = "%,.0f".formatted(calls(before, now, i) / seconds);
              String count = "%,d".formatted(each.count());
              String name = each.function().name();
              each.latencies()
                  .map(times -> times.since(before.functions().get(i).latencies().orElseThrow()))
                  .ifPresentOrElse(
                      times ->
                          table.row(
                              rate,
                              count,
                              Output.nanos(times.p50()),
                              Output.nanos(times.p99()),
                              name),
                      () -> table.row(rate, count, name));
            });
    StringWriter text = new StringWriter();
    PrintWriter out = new PrintWriter(text);
    table.print(out);
    out.printf("%s ends it and takes all probes back%n", ending);
    out.flush();
    return text.toString();
  }

  private static long calls(ProbeSnapshot before, ProbeSnapshot now, int i) {
    return now.functions().get(i).count() - before.functions().get(i).count();
  }

  /** Takes away what was drawn. */
  void clear() {
    if (drawn > 0) {
      System.err.printf("\u001b[%dA\r\u001b[J", drawn);
      System.err.flush();
      drawn = 0;
    }
  }
}
