package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.AlreadyTracedException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.internal.PokerProgram;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.process.GlibcThreads;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.MemoryReader;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.LongPredicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The poker where it can be had, else the stepwise engine; it says why. Once the poker was refused,
 * the target is not asked again. A plan whose sites are too long for the poker's tables, which only
 * displacing ones are, goes to the stepwise engine, the next one to the poker again. One of the two
 * has the target's threads at a time.
 */
final class Engines implements ObjectEngine {
  /** No event tells that another patcher has let go. */
  private static final long LOOK_NANOS = 500_000;

  private static final @Nullable PokerProgram PROGRAM =
      ServiceLoader.load(PokerProgram.class, PokerProgram.class.getClassLoader())
          .findFirst()
          .orElse(null);

  private final int pid;
  private final AttachOptions options;
  private final TargetLock lock;
  private final StepwiseStay stepwise;
  private final GlibcThreads threads;
  private final @Nullable PokerEngine poker;

  /** Why it is not the poker; null: it is. */
  private @Nullable String why;

  /** Whether a site of the last plan, or of the recovery that is under way, is that long. */
  private boolean tooLong;

  private boolean recovering;

  /**
   * @param beforeStart checks the target, as it is mapped now, before anything of ours comes into
   *     it
   */
  Engines(
      int pid,
      AttachOptions options,
      Interference interference,
      int trapByte,
      Consumer<MemoryMap> beforeStart,
      TargetLedger ledger,
      BooleanSupplier leaving) {
    this.pid = pid;
    this.options = options;
    this.lock = new TargetLock(pid);
    this.threads = new GlibcThreads(pid);
    this.stepwise =
        new StepwiseStay(
            () -> {
              LentHelper lent = lend();
              beforeStart.accept(MemoryMap.read(pid));
              return Session.of(pid, options, trapByte, interference, lent);
            },
            leaving);
    PokerProgram program = PROGRAM;
    if (program == null) {
      poker = null;
      why = "no code for this instruction set is on the class path; textpoke-x86 has it";
    } else {
      StandingPatches standing = new StandingPatches(pid, ledger);
      poker =
          new PokerEngine(
              pid,
              options,
              interference,
              (ledgerSize, lease) -> {
                MemoryMap map = standing.yieldOthers(MemoryMap.read(pid), options.patience());
                beforeStart.accept(map);
                return new PokerStart(
                        pid, options, program, interference, trapByte, ledgerSize, lease)
                    .start(map);
              },
              standing,
              leaving);
      why = options.engine() == EngineChoice.STEPWISE ? "it was not asked for" : null;
    }
    if (options.engine() == EngineChoice.POKER && why != null) {
      throw refused(why);
    }
  }

  private UnsupportedTargetException refused(String reason) {
    return new UnsupportedTargetException(
        "no poker in process " + pid + ": " + reason, "allow the stepwise engine");
  }

  private Engine current() {
    PokerEngine now = poker;
    return why == null && now != null && !isLeftToStepwise(tooLong) ? now : stepwise;
  }

  /** Who asks for the poker alone hears from it what it can't do. */
  private boolean isLeftToStepwise(boolean isTooLong) {
    return isTooLong && options.engine() == EngineChoice.AUTOMATIC;
  }

  private void run(Consumer<PokerEngine> withPoker, Consumer<StepwiseStay> otherwise) {
    long deadline = System.nanoTime() + options.patience().toNanos();
    lock.take(deadline);
    try {
      run(withPoker, otherwise, deadline);
    } finally {
      lock.giveBack();
    }
  }

  private void run(
      Consumer<PokerEngine> withPoker, Consumer<StepwiseStay> otherwise, long firstDeadline) {
    long deadline = firstDeadline;
    for (; ; ) {
      PokerEngine now = poker;
      try {
        if (why == null && now != null && !isLeftToStepwise(tooLong)) {
          stepwise.leave();
          withPoker.accept(now);
        } else {
          if (now != null) {
            now.leave();
          }
          otherwise.accept(stepwise);
          wake();
        }
        return;
      } catch (PokerUnavailableException unavailable) {
        if (why != null) {
          // The stepwise engine can't map what it needs either.
          throw new UnsupportedTargetException(
              "process " + pid + ": " + unavailable.getMessage(),
              "see what the program may not do: its limits, its seccomp filter");
        }
        giveUp(unavailable.getMessage());
        // It has taken its time; another patcher may have come meanwhile.
        deadline = System.nanoTime() + options.patience().toNanos();
      } catch (AlreadyTracedException traced) {
        awaitOther(deadline, traced);
      }
    }
  }

