package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.AccessDeniedException;
import io.github.textpoke.PatchException.CodeChangedException;
import io.github.textpoke.PatchException.EngineFailedException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.SeccompException;
import io.github.textpoke.PatchException.SystemCallException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.apply.Recording.Marks;
import io.github.textpoke.apply.internal.CallLayout;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.plan.Step;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.LongPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Does the steps of a plan one by one: the tracer's thread compares, writes and evacuates, the
 * helper syncs, and who traps meanwhile is parked until the end, or goes on in an out-of-line copy
 * at once. The reference that other engines are compared with, and the fallback where the target
 * may not trace itself.
 *
 * <p>Not covered: the death of this JVM between the first breakpoint and the last sync leaves
 * breakpoints that nobody takes; if the target survives them, the ledger says how to mend it.
 */
final class StepwiseEngine {
  static final String NAME = "stepwise";

  private static final long BREATH_NANOS = 50_000;

  /** How often a core sync that the kernel refuses is tried before the patch is rolled back. */
  private static final int SYNC_TRIES = 3;

  private final Tracer tracer;
  private final Seizer seizer;
  private final Drain drain;
  private final Evacuation evacuation;
  private final Helper helper;
  private final ProcMem memory;
  private final Interference interference;
  private final BooleanSupplier leaving;
  private final Duration patience;

  private NativeBytes found = new NativeBytes(4096);

  /** The progress word of the plan that is under way. */
  private Marks marks = Marks.NONE;

  private final NativeBytes word = new NativeBytes(Long.BYTES);

  /** Threads that waited at a site in the last plan. */
  private int parked;

  /** What the last plan took, from the first comparison to the last core sync. */
  private long nanos;

  /**
   * @param patience how long a thread that can't be moved out of a site is waited for
   * @param leaving whether this stay is to end
   */
  StepwiseEngine(
      Tracer tracer,
      Seizer seizer,
      Helper helper,
      Duration patience,
      Interference interference,
      BooleanSupplier leaving) {
    this.tracer = tracer;
    this.seizer = seizer;
    this.drain = new Drain(tracer);
    this.evacuation = new Evacuation(tracer, patience);
    this.helper = helper;
    this.interference = interference;
    this.leaving = leaving;
    this.patience = patience;
    this.memory = tracer.memory();
  }

  int parked() {
    return parked;
  }

  long nanos() {
    return nanos;
  }

  long traps() {
    return tracer.traps();
  }

  int threads() {
    return tracer.tracees.size();
  }

  /**
   * Waits until {@code time}, and at least for a moment, and takes events meanwhile.
   *
   * @return {@code time}, or now where that is later
   */
  long pace(long time) {
    // Threads that have waited run before they may have to wait again.
    LockSupport.parkNanos(BREATH_NANOS);
    while (time - System.nanoTime() > 0 && !leaving.getAsBoolean()) {
      tracer.handlePending();
      settle();
      LockSupport.parkNanos(Math.min(time - System.nanoTime(), BREATH_NANOS));
    }
    return Math.max(time, System.nanoTime());
  }

  /** Whether this stay is to end: a series of pokes ends with the old bytes. */
  boolean isLeaving() {
    return leaving.getAsBoolean();
  }

  /**
   * Brings the target to the state behind the last step, or leaves or puts it back before the
   * first, and says which. Allocates nothing unless it fails.
   *
   * @param recording how the ledger follows it
   * @throws PatchException with the outcome
   */
  void apply(CompiledPlan plan, Recording recording) {
    if (found.size() < plan.longest) {
      found = new NativeBytes(plan.longest);
    }
    long start = System.nanoTime();
    tracer.handlePending();
    tracer.checkAlive();
    seizer.seizeStragglers();
    seizer.refreshNewThreads();
    tracer.sigtrap().refresh(helper);
    marks = recording.marks(this, this::makeRoom);
    compareAll(plan);
    breakCopyOnWrite(plan);

    tracer.desk.begin(plan);
    int done = 0;
    try {
      for (; done < plan.length.length; done++) {
        if (interference.pauses()) {
          interference.before(done);
        }
        reach(marks.begun() + done);
        doStep(plan, done);
      }
      reach(marks.done());
    } catch (TargetGoneException | TargetExecedException over) {
      tracer.desk.retire();
      throw over;
    } catch (StepFailure failure) {
      throw rollBack(plan, done, failure);
    } catch (RuntimeException | Error failure) {
      throw rollBack(plan, done, StepFailure.unexpected(failure));
    }
    nanos = System.nanoTime() - start;
    finish();
  }

