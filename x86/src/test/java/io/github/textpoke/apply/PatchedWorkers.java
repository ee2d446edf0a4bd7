package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.base.Joiner;
import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.process.SiteResolver;
import java.time.Duration;
import java.util.function.Function;

/**
 * Workers, the first of which blocks all signals, whose sites another JVM patches. Knows how they
 * were before, and checks that they are so again.
 */
final class PatchedWorkers implements AutoCloseable {
  private static final ImmutableList<String> SITES = ImmutableList.of("nop_62", "call_61", "nop_0");
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final int PROGRESS = 1_000;
  private static final String BYTES_PER_CALL = "4096";

  private final int workers;
  private final Fixture fixture;
  private final ProcMemReader memory;
  private final ImmutableList<PatchPlan> plans;
  private final TargetState before;

  private PatchedWorkers(
      int workers, Fixture fixture, Function<SiteResolver, ImmutableList<PatchPlan>> plans) {
    this.workers = workers;
    this.fixture = fixture;
    this.memory = new ProcMemReader(fixture.pid());
    this.plans =
        plans.apply(new SiteResolver(fixture.pid(), MemoryMap.read(fixture.pid()), memory));
    this.before = TargetState.of(fixture.pid());
  }

  static PatchedWorkers start(int workers) {
    Fixture fixture =
        Fixture.start(
            "workers",
            "--threads",
            Integer.toString(workers),
            "--block-all",
            "1",
            "--sites",
            Joiner.on(',').join(SITES));
    return start(
        workers,
        fixture,
        resolver ->
            SITES.stream()
                .map(
                    site -> WorkerSites.plan(resolver.codeAt(fixture.address(site)), fixture, site))
                .collect(ImmutableList.toImmutableList()));
  }

  /** Workers that stand inside of the only site nearly always: the patch displaces that. */
  static PatchedWorkers startDisplaced(int workers) {
    Fixture fixture =
        Fixture.start(
            "displaced", "--threads", Integer.toString(workers), "--bytes", BYTES_PER_CALL);
    return start(
        workers, fixture, resolver -> ImmutableList.of(DisplacedSite.prepare(fixture).plan()));
  }

  private static PatchedWorkers start(
      int workers, Fixture fixture, Function<SiteResolver, ImmutableList<PatchPlan>> plans) {
    try {
      return new PatchedWorkers(workers, fixture, plans);
    } catch (Throwable e) {
      fixture.close();
      throw e;
    }
  }

  Fixture fixture() {
    return fixture;
  }

  int pid() {
    return fixture.pid();
  }

  /** A JVM that will patch all sites by the poker. It must be told to go. */
  PatcherProcess patcher(String work, PatcherLoad load) {
    return patcher(work, load, EngineChoice.POKER);
  }

  /** As above, by another engine. */
  PatcherProcess patcher(String work, PatcherLoad load, EngineChoice engine) {
    return PatcherProcess.start(work, load, engine, fixture.pid(), plans);
  }

  /** Whether neither the old nor the new bytes stand at some site, or the memory is gone. */
  boolean isInWindow() {
    try {
      return !plans.stream().allMatch(plan -> isWhole(plan.pokes().get(0)));
    } catch (PatchException gone) {
      return true;
    }
  }

  private boolean isWhole(Poke poke) {
    CodeBytes found = memory.read(poke.address(), poke.length());
    return found.equals(poke.site().bytes()) || found.equals(poke.replacement());
  }

  /** Waits until each worker has done {@code calls} more calls. */
  void awaitProgress(int calls) {
    long[] goals = new long[workers];
    for (int i = 0; i < workers; i++) {
      goals[i] = fixture.counter("calls_" + i) + calls;
    }
    for (int i = 0; i < workers; i++) {
      fixture.awaitCounter("calls_" + i, goals[i], SOON);
    }
  }

  /**
   * Waits until each worker has done some more calls, at all of its sites, or the program has
   * ended: whether it lives. The end is heard of some time after it.
   */
  boolean livesOn() {
    try {
      awaitProgress(PROGRESS);
      return true;
    } catch (AssertionError failure) {
      if (fixture.isAlive()) {
        throw failure;
      }
      return false;
    }
  }

  /** Whether its threads, relatives, files and memory are as they were, now. */
  boolean isAsBefore() {
    return TargetState.of(fixture.pid()).equals(before);
  }

  /**
   * Checks that the patcher, which is gone, has left nothing behind and has harmed nothing: the
   * target lives and each of its threads goes on, every result was right, whole instructions stand
   * at all sites, and its threads, signal masks, relatives, files and memory are as they were.
   */
  void assertUnharmed() {
    before.awaitAgain(fixture.pid());
    awaitProgress(PROGRESS);
    fixture.assertHealthy();
    for (PatchPlan plan : plans) {
      Poke poke = plan.pokes().get(0);
      assertThat(memory.read(poke.address(), poke.length()))
          .as("what stands at 0x" + Long.toHexString(poke.address()))
          .isIn(poke.site().bytes(), poke.replacement());
    }
  }

  @Override
  public void close() {
    memory.close();
    fixture.close();
  }
}
