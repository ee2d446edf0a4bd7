package io.github.textpoke.benchmarks;

import com.sun.management.OperatingSystemMXBean;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.x86.livepatch.Callbacks;
import io.github.textpoke.x86.livepatch.LivePatch;
import io.github.textpoke.x86.livepatch.LivePatches;
import io.github.textpoke.x86.livepatch.LoadedPatch;
import io.github.textpoke.x86.livepatch.TransitionListener;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/**
 * What is left of the rate of a service's answers while live patches change it from version 1 to 2
 * to 3 and back, each when no thread is in what is left. First its clients ask as fast as they can,
 * so between them nothing of the machine is idle unless they are few, and whatever a change needs
 * of the processors is taken from them; then as often as a share of that.
 *
 * <p>In each round each change has its turn, and nothing has one too: windows scatter by
 * themselves, and that row says how much. The live patches are loaded before.
 */
public final class Transitions {
  private static final Duration LOAD_SAMPLE = Duration.ofMillis(500);

  /** Windows before a change. */
  private static final int BEFORE = 5;

  /** A change begins here in its window, so that a short one ends in it. */
  private static final long OFFSET_NANOS = 10_000_000;

  private static final String NOTHING = "nothing";

  private final Fixture load;
  private final Windows windows;
  private final OperatingSystemMXBean system =
      ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

  private final boolean callbacks;

  private Transitions(Fixture load, boolean callbacks) {
    this.load = load;
    this.callbacks = callbacks;
    this.windows = Windows.of(load);
  }

  /**
   * {@code --rounds N}, {@code --connections N}: clients that ask at once; {@code --warm-up N}:
   * rounds before, for the JIT; {@code --share N}: percent of the fastest rate, in the second part.
   * {@code --callbacks}: with those of the live patches, two calls on a thread of ours for each
   * change. Ends the JVM with 2 if they are wrong, with 1 if something fails.
   */
  public static void main(String[] words) {
    int rounds = 30;
    int connections = 4;
    int warmUp = 30;
    int share = 60;
    boolean callbacks = false;
    try {
      Arguments arguments = new Arguments(List.of(words));
      while (arguments.hasNext()) {
        switch (arguments.next()) {
          case "--rounds" -> rounds = arguments.number(1, 10_000);
          case "--connections" -> connections = arguments.number(1, 512);
          case "--warm-up" -> warmUp = arguments.number(0, 10_000);
          case "--share" -> share = arguments.number(1, 100);
          case "--callbacks" -> callbacks = true;
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
        "%d rounds, %d before for the JIT; %d connections; windows of %d ms; machine %d%% busy with"
            + " others before%n",
        rounds,
        warmUp,
        connections,
        Windows.NANOS / 1_000_000,
        MachineLoad.percentDuring(LOAD_SAMPLE));
    double fastest = run(connections, 0, rounds, warmUp, callbacks);
    long perSecond = Math.round(fastest * share / 100);
    System.out.printf("%nat %d %% of that, %d questions a second:%n", share, perSecond);
    run(connections, perSecond, rounds, warmUp, callbacks);
    System.out.printf(
        "%nmachine %d%% busy with others after%n", MachineLoad.percentDuring(LOAD_SAMPLE));
  }

  /**
   * @param perSecond questions; 0: as fast as they can
   * @return answers a second, without a change
   */
  private static double run(
      int connections, long perSecond, int rounds, int warmUp, boolean callbacks) {
    try (Fixture service = Fixture.start("service");
        Fixture load =
            Fixture.start(
                "service_load",
                "--service",
                Integer.toString(service.pid()),
                "--connections",
                Integer.toString(connections),
                "--per-second",
                Long.toString(perSecond));
        TargetProcess process = TargetProcess.attach(service.pid())) {
      double calm = new Transitions(load, callbacks).run(process, rounds, warmUp);
      service.assertHealthy();
      load.assertHealthy();
      if (load.counter("mixed") + load.counter("lost") > 0) {
        throw new AssertionError("answers of mixed versions, or lost: " + load.outputTail());
      }
      return calm;
    }
  }

  private double run(TargetProcess process, int rounds, int warmUp) {
    LivePatches patches = LivePatches.in(process);
    long start = System.nanoTime();
    LoadedPatch two = load(patches, "service_v2");
    long between = System.nanoTime();
    LoadedPatch three = load(patches, "service_v3");
    System.out.printf(
        "to load the first took %.1f ms, the second %.1f ms; %d and %d functions%n%n",
        (between - start) / 1e6,
        (System.nanoTime() - between) / 1e6,
        two.description().count(),
        three.description().count());
    Map<String, Consumer<TransitionListener>> changes = new LinkedHashMap<>();
    changes.put(NOTHING, listener -> {});
    changes.put("v1 -> v2", two::enable);
    changes.put("v2 -> v3", three::enable);
    changes.put("v3 -> v1", three::disable);

    Map<String, List<Observation>> first = observe(changes, 1);
    for (int i = 0; i < warmUp; i++) {
      changes.values().forEach(change -> change.accept(TransitionListener.NONE));
    }
    Map<String, List<Observation>> observed = observe(changes, rounds);

    System.out.print(TransitionTable.head());
    first.remove(NOTHING);
    first.forEach((name, one) -> System.out.print(TransitionTable.row(name + ", first", one)));
    observed.forEach((name, all) -> System.out.print(TransitionTable.row(name, all)));
    List<Observation> calm = observed.getOrDefault(NOTHING, List.of());
    observed.remove(NOTHING);
    System.out.print(
        TransitionTable.row(
            "all three", observed.values().stream().flatMap(List::stream).toList()));
    return calm.stream()
        .flatMap(one -> one.before().stream())
        .mapToDouble(Windows.Window::answersPerSecond)
        .average()
        .orElseThrow();
  }

  private LoadedPatch load(LivePatches patches, String name) {
    try {
      LivePatch whole = LivePatch.parse(Files.readString(Fixture.program(name + ".json")));
      LivePatch patch =
          new LivePatch(
              whole.name(),
              whole.version(),
              whole.consistency(),
              whole.replaces(),
              whole.objects(),
              callbacks ? whole.callbacks() : Callbacks.NONE);
      return patches.load(name, Files.readAllBytes(Fixture.program(name + ".so")), patch);
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  private Map<String, List<Observation>> observe(
      Map<String, Consumer<TransitionListener>> changes, int rounds) {
    Map<String, List<Observation>> observed = new LinkedHashMap<>();
    for (int round = 0; round < rounds; round++) {
      changes.forEach(
          (name, change) ->
              observed.computeIfAbsent(name, key -> new ArrayList<>()).add(observe(change)));
    }
    return observed;
  }

  private Observation observe(Consumer<TransitionListener> change) {
    // The window that is under way has what this JVM did to read those before.
    long first = windows.present() + 1;
    windows.await(first + BEFORE, OFFSET_NANOS);
    AtomicInteger tries = new AtomicInteger();
    long cpu = system.getProcessCpuTime();
    long start = System.nanoTime();
    change.accept((number, blockers) -> tries.set(number));
    long end = System.nanoTime();
    long cpuTaken = system.getProcessCpuTime() - cpu;
    return new Observation(
        end - start,
        cpuTaken,
        tries.get(),
        windows.read(first, first + BEFORE - 1),
        windows.read(windows.at(start), windows.at(end)));
  }
}
