package io.github.textpoke.benchmarks;

import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.plan.X86Planner;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * How long it takes to attach to a process of many sleeping threads, to poke once, and to leave.
 * The first visit to a process holds the kernel's registration for core syncs, and brings our code
 * along; those behind it don't.
 */
public final class Sleepers {
  private static final Duration LOAD_SAMPLE = Duration.ofMillis(500);

  /** Calls that need few descriptors. A thousand threads must not need more than are allowed. */
  private static final String CALLS =
      "futex,nanosleep,clock_nanosleep,pselect,epoll_wait,read_pipe,sigtimedwait,pause";

  private static final int CALL_COUNT = 8;
  private static final int PROCESSES = 5;
  private static final int VISITS = 10;

  private Sleepers() {}

  /**
   * {@code --threads N}: how many sleep, 1000 unless said. Ends the JVM with 2 if it is wrong, with
   * 1 if something fails.
   */
  public static void main(String[] words) {
    int threads = 1000;
    try {
      Arguments arguments = new Arguments(List.of(words));
      while (arguments.hasNext()) {
        switch (arguments.next()) {
          case "--threads" -> threads = arguments.number(CALL_COUNT, 100_000);
          default -> throw arguments.unknown();
        }
      }
    } catch (IllegalArgumentException wrong) {
      System.err.println("bench: " + wrong.getMessage());
      System.exit(2);
      return;
    }
    TargetProcess.ensureAvailability();
    int each = threads / CALL_COUNT;
    System.out.printf(
        "attach, one poke, leave; %d sleeping threads; %d processes, %d visits each;"
            + " machine %d%% busy with others before%n%n",
        each * CALL_COUNT, PROCESSES, VISITS, MachineLoad.percentDuring(LOAD_SAMPLE));
    System.out.printf("%-20s %-16s %10s %10s%n", "who", "visit", "median ms", "max ms");
    for (EngineChoice engine : List.of(EngineChoice.POKER, EngineChoice.STEPWISE)) {
      // Has the JIT compile what the others run.
      visit(engine, 1);
      List<double[]> visits = new ArrayList<>();
      for (int i = 0; i < PROCESSES; i++) {
        visits.add(visit(engine, each));
      }
      String name = new Textpoke(engine, false).name();
      print(name, "first", visits.stream().mapToDouble(times -> times[0]).toArray());
      print(
          name,
          "second to last",
          visits.stream().flatMapToDouble(times -> Arrays.stream(times).skip(1)).toArray());
    }
    System.out.printf(
        "%nmachine %d%% busy with others after%n", MachineLoad.percentDuring(LOAD_SAMPLE));
  }

  private static void print(String name, String visit, double[] millis) {
    System.out.printf(
        "%-20s %-16s %10.2f %10.2f%n",
        name, visit, Ratios.medianOf(millis), Arrays.stream(millis).max().orElseThrow());
  }

  /** Milliseconds of each visit to one process. */
  private static double[] visit(EngineChoice engine, int threadsInEachCall) {
    try (Fixture fixture =
        Fixture.start(
            "blockers", "--calls", CALLS, "--threads", Integer.toString(threadsInEachCall))) {
      PatchPlan plan =
          Sites.jump(X86Planner.create(), fixture.address("site"), fixture.address("repl"));
      double[] millis = new double[VISITS];
      for (int i = 0; i < VISITS; i++) {
        long start = System.nanoTime();
        visit(fixture.pid(), engine, plan);
        millis[i] = (System.nanoTime() - start) / 1e6;
      }
      Sites.assertHealthy(fixture, 0);
      return millis;
    }
  }

  /** Pokes to and fro, one way each visit. */
  private static void visit(int pid, EngineChoice engine, PatchPlan plan) {
    AttachOptions options = AttachOptions.DEFAULT.withEngine(engine);
    try (TargetProcess process = TargetProcess.attach(pid, options)) {
      List<Patch> standing = process.patches();
      if (standing.isEmpty()) {
        process.apply(plan);
      } else {
        standing.get(0).revert();
      }
    }
  }
}