  /** Most likely it is another patcher, which lets go soon. */
  private void awaitOther(long deadline, AlreadyTracedException traced) {
    if (System.nanoTime() - deadline > 0) {
      throw Holder.named(pid, traced);
    }
    LockSupport.parkNanos(LOOK_NANOS);
  }

  /**
   * Breakpoints that stay sleep while the stepwise engine is at work. If they can't be woken now,
   * the helper does it, when it has not been asked for a while.
   */
  private void wake() {
    PokerEngine now = poker;
    if (now != null && now.hasStanding()) {
      stepwise.leave();
      try {
        now.tryOut();
      } catch (PatchException | PokerUnavailableException later) {
        // As said. Whoever asks for something next hears of it, if the target has ended.
      }
    }
  }

  private void giveUp(@Nullable String reason) {
    why = reason;

    PokerEngine given = poker;
    if (given != null) {
      given.leave();
    }
    if (options.engine() == EngineChoice.POKER) {
      throw refused(String.valueOf(reason));
    }
  }

  /** Seizes the threads once, so that what is not allowed fails now. */
  void tryOut() {
    run(PokerEngine::tryOut, StepwiseStay::tryOut);
  }

  @Override
  public void apply(CompiledPlan plan, Recording recording) {
    if (!recovering) {
      tooLong = !PlanLayout.fits(plan);
    }
    run(
        engine -> engine.apply(plan, recording),
        engine -> {
          if (plan.stays()) {
            throw new UnsupportedPlanException(
                "a breakpoint that stays needs the poker: "
                    + (why == null ? PokerEngine.TOO_LONG : why),
                "choose a site where a jump can stand");
          }
          engine.apply(plan, recording);
        });
  }

  /**
   * As {@link PokerEngine#prepare}; the stepwise engine lays nothing out beforehand.
   *
   * @param ledgerSize bytes of a new segment that the ledger must have; 0: what is there will do
   */
  void prepare(List<CompiledPlan> plans, int ledgerSize) {
    run(engine -> engine.prepare(plans, ledgerSize), engine -> {});
  }

  /** Has nobody else patch the target until {@code work} is done, which may call the others. */
  <T> T exclusively(Supplier<T> work) {
    lock.take(System.nanoTime() + options.patience().toNanos());
    try {
      return work.get();
    } finally {
      lock.giveBack();
    }
  }

  /** As {@link StepwiseStay#unused}; the poker has to let go for it. */
  ImmutableList<Extent> unused(ImmutableList<Extent> extents) {
    return withStepwise(stay -> stay.unused(extents));
  }

  /** As {@link StepwiseStay#reference}; the poker has to let go for it. */
  Optional<CodeReference> reference(ImmutableList<Extent> extents, LongPredicate known) {
    return withStepwise(stay -> stay.reference(extents, known));
  }

  /** As {@link StepwiseStay#change}; the poker has to let go for it. */
  SwitchReport change(TurnSwitch what, ThreadStacks stacks) {
    return withStepwise(stay -> stay.change(what, stacks));
  }

  /** Calls a function of the target; the poker has to let go for it. */
  CallOutcome call(MemoryReader reader, long function, long first, long second, Duration timeout) {
    PokerProgram program = PROGRAM;
    if (program == null) {
      throw new UnsupportedTargetException(
          "no code for this instruction set is on the class path", "add textpoke-x86 to it");
    }
    FunctionCall call = new FunctionCall(pid, reader, program.caller(), threads);
    return withStepwise(stay -> call.run(stay, function, first, second, timeout));
  }

