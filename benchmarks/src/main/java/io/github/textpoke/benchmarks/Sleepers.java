package io.github.textpoke.benchmarks;

import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.plan.X86Planner;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * How long it takes to attach to a process of many sleeping threads, to poke once, and to leave.
 * The first visit to a process holds the kernel's registration for core syncs, unless the program
 * has registered itself, and brings our code along; those behind it don't.
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

  /** How long the parts of one visit took, in milliseconds. */
  private record Visit(double attach, double poke, double leave) {
    double all() {
      return attach + poke + leave;
    }
  }

  /**
   * The visits to one process.
   *
   * @param registerMillis how long the program's own registration for core syncs took
   */
  private record Stay(double registerMillis, List<Visit> visits) {}

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
    System.out.printf(
        "%-20s %-18s %8s %9s %9s %9s %9s%n",
        "median ms", "visit", "attach", "poke", "leave", "all", "max all");
    List<Double> registrations = new ArrayList<>();
    for (EngineChoice engine : List.of(EngineChoice.POKER, EngineChoice.STEPWISE)) {
      String name = new Textpoke(engine, false).name();
      // Has the JIT compile what the others run.
      print(name, "first of JVM", List.of(stay(engine, each, false).visits().get(0)));
      List<Visit> first = new ArrayList<>();
      List<Visit> firstOfRegistered = new ArrayList<>();
      List<Visit> later = new ArrayList<>();
      for (int i = 0; i < PROCESSES; i++) {
        Stay stay = stay(engine, each, false);
        first.add(stay.visits().get(0));
        later.addAll(stay.visits().subList(1, VISITS));
        Stay registered = stay(engine, each, true);
        registrations.add(registered.registerMillis());
        firstOfRegistered.add(registered.visits().get(0));
        later.addAll(registered.visits().subList(1, VISITS));
      }
      print(name, "first", first);
      print(name, "first, registered", firstOfRegistered);
      print(name, "later", later);
    }
    System.out.printf(
        "%nThe program's own registration for core syncs took %.2f ms (median)."
            + "%nmachine %d%% busy with others after%n",
        median(registrations, Double::doubleValue), MachineLoad.percentDuring(LOAD_SAMPLE));
  }

  private static void print(String name, String which, List<Visit> visits) {
    System.out.printf(
        "%-20s %-18s %8.2f %9.2f %9.2f %9.2f %9.2f%n",
        name,
        which,
        median(visits, Visit::attach),
        median(visits, Visit::poke),
        median(visits, Visit::leave),
        median(visits, Visit::all),
        visits.stream().mapToDouble(Visit::all).max().orElseThrow());
  }

  private static <T> double median(List<T> values, ToDoubleFunction<T> value) {
    return Ratios.medianOf(values.stream().mapToDouble(value).toArray());
  }

  private static Stay stay(EngineChoice engine, int threadsInEachCall, boolean registered) {
    List<String> options = new ArrayList<>();
    options.addAll(List.of("--calls", CALLS, "--threads", Integer.toString(threadsInEachCall)));
    if (registered) {
      options.add("--registered");
    }
    try (Fixture fixture = Fixture.start("blockers", options.toArray(new String[0]))) {
      PatchPlan plan =
          Sites.jump(X86Planner.create(), fixture.address("site"), fixture.address("repl"));
      List<Visit> visits = new ArrayList<>();
      for (int i = 0; i < VISITS; i++) {
        visits.add(visit(fixture.pid(), engine, plan, i % 2 == 0));
      }
      Sites.assertHealthy(fixture, 0);
      return new Stay(fixture.counter("register_ns") / 1e6, visits);
    }
  }

  /** Pokes to and fro, one way each visit. */
  private static Visit visit(int pid, EngineChoice engine, PatchPlan plan, boolean forth) {
    AttachOptions options = AttachOptions.DEFAULT.withEngine(engine);
    long start = System.nanoTime();
    long attached;
    long poked;
    try (TargetProcess process = TargetProcess.attach(pid, options)) {
      attached = System.nanoTime();
      if (forth) {
        process.apply(plan);
      } else {
        process.patches().get(0).revert();
      }
      poked = System.nanoTime();
    }
    long left = System.nanoTime();
    return new Visit((attached - start) / 1e6, (poked - attached) / 1e6, (left - poked) / 1e6);
  }
}
