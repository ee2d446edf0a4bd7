package io.github.textpoke.benchmarks;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.x86.livepatch.LivePatches;
import io.github.textpoke.x86.livepatch.LoadedPatch;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * How long it takes to load a live patch of a thousand functions, to enable and to disable it,
 * while clients call the functions. Each process is a new one; the first has a JVM that has never
 * done so.
 */
public final class ThousandFunctions {
  private static final Duration LOAD_SAMPLE = Duration.ofMillis(500);
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final int LATER = 9;
  private static final int ANSWERS = 1000;
  private static final String ROW = "%-18s %6s  %-22s %-22s %-22s%n";

  private ThousandFunctions() {}

  /** Times in milliseconds. */
  private static final class Times {
    private final List<Double> load = new ArrayList<>();
    private final List<Double> enable = new ArrayList<>();
    private final List<Double> disable = new ArrayList<>();
  }

  /**
   * {@code --processes N}: 5 unless said. Ends the JVM with 2 if it is wrong, with 1 if something
   * fails.
   */
  public static void main(String[] words) {
    int processes = 5;
    try {
      Arguments arguments = new Arguments(List.of(words));
      while (arguments.hasNext()) {
        switch (arguments.next()) {
          case "--processes" -> processes = arguments.number(1, 1000);
          default -> throw arguments.unknown();
        }
      }
    } catch (IllegalArgumentException wrong) {
      System.err.println("bench: " + wrong.getMessage());
      System.exit(2);
      return;
    }
    TargetProcess.ensureAvailability();
    System.out.printf(
        "a live patch of 1000 functions; 4 clients call them; %d processes; machine %d%% busy with"
            + " others before%n%n",
        processes, MachineLoad.percentDuring(LOAD_SAMPLE));
    Times firstOfAll = new Times();
    Times first = new Times();
    Times later = new Times();
    visit(firstOfAll, later);
    later.enable.clear();
    later.disable.clear();
    for (int i = 0; i < processes; i++) {
      visit(first, later);
    }
    System.out.printf(ROW, "median ms (max)", "times", "load", "enable", "disable");
    print("first of JVM", firstOfAll);
    print("first of process", first);
    print("later", later);
    System.out.printf(
        "%nmachine %d%% busy with others after%n", MachineLoad.percentDuring(LOAD_SAMPLE));
  }

  private static void visit(Times first, Times later) {
    try (Fixture service = Fixture.start("service");
        Fixture load =
            Fixture.start(
                "service_load",
                "--service",
                Integer.toString(service.pid()),
                "--operations",
                "u",
                "--per-second",
                "0");
        TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      long start = System.nanoTime();
      LoadedPatch patch = patches.load(Fixture.program("service_thousand.so"));
      first.load.add((System.nanoTime() - start) / 1e6);
      for (int i = 0; i <= LATER; i++) {
        Times times = i == 0 ? first : later;
        start = System.nanoTime();
        patch.enable();
        times.enable.add((System.nanoTime() - start) / 1e6);
        load.awaitCounter("unit_v2", load.counter("unit_v2") + ANSWERS, PATIENCE);
        start = System.nanoTime();
        patch.disable();
        times.disable.add((System.nanoTime() - start) / 1e6);
        load.awaitCounter("unit_v1", load.counter("unit_v1") + ANSWERS, PATIENCE);
      }
      service.assertHealthy();
      load.assertHealthy();
    }
  }

  private static void print(String name, Times times) {
    System.out.printf(
        ROW, name, times.enable.size(), text(times.load), text(times.enable), text(times.disable));
  }

  private static String text(List<Double> millis) {
    if (millis.isEmpty()) {
      return "";
    }
    double[] values = millis.stream().mapToDouble(Double::doubleValue).toArray();
    return String.format(
        Locale.ROOT,
        "%.1f (%.1f)",
        Ratios.medianOf(values),
        Arrays.stream(values).max().orElseThrow());
  }
}
