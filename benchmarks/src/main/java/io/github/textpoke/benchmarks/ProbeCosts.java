package io.github.textpoke.benchmarks;

import com.google.common.base.Splitter;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.x86.probe.Probe;
import io.github.textpoke.x86.probe.ProbeAction;
import io.github.textpoke.x86.probe.Probes;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * What a call of one function takes: bare, with our counter, with our histogram, with the kernel's
 * uprobe at its entry and its return (perf_event_open(2), events that only count), and by uftrace,
 * which records each call. All in turn, in one run.
 */
public final class ProbeCosts {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);
  private static final Duration LOAD_SAMPLE = Duration.ofMillis(500);
  private static final int ROUNDS = 5;
  private static final int CALLS = 1_000_000;

  /** Of what takes much longer: the kernel takes traps. */
  private static final int FEW_CALLS = 10_000;

  /** Of what takes longer. */
  private static final int FEWER_CALLS = 100_000;

  private static final double MOST_COUNTER_NANOS = 12;
  private static final double MOST_HISTOGRAM_NANOS = 60;

  private static final String BARE = "bare call";
  private static final String COUNTER = "entry counter";
  private static final String HISTOGRAM = "entry and return, histogram";
  private static final String UPROBE = "kernel uprobe";
  private static final String URETPROBE = "kernel uretprobe";
  private static final String UFTRACE = "uftrace";

  private final Fixture program = Fixture.start("timed", "--threads", "1");
  private final Path tools;
  private final Map<String, List<Double>> nanos = new LinkedHashMap<>();
  private final Map<String, String> missing = new LinkedHashMap<>();
  private long measured;

  private ProbeCosts(Path tools) {
    this.tools = tools;
  }

  /** {@code --tools FOLDER}: where uprobe and traced are. */
  public static void main(String[] words) {
    Path tools = Path.of("benchmarks/target");
    try {
      Arguments arguments = new Arguments(List.of(words));
      while (arguments.hasNext()) {
        switch (arguments.next()) {
          case "--tools" -> tools = Path.of(arguments.value());
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
        "a call of one function, %d rounds in turn, the shortest of 7 runs each; machine %d%% busy"
            + " with others before%n%n",
        ROUNDS, MachineLoad.percentDuring(LOAD_SAMPLE));
    new ProbeCosts(tools.toAbsolutePath()).run();
    ProbeArming.run();
  }

  private void run() {
    try (Fixture target = program;
        TargetProcess process = TargetProcess.attach(target.pid())) {
      Probes probes = Probes.in(process);
      Probe counter = probes.at("timed:cost", ProbeAction.count());
      Probe histogram = probes.at("timed:cost", ProbeAction.latency());
      for (int round = 0; round < ROUNDS; round++) {
        add(BARE, inFixture(CALLS));
        counter.arm();
        add(COUNTER, inFixture(CALLS));
        counter.disarm();
        histogram.arm();
        add(HISTOGRAM, inFixture(CALLS));
        histogram.disarm();
        kernel(UPROBE, "entry");
        kernel(URETPROBE, "return");
        uftrace();
      }
      print();
      System.out.printf("%nhistogram: %s%n", histogram.snapshot().latencies("cost").orElseThrow());
    }
  }

  private void add(String what, double value) {
    nanos.computeIfAbsent(what, any -> new ArrayList<>()).add(value);
  }

  private double inFixture(int calls) {
    program.command("measure " + calls);
    program.awaitCounter("measured", ++measured, TIMEOUT);
    return program.counter("cost_picos") / 1e3;
  }

  private void kernel(String what, String where) {
    if (missing.containsKey(what)) {
      return;
    }
    long address;
    try (TargetProcess process = TargetProcess.attach(program.pid())) {
      address = process.address("timed:cost");
    }
    Mapping code = MemoryMap.read(program.pid()).at(address).orElseThrow();
    try {
      Process uprobe =
          new ProcessBuilder(
                  tools.resolve("uprobe").toString(),
                  Long.toString(program.pid()),
                  code.path(),
                  Long.toString(address - code.start() + code.offset()),
                  where)
              .redirectErrorStream(true)
              .start();
      try (BufferedReader output =
          new BufferedReader(
              new InputStreamReader(uprobe.getInputStream(), StandardCharsets.UTF_8))) {
        String first = output.readLine();
        if (!"ready".equals(first)) {
          missing.put(what, String.valueOf(first));
          return;
        }
        add(what, inFixture(FEW_CALLS));
        uprobe.getOutputStream().close();
        long met = Long.parseLong(output.readLine());
        if (met < 7L * FEW_CALLS) {
          throw new IllegalStateException(what + " was met only " + met + " times");
        }
      } finally {
        uprobe.destroy();
      }
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  private void uftrace() {
    if (missing.containsKey(UFTRACE)) {
      return;
    }
    try {
      Path data = Files.createTempDirectory("uftrace");
      try {
        Process traced =
            new ProcessBuilder(
                    "uftrace",
                    "record",
                    "-P",
                    "cost",
                    "--no-libcall",
                    "-d",
                    data.resolve("data").toString(),
                    tools.resolve("traced").toString(),
                    Integer.toString(FEWER_CALLS))
                .redirectErrorStream(true)
                .start();
        String output = new String(traced.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        Splitter.on('\n')
            .splitToStream(output)
            .filter(line -> line.startsWith("picos "))
            .findFirst()
            .ifPresentOrElse(
                line -> add(UFTRACE, Long.parseLong(line.substring("picos ".length())) / 1e3),
                () -> missing.put(UFTRACE, "it failed: " + output.strip()));
      } finally {
        delete(data);
      }
    } catch (IOException absent) {
      missing.put(UFTRACE, "missing; Debian, Ubuntu: apt-get install uftrace");
    }
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }

  private double median(String what) {
    return Ratios.medianOf(
        nanos.getOrDefault(what, List.of()).stream().mapToDouble(Double::doubleValue).toArray());
  }

  private double above(String what) {
    return median(what) - median(BARE);
  }

  private void print() {
    System.out.printf(
        "%-30s %10s %10s %12s %14s%n",
        "ns per call, medians", "whole", "above bare", "x counter", "x histogram");
    for (String what : List.of(BARE, COUNTER, HISTOGRAM, UPROBE, URETPROBE, UFTRACE)) {
      if (missing.containsKey(what)) {
        System.out.printf("%-30s %s%n", what, missing.get(what));
      } else {
        System.out.printf(
            "%-30s %10.1f %10.1f %12.1f %14.1f%n",
            what,
            median(what),
            above(what),
            above(what) / above(COUNTER),
            above(what) / above(HISTOGRAM));
      }
    }
    System.out.println();
    hold(COUNTER, MOST_COUNTER_NANOS);
    hold(HISTOGRAM, MOST_HISTOGRAM_NANOS);
  }

  private void hold(String what, double most) {
    System.out.printf(
        "%s: at most %.0f ns above the bare call: %s%n",
        what, most, above(what) <= most ? "holds" : "DOES NOT HOLD");
  }
}
