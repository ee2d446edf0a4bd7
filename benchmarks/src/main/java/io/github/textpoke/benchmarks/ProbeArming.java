package io.github.textpoke.benchmarks;

import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.x86.probe.Probe;
import io.github.textpoke.x86.probe.ProbeAction;
import io.github.textpoke.x86.probe.Probes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * How long it takes to arm and to disarm a probe on thousands of functions of the C library at
 * once, while the threads of a program call them, and whether a call is lost. What is planned with
 * the probe is not part of it.
 */
final class ProbeArming {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);
  private static final int PROCESSORS = Runtime.getRuntime().availableProcessors();
  private static final int ROUNDS = 100;
  private static final int FIRST = 3;
  private static final double MOST_MILLIS = 50;

  /** Some two thousand functions, and all. */
  private static final List<String> GLOBS = List.of("libc:*s*", "libc:*");

  private static final String ROW = "%-9s %7s %-7s %7s %7s %7s %10s  %-24s %s%n";

  /** Times in milliseconds; those of the engine in the target are a part of the whole. */
  private static final class Times {
    private final List<Double> whole = new ArrayList<>();
    private final List<Double> engine = new ArrayList<>();

    void add(long nanos, List<ApplyReport> reports) {
      whole.add(nanos / 1e6);
      engine.add(reports.stream().mapToLong(ApplyReport::nanos).sum() / 1e6);
    }

    void print(int functions, int threads, String what) {
      System.out.printf(
          ROW,
          functions,
          threads,
          what,
          millis(median(whole)),
          millis(percentile(whole, 0.99)),
          millis(Collections.max(whole)),
          millis(median(engine)),
          String.join(" ", whole.subList(0, FIRST).stream().map(Times::millis).toList()),
          whole.stream().filter(time -> time >= MOST_MILLIS).count());
    }

    private static String millis(double value) {
      return "%.1f".formatted(value);
    }

    private static double median(List<Double> values) {
      return Ratios.medianOf(values.stream().mapToDouble(Double::doubleValue).toArray());
    }

    private static double percentile(List<Double> values, double part) {
      List<Double> sorted = values.stream().sorted().toList();
      return sorted.get((int) Math.ceil(part * sorted.size()) - 1);
    }
  }

  private ProbeArming() {}

  static void run() {
    System.out.printf(
        "%nfunctions of libc armed and disarmed in one plan, %d times, while threads of a program"
            + " call them on %d processors%n%n",
        ROUNDS, PROCESSORS);
    System.out.printf(
        ROW,
        "functions",
        "threads",
        "ms",
        "median",
        "p99",
        "max",
        "in target",
        "first",
        "%.0f ms or more".formatted(MOST_MILLIS));
    for (String glob : GLOBS) {
      for (int threads : List.of(PROCESSORS, 2 * PROCESSORS)) {
        run(glob, threads);
      }
    }
  }

  private static void run(String glob, int threads) {
    Times arm = new Times();
    Times disarm = new Times();
    try (Fixture program =
            Fixture.start(
                "probed", "--function", "llabs", "--busy", "--threads", Integer.toString(threads));
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at(glob, ProbeAction.count());
      program.command("go");
      for (int round = 0; round < ROUNDS; round++) {
        long begun = System.nanoTime();
        List<ApplyReport> reports = probe.arm();
        arm.add(System.nanoTime() - begun, reports);
        awaitCalls(program, "through");
        begun = System.nanoTime();
        reports = probe.disarm();
        disarm.add(System.nanoTime() - begun, reports);
        awaitCalls(program, "calls");
        program.assertHealthy();
      }
      program.command("stop");
      program.awaitCounter("stopped", threads, TIMEOUT);
      program.assertHealthy();
      arm.print(probe.functions().size(), threads, "arm");
      disarm.print(probe.functions().size(), threads, "disarm");
      long through = program.counter("through");
      long counted = probe.snapshot().count("llabs");
      if (counted != through) {
        throw new IllegalStateException(
            "of %d calls that came by way of the probe %d were counted"
                .formatted(through, counted));
      }
    }
  }

  private static void awaitCalls(Fixture program, String counter) {
    program.awaitCounter(counter, program.counter(counter) + 10, TIMEOUT);
  }
}
