package io.github.textpoke.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.process.ResolvedSite;
import io.github.textpoke.process.SiteName;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import java.io.PrintWriter;
import java.time.Duration;

/**
 * Patches a program of four threads while it runs, and has it check the result of each call. Its
 * sites are laid out so that a torn instruction leads to a breakpoint or to no memory, and kills
 * it.
 */
public final class Demo {
  private static final int THREADS = 4;
  private static final long TOGGLES = 10_000;
  private static final long CALLS_BEFORE = 50_000_000;
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private final PrintWriter out;
  private final long toggles;
  private long wrongResults;
  private long tornInstructions;

  Demo(PrintWriter out, long toggles) {
    this.out = out;
    this.toggles = toggles;
  }

  /** Runs it; the exit code is 0 if all went well. */
  public static void main(String[] args) {
    PrintWriter out = new PrintWriter(System.out, true, UTF_8);
    System.exit(new Demo(out, TOGGLES).run() ? ExitCode.DONE : ExitCode.UNEXPECTED);
  }

  /** Whether no result was wrong and no instruction torn. */
  boolean run() {
    toggle("a 5-byte NOP to a jump and back", "nop_0", "repl");
    toggle("a call across a cache line to another target and back", "call_62", "target_b");
    out.printf(
        "demo: %s, %d wrong results, %d torn instructions%n",
        wrongResults + tornInstructions == 0 ? "ok" : "FAILED", wrongResults, tornInstructions);
    return wrongResults + tornInstructions == 0;
  }

  private void toggle(String what, String siteName, String targetName) {
    try (Fixture workers =
        Fixture.start("workers", "--threads", Integer.toString(THREADS), "--sites", siteName)) {
      try {
        toggle(what, siteName, targetName, workers);
        wrongResults += workers.counter("wrong");
      } catch (TargetGoneException gone) {
        torn(gone, workers);
      } catch (AssertionError fixture) {
        if (workers.isAlive()) {
          throw fixture;
        }
        torn(fixture, workers);
      }
    }
  }

  /** Nothing but a torn instruction ends the program: see its source. */
  private void torn(Throwable failure, Fixture workers) {
    out.println("  " + failure.getMessage() + ": " + workers.awaitExit(PATIENCE));
    tornInstructions++;
  }

  private void toggle(String what, String siteName, String targetName, Fixture workers) {
    long calm = callsPerSecond(workers);
    try (TargetProcess process = TargetProcess.attach(workers.pid())) {
      ResolvedSite site = process.resolver().resolve(SiteName.parse(siteName));
      long target = process.address(targetName);
      PatchPlan plan =
          X86Planner.create()
              .replace(
                  site.code(),
                  site.address(),
                  siteName.startsWith("call") ? Assembly.call(target) : Assembly.jmp(target));
      out.printf(
          "%s: %s, [%s] to [%s], %d threads%n",
          what,
          siteName,
          plan.pokes().get(0).site().bytes(),
          plan.pokes().get(0).replacement(),
          THREADS);
      Measurement measurement = new Measurement();
      long calls = workers.counter("calls");
      long began = System.nanoTime();
      long done = process.toggle(plan, toggles, Duration.ZERO, measurement);
      double seconds = (System.nanoTime() - began) / 1e9;
      calls = workers.counter("calls") - calls;

      out.printf("  toggles %,d in %.1f s%n", done, seconds);
      measurement.text("  ", out);
      out.printf(
          "  calls per second %,.0f while it was patched, %,d before%n", calls / seconds, calm);
      out.printf(
          "  results of the old code %,d, of the new code %,d, wrong %,d%n",
          workers.counter("results_old"), workers.counter("results_new"), workers.counter("wrong"));
      check(site, plan, process, workers);
    }
  }

  /** The old bytes stand; the new ones are really run where they stay; the program runs on. */
  private static void check(
      ResolvedSite site, PatchPlan plan, TargetProcess process, Fixture workers) {
    CodeBytes now = process.resolver().codeAt(site.address()).bytes();
    if (!now.equals(site.code().bytes())) {
      throw new IllegalStateException("found [" + now + "], not " + site.code().bytes());
    }
    Patch patch = process.apply(plan);
    workers.awaitCounter("results_new", workers.counter("results_new") + 1, PATIENCE);
    patch.revert();
    callsPerSecond(workers);
  }

  private static long callsPerSecond(Fixture workers) {
    long calls = workers.counter("calls");
    long began = System.nanoTime();
    workers.awaitCounter("calls", calls + CALLS_BEFORE, PATIENCE);
    double seconds = (System.nanoTime() - began) / 1e9;
    return Math.round((workers.counter("calls") - calls) / seconds);
  }
}
