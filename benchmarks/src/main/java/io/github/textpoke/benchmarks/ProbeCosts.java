package io.github.textpoke.benchmarks;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.x86.probe.Argument;
import io.github.textpoke.x86.probe.IntegerType;
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
 * What a call of a function takes: bare, with our counter, our histogram, our captures, with the
 * kernel's uprobe at its entry and its return (perf_event_open(2), events that only count), and by
 * uftrace, which records each call. All in turn, in one run. What the kernel takes depends on the
 * function's first instruction, so there are three functions.
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
  private static final String CONDITION = "counter, condition not met";
  private static final String CAPTURE = "capture of an argument";
  private static final String RETURNED = "the same, and of the result";
  private static final String UPROBE = "kernel uprobe";
  private static final String URETPROBE = "kernel uretprobe";
  private static final String UFTRACE = "uftrace";

  private static final List<String> FUNCTIONS = List.of("padded", "pushes", "cost");

  private static final Map<String, String> BEGINNINGS =
      Map.of(
          "padded", "begins with a no-operation of five bytes: the kernel makes it a call",
          "pushes", "begins with push: the kernel traps, and does it itself",
          "cost", "begins with lea: the kernel traps, and steps a copy");

  private final Fixture program = Fixture.start("timed", "--threads", "1");
  private final Path tools;

  /** By function, by what. */
  private final Map<String, Map<String, List<Double>>> nanos = new LinkedHashMap<>();

  private final Map<String, String> missing = new LinkedHashMap<>();
  private long measured;

  /** What our probes do, in the order of the table. */
  private static final ImmutableMap<String, ProbeAction> ACTIONS =
      ImmutableMap.of(
          COUNTER,
          ProbeAction.count(),
          CONDITION,
          ProbeAction.count().when(Argument.of(1).isEqualTo(Long.MIN_VALUE)),
          HISTOGRAM,
          ProbeAction.latency(),
          CAPTURE,
          ProbeAction.capture(List.of(Argument.of(1))),
          RETURNED,
          ProbeAction.capture(List.of(Argument.of(1))).withReturned(IntegerType.INT64));

  /** Ours, of one function, by what they do. */
  private record Ours(String function, long address, Map<String, Probe> probes) {}

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
        "a call of a function, %d rounds in turn, the shortest of 7 runs each; machine %d%% busy"
            + " with others before%n%n",
        ROUNDS, MachineLoad.percentDuring(LOAD_SAMPLE));
    new ProbeCosts(tools.toAbsolutePath()).run();
    ProbeArming.run();
  }

  private void run() {
    try (Fixture target = program;
        TargetProcess process = TargetProcess.attach(target.pid())) {
      Probes probes = Probes.in(process);
      List<Ours> all = new ArrayList<>();
      for (String function : FUNCTIONS) {
        String site = "timed:" + function;
        Map<String, Probe> made = new LinkedHashMap<>();
        ACTIONS.forEach((what, action) -> made.put(what, probes.at(site, action)));
        all.add(new Ours(function, process.address(site), made));
      }
      for (int round = 0; round < ROUNDS; round++) {
        for (Ours ours : all) {
          String function = ours.function();
          add(function, BARE, inFixture(function, CALLS));
          ours.probes()
              .forEach(
                  (what, probe) -> {
                    probe.arm();
                    add(function, what, inFixture(function, CALLS));
                    probe.disarm();
                  });
          kernel(ours, UPROBE, "entry");
          kernel(ours, URETPROBE, "return");
        }
        uftrace();
      }
      FUNCTIONS.forEach(this::print);
      printUftrace();
      System.out.println();
      hold(COUNTER, MOST_COUNTER_NANOS);
      hold(HISTOGRAM, MOST_HISTOGRAM_NANOS);
    }
  }

  private void add(String function, String what, double value) {
    nanos
        .computeIfAbsent(function, any -> new LinkedHashMap<>())
        .computeIfAbsent(what, any -> new ArrayList<>())
        .add(value);
  }

  private double inFixture(String function, int calls) {
    program.command("measure " + calls + " " + function);
    program.awaitCounter("measured", ++measured, TIMEOUT);
    return program.counter("cost_picos") / 1e3;
  }

  private void kernel(Ours ours, String what, String where) {
    if (missing.containsKey(what)) {
      return;
    }
    Mapping code = MemoryMap.read(program.pid()).at(ours.address()).orElseThrow();
    try {
      Process uprobe =
          new ProcessBuilder(
                  tools.resolve("uprobe").toString(),
                  Long.toString(program.pid()),
                  code.path(),
                  Long.toString(ours.address() - code.start() + code.offset()),
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
        add(ours.function(), what, inFixture(ours.function(), FEW_CALLS));
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
                line ->
                    add(UFTRACE, UFTRACE, Long.parseLong(line.substring("picos ".length())) / 1e3),
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

  private double median(String function, String what) {
    return Ratios.medianOf(
        nanos.getOrDefault(function, Map.of()).getOrDefault(what, List.of()).stream()
            .mapToDouble(Double::doubleValue)
            .toArray());
  }

  private double above(String function, String what) {
    return median(function, what) - median(function, BARE);
  }

  private void print(String function) {
    System.out.printf("%s %s%n", function, BEGINNINGS.get(function));
    System.out.printf(
        "%-30s %10s %10s %12s %14s%n",
        "ns per call, medians", "whole", "above bare", "x counter", "x histogram");
    List<String> rows =
        ImmutableList.<String>builder()
            .add(BARE)
            .addAll(ACTIONS.keySet())
            .add(UPROBE, URETPROBE)
            .build();
    for (String what : rows) {
      if (missing.containsKey(what)) {
        System.out.printf("%-30s %s%n", what, missing.get(what));
      } else {
        print(function, what, median(function, what), above(function, what));
      }
    }
    System.out.println();
  }

  private static String times(double value, double of) {
    return "%.1f".formatted(value / of);
  }

  private void print(String function, String what, double whole, double above) {
    System.out.printf(
        "%-30s %10.1f %10.1f %12s %14s%n",
        what,
        whole,
        above,
        times(above, above(function, COUNTER)),
        times(above, above(function, HISTOGRAM)));
  }

  /** Its function is its own, and begins as {@code padded}. */
  private void printUftrace() {
    if (missing.containsKey(UFTRACE)) {
      System.out.printf("%-30s %s%n", UFTRACE, missing.get(UFTRACE));
    } else {
      double whole = median(UFTRACE, UFTRACE);
      print("padded", "uftrace, as padded", whole, whole - median("padded", BARE));
    }
  }

  private void hold(String what, double most) {
    double worst =
        FUNCTIONS.stream().mapToDouble(function -> above(function, what)).max().orElseThrow();
    System.out.printf(
        "%s: at most %.0f ns above the bare call: %s, %.1f at most%n",
        what, most, worst <= most ? "holds" : "DOES NOT HOLD", worst);
  }
}
