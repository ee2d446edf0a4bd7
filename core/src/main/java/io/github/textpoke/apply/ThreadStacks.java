package io.github.textpoke.apply;

import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.ImmutableLongArray;
import io.github.textpoke.PatchException.AccessDeniedException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.MemoryReader;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.unwind.CallConvention;
import io.github.textpoke.unwind.CodeObjects;
import io.github.textpoke.unwind.Frame;
import io.github.textpoke.unwind.OwnCode;
import io.github.textpoke.unwind.RegisterValues;
import io.github.textpoke.unwind.StackTrace;
import io.github.textpoke.unwind.StackUse;
import io.github.textpoke.unwind.Unwinder;
import io.github.textpoke.unwind.Usage;
import io.github.textpoke.unwind.Usage.Untold;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * Looks at the stacks of a process's threads.
 *
 * <ol>
 *   <li>A thread that does not run is not stopped: the kernel tells its instruction pointer and
 *       stack pointer. Its other registers are not known, so a trace may be incomplete: above all
 *       where all functions have saved nothing, and one finds its caller by rbp.
 *   <li>That it has not run while its stack was read is checked: it is then blocked as before, and
 *       has not ceased to run since.
 *   <li>One that runs must be stopped by whoever asks, and its registers be read.
 * </ol>
 *
 * <p>It goes by the target's mappings as they were first needed, or {@link #refresh}ed last. Not
 * thread-safe.
 */
public final class ThreadStacks {
  /** How often one that has run meanwhile is looked at again. */
  private static final int TRIES = 3;

  /** What was seen of a thread. */
  public sealed interface Look {}

  /**
   * It was blocked, and had these frames.
   *
   * @param trace its frames
   */
  public record Seen(StackTrace trace) implements Look {}

  /** It runs, or has run whenever we looked. */
  public record Running() implements Look {}

  /** It has ended, or may not be looked at. */
  public record Gone() implements Look {}

  private final int pid;
  private final MemoryReader memory;
  private final Unwinder unwinder;
  private final StackObjects objects;
  private MemoryMap map;
  private SiteResolver resolver;

  /**
   * @param pid the process
   * @param memory of that process; stays yours to close
   * @param ownCode tells of code of ours
   * @param more objects that no loader of the target's has loaded
   * @throws NoSuchProcessException if there is no such process
   * @throws AccessDeniedException if the kernel does not show its mappings
   */
  public ThreadStacks(int pid, MemoryReader memory, OwnCode ownCode, CodeObjects more) {
    this(pid, memory, ownCode, more, new StackObjects());
  }

  ThreadStacks(
      int pid, MemoryReader memory, OwnCode ownCode, CodeObjects more, StackObjects objects) {
    this.pid = pid;
    this.memory = memory;
    this.objects = objects;
    this.map = MemoryMap.read(pid);
    this.resolver = objects.resolver(pid, map, memory);
    this.unwinder = new Unwinder(CallConvention.AMD64, more.or(this::loadedAt), ownCode, memory);
  }

  /** Reads the target's mappings anew: do so after objects were loaded or unloaded. */
  public void refresh() {
    map = MemoryMap.read(pid);
    resolver = objects.resolver(pid, map, memory);
  }

  /**
   * The frames of a thread, if it is blocked.
   *
   * @throws TargetGoneException if the process has ended
   */
  public Look look(int tid) {
    return look(tid, Seen::new, new Running(), new Gone());
  }

  /**
   * The frames of a thread that is stopped.
   *
   * @param registers that were read since it has stopped
   * @throws TargetGoneException if the process has ended
   */
  public StackTrace of(Registers registers) {
    ImmutableLongArray general = registers.general();
    ImmutableMap.Builder<Integer, Long> values = ImmutableMap.builder();
    for (int i = 0; i < general.length(); i++) {
      values.put(i, general.get(i));
    }
    refreshFor(registers.rip(), registers.rsp());
    return unwinder.unwind(new RegisterValues(registers.rip(), values.buildOrThrow()));
  }

  /**
   * Whether a thread is in {@code code}, or returns to it. {@link Untold} of one that runs.
   *
   * @param code absolute
   * @throws TargetGoneException if the process has ended
   */
  public Usage use(int tid, List<Extent> code) {
    return look(
        tid,
        trace -> use(trace, code),
        new Untold("thread " + tid + " runs"),
        new Untold("thread " + tid + " has ended, or may not be looked at"));
  }

  /**
   * Whether the thread of a trace is in {@code code}, or returns to it.
   *
   * @param trace of a thread that has not run since
   * @param code absolute
   * @throws TargetGoneException if the process has ended
   */
  public Usage use(StackTrace trace, List<Extent> code) {
    return new StackUse(memory, map, code).of(trace);
  }

  /**
   * A frame as a person reads it: {@code object:function+0x12}. It searches the symbols of the
   * object: for messages.
   */
  public String describe(Frame frame) {
    return resolver
        .describe(frame.codeAddress())
        .orElseGet(() -> "0x" + Long.toHexString(frame.pc()));
  }

  /** Has {@code reading} done with the trace while the thread is blocked. */
  private <T> T look(int tid, Function<StackTrace, T> reading, T running, T gone) {
    for (int i = 0; i < TRIES; i++) {
      BlockedCall before = BlockedCall.read(tid);
      long switches = ProcStatus.switches(tid);
      if (before == null || switches < 0) {
        return gone;
      }
      if (before.running()) {
        continue;
      }
      long pc = before.instructionPointer();
      long stackPointer = before.stackPointer();
      refreshFor(pc, stackPointer);
      T read =
          reading.apply(unwinder.unwind(RegisterValues.of(CallConvention.AMD64, pc, stackPointer)));
      if (isAsBefore(tid, before, switches)) {
        return read;
      }
    }
    return running;
  }

  private static boolean isAsBefore(int tid, BlockedCall before, long switches) {
    // In this order: who is blocked has been counted.
    BlockedCall after = BlockedCall.read(tid);
    return after != null
        && !after.running()
        && after.number() == before.number()
        && after.stackPointer() == before.stackPointer()
        && after.instructionPointer() == before.instructionPointer()
        && ProcStatus.switches(tid) == switches;
  }

  /** A thread or an object may be newer than our map. */
  private void refreshFor(long pc, long stackPointer) {
    if (map.at(stackPointer).isEmpty() || map.at(pc).isEmpty()) {
      refresh();
    }
  }

  private Optional<CodeObjects.Loaded> loadedAt(long address) {
    Optional<ImageInMemory> object = resolver.objectOf(address);
    return object.map(
        found -> new CodeObjects.Loaded(objects.framesOf(found.image()), found.bias()));
  }
}