  /** A step could not be done. What is true of the target is only known after rolling back. */
  private static final class StepFailure extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private final transient Function<Outcome, PatchException> report;

    StepFailure(Function<Outcome, PatchException> report) {
      this.report = report;
    }

    static StepFailure unexpected(Throwable cause) {
      return new StepFailure(outcome -> new EngineFailedException(cause, outcome));
    }

    PatchException with(Outcome outcome) {
      return report.apply(outcome);
    }
  }

  /** Whether threads that run a breakpoint which nobody knows wait. */
  void holdTraps(boolean hold) {
    tracer.setHoldingTraps(hold);
    if (!hold) {
      tracer.releaseParked();
    }
  }

  /** Notes in the ledger how far the plan has come. */
  private void reach(long progress) {
    if (marks.address() != 0) {
      word.putLong(0, progress);
      memory.write(marks.address(), word.address(0), Long.BYTES);
    }
  }

  /** Without the right to make room, a patch is not recorded. */
  private void makeRoom(int size) {
    if (helper.mayMap()) {
      try (TargetMappings mappings = new TargetMappings(tracer.pid(), helper, memory)) {
        mappings.mapLedger(size);
      }
    }
  }

  /** As {@link StepwiseStay#unused}. */
  ImmutableList<Extent> unused(ImmutableList<Extent> extents) {
    tracer.handlePending();
    tracer.checkAlive();
    seizer.seizeStragglers();
    ExtentWatch watch = new ExtentWatch(extents);
    return evacuation.observe(watch) ? watch.unseen() : ImmutableList.of();
  }

  /** As {@link StepwiseStay#reference}. */
  Optional<CodeReference> reference(ImmutableList<Extent> extents, LongPredicate known) {
    tracer.handlePending();
    tracer.checkAlive();
    seizer.seizeStragglers();
    return Optional.ofNullable(evacuation.reference(extents, known));
  }

  /** As {@link StepwiseStay#change}. */
  SwitchReport change(TurnSwitch what, ThreadStacks stacks) {
    tracer.handlePending();
    tracer.checkAlive();
    seizer.seizeStragglers();
    return new Switching(tracer, helper, what, stacks).run();
  }

  /** As {@link Engine#map}. */
  boolean map(String name, long address, long size, int protection) {
    checkMayMap();
    try (TargetMappings mappings = new TargetMappings(tracer.pid(), helper, memory)) {
      return mappings.mapAt(name, address, size, protection);
    }
  }

  /** As {@link StepwiseStay#share}. */
  @Nullable SharedMemory share(String name, long address, long size) {
    checkMayMap();
    try (TargetMappings mappings = new TargetMappings(tracer.pid(), helper, memory)) {
      return mappings.shareAt(name, address, size);
    }
  }

  private void checkMayMap() {
    if (!helper.mayMap()) {
      throw new SeccompException(
          "process " + tracer.pid() + " may not map memory of ours",
          "allow mmap, memfd_create and the like in its seccomp filter");
    }
  }

  /** As {@link StepwiseStay#unmap}. */
  void unmap(long address, long size) {
    checkMayMap();
    long result = helper.call(Kernel.SYS_MUNMAP, address, size, 0, 0, 0, 0);
    if (result != 0) {
      throw new SystemCallException("munmap in the target", (int) -result, Outcome.UNTOUCHED);
    }
  }

  /** As {@link StepwiseStay#call}. */
  CallOutcome call(Clone clone, long code, long at, Duration timeout) {
    tracer.handlePending();
    tracer.checkAlive();
    seizer.seizeStragglers();
    Rescue rescue = new Rescue(code + CallLayout.GATE, at, clone.stack());
    int tid = new Borrower(tracer, NeededCall.CALLING).clone(rescue, patience, clone);
    return new CalledThread(tracer, helper, this::settle)
        .run(tid, code, clone.stack(), at, timeout, patience);
  }

  /** As {@link Engine#fill}. */
  void fill(long address, CodeBytes bytes) {
    if (memory.write(address, bytes) != bytes.length()) {
      throw new UnwritableMappingException(
          address, "memory of ours can't be written", Outcome.UNTOUCHED);
    }
  }

  private void finish() {
    tracer.desk.retire();
    tracer.sigtrap().restore(helper);
    parked = tracer.releaseParked();
  }

  /** Between two plans: puts right what a late trap has changed. */
  void settle() {
    if (tracer.sigtrap().isInDoubt() && !tracer.sigtrap().isIgnored()) {
      tracer.sigtrap().restore(helper);
      tracer.releaseParked();
    }
    if (tracer.takeGroupStop()) {
      helper.joinGroupStop();
    }
  }

  /**
   * Before this stay ends: no thread may be left parked, and no breakpoint of a plan that a failure
   * has cut off.
   */
  void abandon() {
    CompiledPlan cut = tracer.desk.current();
    if (cut != null) {
      stopAndRestore(cut);
      finish();
    }
  }

  /**
   * The first write to a page copies it: done before the window, by rewriting an identical byte.
   */
  private void breakCopyOnWrite(CompiledPlan plan) {
    for (int i = 0; i < plan.pages.length; i++) {
      long at = plan.pages[i];
      long count = memory.read(at, found.address(0), 1);
      checkMemory(count);
      if (count != 1) {
        throw unmapped(at, Outcome.UNTOUCHED);
      }
      long written = memory.write(at, found.address(0), 1);
      checkMemory(written);
      if (written != 1) {
        throw new AccessDeniedException(
            "writing to the code at 0x"
                + Long.toHexString(at)
                + ": the kernel says errno "
                + -written,
            AccessDeniedException.Missing.FORCE_OVERRIDE,
            "the mapping is shared, or the kernel was booted with proc_mem.force_override=never");
      }
    }
  }

  /** What stands at each site, compared before the first write; each step compares its own. */
  private void compareAll(CompiledPlan plan) {
    for (int i = 0; i < plan.siteAddress.length; i++) {
      long address = plan.siteAddress[i];
      int length = plan.siteLength[i];
      long count = memory.read(address, found.address(0), length);
      checkMemory(count);
      if (count != length) {
        throw unmapped(address, Outcome.UNTOUCHED);
      }
      if (!stands(plan, plan.siteOffset[i], length)) {
        throw new CodeChangedException(
            address,
            plan.bytes.get(plan.siteOffset[i], length),
            found.get(0, length),
            Outcome.UNTOUCHED);
      }
    }
  }

  /** The kernel answers 0 where the memory itself is gone, and -EIO where nothing is mapped. */
  private void checkMemory(long count) {
    if (count == 0) {
      throw tracer.awaitEnd();
    }
    if (count < 0) {
      tracer.handlePending();
      tracer.checkAlive();
    }
  }

  /** Whether the bytes that were read last are those at {@code offset} of the plan's. */
  private boolean stands(CompiledPlan plan, int offset, int length) {
    for (int i = 0; i < length; i++) {
      if (found.get(i) != plan.bytes.get(offset + i)) {
        return false;
      }
    }
    return true;
  }

  private void doStep(CompiledPlan plan, int step) {
    if (plan.isSync(step)) {
      sync();
    } else if (plan.isEvacuation(step)) {
      // The first one of a row is for all sites: each thread is looked at once.
      if (step == 0 || !plan.isEvacuation(step - 1)) {
        evacuate(plan);
      }
    } else {
      compareAndWrite(plan, step);
    }
  }

  private void evacuate(CompiledPlan plan) {
    Function<Outcome, PatchException> failure = evacuation.run(plan);
    if (failure != null) {
      throw new StepFailure(failure);
    }
  }

  private void sync() {
    long result = 0;
    for (int i = 0; i < SYNC_TRIES; i++) {
      result = helper.sync();
      if (result == 0) {
        return;
      }
    }
    int errno = (int) -result;
    throw new StepFailure(
        outcome -> new SystemCallException("membarrier(SYNC_CORE) in the target", errno, outcome));
  }

  private void compareAndWrite(CompiledPlan plan, int step) {
    long address = plan.address[step];
    int length = plan.length[step];
    int offset = plan.offset[step];
    long count = memory.read(address, found.address(0), length);
    checkMemory(count);
    if (count != length) {
      throw new StepFailure(outcome -> unmapped(address, outcome));
    }
    if (!stands(plan, offset, length)) {
      CodeBytes now = found.get(0, length);
      throw new StepFailure(
          outcome ->
              new CodeChangedException(address, plan.bytes.get(offset, length), now, outcome));
    }
    long written = memory.write(address, plan.bytes.address(offset + length), length);
    if (written != length) {
      checkMemory(written);
      throw new StepFailure(outcome -> unmapped(address, outcome));
    }
  }

  private static UnwritableMappingException unmapped(long address, Outcome outcome) {
    return new UnwritableMappingException(
        address, "no memory is mapped there, or it can't be written", outcome);
  }

  // ---------------------------------------------------------------- rolling back

  private PatchException rollBack(CompiledPlan plan, int done, StepFailure failure) {
    Outcome outcome = Outcome.ROLLED_BACK;
    StepFailure second = null;
    try {
      ImmutableList<Step> steps = rollbackSteps(plan, done);
      if (steps.isEmpty()) {
        outcome = Outcome.UNTOUCHED;
      }
      CompiledPlan back = new CompiledPlan(plan.plan, steps);
      for (int i = 0; i < back.length.length; i++) {
        doStep(back, i);
      }
    } catch (TargetGoneException | TargetExecedException over) {
      tracer.desk.retire();
      return over;
    } catch (StepFailure again) {
      second = again;
      stopAndRestore(plan);
    } catch (RuntimeException | Error again) {
      second = StepFailure.unexpected(again);
      stopAndRestore(plan);
    }
    if (outcome == Outcome.ROLLED_BACK && !isOld(plan)) {
      outcome = Outcome.UNKNOWN;
    }
    if (outcome != Outcome.UNKNOWN) {
      reach(marks.undone());
    }
    finish();
    PatchException result = failure.with(outcome);
    if (second != null) {
      result.addSuppressed(second.with(outcome));
    }
    return result;
  }

  /** Whether the old bytes stand at every site that is still mapped. */
  private boolean isOld(CompiledPlan plan) {
    for (Poke poke : plan.plan.pokes()) {
      CodeBytes now = memory.read(poke.address(), poke.length());
      if (now != null && !now.equals(poke.site().bytes())) {
        return false;
      }
    }
    return true;
  }

  private ImmutableList<Step> rollbackSteps(CompiledPlan plan, int done) {
    PatchPlan cutOff = new PatchPlan(plan.plan.trapByte(), plan.plan.pokes(), plan.steps);
    if (plan.steps.get(done) instanceof Step.Write cut) {
      CodeBytes now = memory.read(cut.address(), cut.bytes().length());
      if (now != null && !now.equals(cut.expected()) && isBetween(now, cut)) {
        return PokeProtocol.rollback(cutOff, done, now);
      }
    }
    return PokeProtocol.rollback(cutOff, done);
  }

  private static boolean isBetween(CodeBytes now, Step.Write cut) {
    for (int i = 0; i < now.length(); i++) {
      if (now.at(i) != cut.expected().at(i) && now.at(i) != cut.bytes().at(i)) {
        return false;
      }
    }
    return true;
  }

  /**
   * The last resort, where the protocol can't go back step by step: with every thread that runs
   * stopped, each site that holds a breakpoint of ours gets its old bytes back; but where several
   * instructions stand, in which threads may stand, they stay.
   */
  private void stopAndRestore(CompiledPlan plan) {
    drain.stopAll();
    try {
      for (Poke poke : plan.plan.pokes()) {
        CodeBytes now = memory.read(poke.address(), poke.length());
        // Nothing mapped: nothing of ours is left there.
        if (now != null && now.at(0) == plan.plan.trapByte()) {
          CodeBytes tail = now.slice(1, now.length());
          boolean tailIsOurs =
              tail.equals(poke.site().bytes().slice(1, poke.length()))
                  || tail.equals(poke.replacement().slice(1, poke.length()));
          CodeBytes old = poke.site().bytes();
          memory.write(
              poke.address(),
              DisplacedBytes.standIn(now, poke, plan.plan.trapByte())
                  ? poke.displacedBytes()
                  : tailIsOurs ? old : old.slice(0, 1));
        }
      }
    } finally {
      drain.resumeAll();
    }
  }
}
