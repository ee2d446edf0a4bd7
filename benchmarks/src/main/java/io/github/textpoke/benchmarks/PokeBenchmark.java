package io.github.textpoke.benchmarks;

import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What patching a running process costs the caller: hand-over to the tracer's thread and back
 * included. The pokes alone, and how they compare with C, are measured by {@link SideBySide}.
 */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
public class PokeBenchmark {

  /** A fixture that was attached to, and a plan for it. */
  @State(Scope.Benchmark)
  @SuppressWarnings("NullAway.Init") // JMH calls start() before anything else
  public static class Attached {
    /** Threads that call the sites without pause; with none, the only thread waits for input. */
    @Param({"0", "1", "2", "8"})
    public int workers;

    /** Sites that one plan changes. */
    @Param({"1", "10", "100", "1000"})
    public int sites;

    private Fixture fixture;
    private TargetProcess process;
    private PatchPlan plan;

    /** Starts the fixture, attaches and plans. */
    @Setup(Level.Iteration)
    public void start() {
      fixture = Sites.start(workers, sites);
      process = TargetProcess.attach(fixture.pid());
      plan = Sites.plan(fixture, sites);
    }

    /** Ends the fixture; a wrong result fails the run. */
    @TearDown(Level.Iteration)
    public void end() {
      try (Fixture closing = fixture) {
        process.close();
        Sites.assertHealthy(closing, workers);
      }
    }
  }

  /** A fixture that nobody has attached to. */
  @State(Scope.Benchmark)
  @SuppressWarnings("NullAway.Init") // JMH calls start() before anything else
  public static class Alone {
    /** Threads that call a site without pause. */
    @Param({"0", "1", "2", "8"})
    public int workers;

    private Fixture fixture;

    /** Starts the fixture. */
    @Setup(Level.Iteration)
    public void start() {
      fixture = Sites.start(workers, 1);
    }

    /** Ends the fixture. */
    @TearDown(Level.Iteration)
    public void end() {
      try (Fixture closing = fixture) {
        Sites.assertHealthy(closing, workers);
      }
    }
  }

  /** Two pokes, given from this thread one after the other. */
  @Benchmark
  public ApplyReport applyAndRevert(Attached attached) {
    return attached.process.apply(attached.plan).revert();
  }

  /** Seizes all threads, makes core syncs possible, and leaves again. */
  @Benchmark
  public void attachAndDetach(Alone target) {
    TargetProcess.attach(target.fixture.pid()).close();
  }
}
