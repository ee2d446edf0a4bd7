package io.github.textpoke.benchmarks;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.verify.Verdict;
import io.github.textpoke.verify.Verifier;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** What making and checking a plan costs. Runs on any operating system: no process is touched. */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
@State(Scope.Thread)
public class PlanBenchmark {
  private static final int BATCH = 1000;
  private static final long TARGET = Sites.NOWHERE + 0x10_0000;

  private final X86Planner planner = X86Planner.create();
  private final CodeRegion small = Sites.function(Sites.NOWHERE);
  private final CodeRegion large = Sites.longFunction(Sites.NOWHERE, 4096);
  private final PatchPlan one = Sites.jump(planner, Sites.NOWHERE, TARGET);
  private final PatchPlan batch = Sites.jumps(planner, Sites.NOWHERE, BATCH, TARGET);

  /** One site in a function of three instructions. */
  @Benchmark
  public PatchPlan planOne() {
    return planner.replace(small, Sites.NOWHERE, Assembly.jmp(TARGET));
  }

  /** One site in a function of 4096 bytes, all of which is decoded. */
  @Benchmark
  public PatchPlan planOneInLargeFunction() {
    return planner.replace(large, Sites.NOWHERE, Assembly.jmp(TARGET));
  }

  /** 1000 sites, each in a function of its own. */
  @Benchmark
  public PatchPlan planBatch() {
    return Sites.jumps(planner, Sites.NOWHERE, BATCH, TARGET);
  }

  /** Every interleaving of a plan of one site. */
  @Benchmark
  public Verdict verifyOne() {
    return Verifier.check(one);
  }

  /** Every interleaving of a plan of 1000 sites. */
  @Benchmark
  public Verdict verifyBatch() {
    return Verifier.check(batch);
  }

  /** The same as the first thing that a JVM does, as on the command line. */
  @Benchmark
  @BenchmarkMode(Mode.SingleShotTime)
  @Fork(5)
  @Warmup(iterations = 0)
  @Measurement(iterations = 1)
  public Verdict verifyOneInFreshJvm() {
    return Verifier.check(one);
  }
}
