package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.ledger.Extent;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.LongPredicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The stepwise engine, on its tracer's thread: begins a stay where there is none, and hands over.
 */
final class StepwiseStay implements ObjectEngine {
  private static final long LOOK_AFTER_MILLIS = 100;
  private static final long BREATH_NANOS = 50_000;

  private final Supplier<Session> starter;
  private final BooleanSupplier leaving;
  private @Nullable Session session;
  private Facts facts = new Facts(0, 0, 0, 0);
  private long traps;

  /** What the engine tells of a plan. */
  private record Facts(long nanos, long traps, int parked, int threads) {}

  /**
   * @param starter makes a stay that has not begun
   * @param leaving whether to end a series of pokes
   */
  StepwiseStay(Supplier<Session> starter, BooleanSupplier leaving) {
    this.starter = starter;
    this.leaving = leaving;
  }

  @Override
  public String name() {
    return StepwiseEngine.NAME;
  }

  @Override
  public void apply(CompiledPlan plan, Recording recording) {
    facts =
        execute(
            engine -> {
              long before = engine.traps();
              engine.apply(plan, recording);
              return new Facts(
                  engine.nanos(), engine.traps() - before, engine.parked(), engine.threads());
            });
    traps += facts.traps;
  }

  /** Seizes the threads once, so that what is not allowed fails now. */
  void tryOut() {
    execute(engine -> true);
  }

  @Override
  public void beginRecovery() {
    execute(
        engine -> {
          engine.holdTraps(true);
          return true;
        });
  }

  @Override
  public void endRecovery() {
    execute(
        engine -> {
          engine.holdTraps(false);
          return true;
        });
  }

  /**
   * Those in which no thread is: none has its instruction pointer, a word of its stack, or, where
   * it has to be stopped for a look, a register there. Who is in a system call is not stopped.
   */
  ImmutableList<Extent> unused(ImmutableList<Extent> extents) {
    return execute(engine -> engine.unused(extents));
  }

  /** What refers to memory of ours; empty: nothing does. */
  Optional<CodeReference> reference(ImmutableList<Extent> extents, LongPredicate known) {
    return execute(engine -> engine.reference(extents, known));
  }

  /** Tries once to change a turn. */
  SwitchReport change(TurnSwitch what, ThreadStacks stacks) {
    return execute(engine -> engine.change(what, stacks));
  }

  /**
   * Clones a thread of ours, and runs it until its function has returned.
   *
   * @param code absolute address of the code that calls
   * @param memory absolute address of what it finds
   */
  CallOutcome call(Clone clone, long code, long memory, Duration timeout) {
    return execute(engine -> engine.call(clone, code, memory, timeout));
  }

  @Override
  public void unmap(long address, long size) {
    execute(
        engine -> {
          engine.unmap(address, size);
          return true;
        });
  }

  /**
   * Maps memory that the target, what it forks, and this JVM share.
   *
   * @return null where something else is mapped there
   */
  @Nullable SharedMemory share(String name, long address, long size) {
    return execute(engine -> Optional.ofNullable(engine.share(name, address, size))).orElse(null);
  }

  @Override
  public boolean map(String name, long address, long size, int protection) {
    return execute(engine -> engine.map(name, address, size, protection));
  }

  @Override
  public void fill(long address, CodeBytes bytes) {
    execute(
        engine -> {
          engine.fill(address, bytes);
          return true;
        });
  }

  @Override
  public long nanos() {
    return facts.nanos;
  }

  @Override
  public long windowNanos() {
    return facts.nanos;
  }

  @Override
  public long traps() {
    return traps;
  }

  @Override
  public int parked() {
    return facts.parked;
  }

  @Override
  public int threads() {
    return facts.threads;
  }

  @Override
  public String remark() {
    return "";
  }

  @Override
  public long pace(long time) {
    // Threads that have waited run before they may have to wait again.
    LockSupport.parkNanos(BREATH_NANOS);
    while (time - System.nanoTime() > 0 && !leaving.getAsBoolean()) {
      LockSupport.parkNanos(time - System.nanoTime());
    }
    return Math.max(time, System.nanoTime());
  }

  @Override
  public boolean isLeaving() {
    return leaving.getAsBoolean();
  }

  /** Leaves the target. */
  void leave() {
    if (session != null) {
      session.leave();
      session = null;
    }
  }

  private <T> T execute(Function<StepwiseEngine, T> work) {
    Session stay = session;
    CompletableFuture<T> answer = stay == null ? null : stay.submit(work);
    if (stay == null || answer == null) {
      leave();
      stay = starter.get();
      session = stay;
      answer = stay.begin(work);
    }
    boolean interrupted = false;
    try {
      for (; ; ) {
        try {
          return answer.get(LOOK_AFTER_MILLIS, TimeUnit.MILLISECONDS);
        } catch (TimeoutException notYet) {
          stay.unblock();
        } catch (InterruptedException later) {
          // A patch that is under way is never abandoned.
          interrupted = true;
        }
      }
    } catch (ExecutionException failed) {
      throw rethrown(failed.getCause());
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private static RuntimeException rethrown(@Nullable Throwable cause) {
    if (cause instanceof RuntimeException failure) {
      throw failure;
    }
    if (cause instanceof Error error) {
      throw error;
    }
    throw new IllegalStateException("the tracer's thread failed", cause);
  }
}