  /** Unmaps memory of ours; the poker has to let go for it. */
  @Override
  public void unmap(long address, long size) {
    withStepwise(
        stay -> {
          stay.unmap(address, size);
          return true;
        });
  }

  /** As {@link StepwiseStay#share}; the poker has to let go for it. */
  Optional<SharedMemory> share(String name, long address, long size) {
    try {
      return withStepwise(stay -> Optional.ofNullable(stay.share(name, address, size)));
    } catch (PokerUnavailableException unavailable) {
      throw new UnsupportedTargetException(
          "process " + pid + " can't share memory with us: " + unavailable.getMessage(),
          "see what the program may not do: its limits, its seccomp filter");
    }
  }

  /** The poker's helper; null where there is none: then the stepwise engine brings its own. */
  private @Nullable LentHelper lend() {
    PokerEngine now = poker;
    if (now == null || why != null) {
      return null;
    }
    try {
      return now.lend();
    } catch (PokerUnavailableException unavailable) {
      now.leave();
      return null;
    }
  }

  /** For what the stepwise engine alone can do: the poker has to let go. */
  private <T> T withStepwise(Function<StepwiseStay, T> work) {
    long deadline = System.nanoTime() + options.patience().toNanos();
    lock.take(deadline);
    try {
      for (; ; ) {
        try {
          T done = work.apply(stepwise);
          wake();
          return done;
        } catch (AlreadyTracedException traced) {
          awaitOther(deadline, traced);
        }
      }
    } finally {
      lock.giveBack();
    }
  }

  @Override
  public boolean map(String name, long address, long size, int protection) {
    boolean[] isMapped = new boolean[1];
    run(
        engine -> isMapped[0] = engine.map(name, address, size, protection),
        engine -> isMapped[0] = engine.map(name, address, size, protection));
    return isMapped[0];
  }

  @Override
  public void fill(long address, CodeBytes bytes) {
    run(engine -> engine.fill(address, bytes), engine -> engine.fill(address, bytes));
  }

  @Override
  public void beginRecovery() {
    beginRecovery(false);
  }

  /**
   * As {@link #beginRecovery()}.
   *
   * @param isTooLong whether sites are to be recovered that are too long for the poker
   */
  void beginRecovery(boolean isTooLong) {
    lock.take(System.nanoTime() + options.patience().toNanos());
    boolean begun = false;
    tooLong = isTooLong;
    try {
      run(PokerEngine::beginRecovery, StepwiseStay::beginRecovery);
      begun = true;
      recovering = true;
    } finally {
      if (!begun) {
        lock.giveBack();
      }
    }
  }

  @Override
  public void endRecovery() {
    try {
      current().endRecovery();
    } finally {
      recovering = false;
      lock.giveBack();
    }
  }

  /** Leaves the target until the next command. */
  void letGo() {
    stepwise.leave();
    PokerEngine now = poker;
    if (now != null) {
      now.leave();
    }
  }

  /** Leaves the target. */
  void leave() {
    letGo();
    lock.close();
  }

  @Override
  public String name() {
    return current().name();
  }

  /** The name of the engine that {@code plan} is for. */
  String name(CompiledPlan plan) {
    boolean stepwiseOnly = why != null || isLeftToStepwise(!PlanLayout.fits(plan));
    return stepwiseOnly ? stepwise.name() : PokerEngine.NAME;
  }

  @Override
  public long nanos() {
    return current().nanos();
  }

  @Override
  public long windowNanos() {
    return current().windowNanos();
  }

  @Override
  public long traps() {
    PokerEngine now = poker;
    return stepwise.traps() + (now == null ? 0 : now.traps());
  }

  @Override
  public int parked() {
    return current().parked();
  }

  @Override
  public int threads() {
    return current().threads();
  }

  @Override
  public String remark() {
    String reason = isLeftToStepwise(tooLong) ? PokerEngine.TOO_LONG : why;
    return reason == null || options.engine() == EngineChoice.STEPWISE
        ? current().remark()
        : "no poker: " + reason;
  }

  @Override
  public long pace(long time) {
    return current().pace(time);
  }

  @Override
  public boolean isLeaving() {
    return current().isLeaving();
  }
}
