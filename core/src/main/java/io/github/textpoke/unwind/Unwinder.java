package io.github.textpoke.unwind;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.FrameRow;
import io.github.textpoke.process.MemoryReader;
import io.github.textpoke.unwind.OwnCode.AtDepth;
import io.github.textpoke.unwind.OwnCode.Like;
import io.github.textpoke.unwind.OwnCode.Stand;
import io.github.textpoke.unwind.StackTrace.Complete;
import io.github.textpoke.unwind.StackTrace.End;
import io.github.textpoke.unwind.StackTrace.Unknown;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * Follows a stack from frame to frame by call frame information, as an exception would be.
 *
 * <ol>
 *   <li>Assumes that the thread does not run from when its registers were read until {@link
 *       #unwind} has returned, and that the objects are those that are loaded. Nothing else: what
 *       is on the stack is not trusted.
 *   <li>A register that is not known matters only where a rule needs it. Most functions find their
 *       caller by the stack pointer alone, and what they have saved is known from then on.
 *   <li>A complete trace names all functions that the thread returns to. A trace that ends sooner
 *       says why. None is longer than {@link #MOST_FRAMES}.
 * </ol>
 *
 * <p>Not in a trace is who would go on if the program switched stacks by itself: a fiber that no
 * thread runs, or the scheduler that a fiber returns to.
 *
 * <p>Immutable; thread-safe if what it is given is. Source: DWARF 4, section 6.4; gcc,
 * libgcc/unwind-dw2.c.
 */
public final class Unwinder {
  /** More than the stacks of most threads (8 MiB) have room for. */
  public static final int MOST_FRAMES = 1 << 20;

  private final CallConvention convention;
  private final CodeObjects objects;
  private final OwnCode ownCode;
  private final MemoryReader memory;

  /**
   * What follows a frame.
   *
   * @param frame the frame
   * @param caller its caller's registers; null: it has none
   */
  private record Step(Frame frame, @Nullable RegisterValues caller) {}

  /**
   * @param memory of the thread's process
   */
  public Unwinder(
      CallConvention convention, CodeObjects objects, OwnCode ownCode, MemoryReader memory) {
    this.convention = convention;
    this.objects = objects;
    this.ownCode = ownCode;
    this.memory = memory;
  }

  /**
   * The frames of the thread that has these registers.
   *
   * @throws IllegalArgumentException if the stack pointer is not among them
   * @throws PatchException if the process has ended
   */
  public StackTrace unwind(RegisterValues registers) {
    Words words = new Words(memory);
    ImmutableList.Builder<Frame> frames = ImmutableList.builder();
    RegisterValues now = registers;
    boolean isReturnAddress = false;
    for (int i = 0; i < MOST_FRAMES; i++) {
      Step step;
      try {
        step = step(now, isReturnAddress, words);
      } catch (UnknownCallerException e) {
        frames.add(new Frame(now.pc(), isReturnAddress, OptionalLong.empty(), false));
        return new StackTrace(frames.build(), unknown(now, e.reason()));
      }
      frames.add(step.frame());
      RegisterValues caller = step.caller();
      if (caller == null) {
        return new StackTrace(frames.build(), new Complete());
      }
      now = caller;
      isReturnAddress = !step.frame().isSignalFrame();
    }
    frames.add(new Frame(now.pc(), isReturnAddress, OptionalLong.empty(), false));
    return new StackTrace(
        frames.build(), unknown(now, "the stack has more than " + MOST_FRAMES + " frames"));
  }

  private End unknown(RegisterValues now, String reason) {
    return new Unknown(now.pc(), stackPointer(now), reason);
  }

  private long stackPointer(RegisterValues registers) {
    Long value = registers.values().get(convention.stackPointer());
    if (value == null) {
      throw new IllegalArgumentException("no stack pointer: " + registers);
    }
    return value;
  }

  private Step step(RegisterValues now, boolean isReturnAddress, Words words)
      throws UnknownCallerException {
    Stand own = ownCode.at(now.pc(), isReturnAddress).orElse(null);
    if (own instanceof AtDepth at) {
      return shallow(now, isReturnAddress, at.depth(), words);
    }
    long pc = own instanceof Like like ? like.address() : now.pc();
    FrameRow row = row(isReturnAddress ? pc - 1 : pc);
    FrameRules rules = new FrameRules(convention, row, pc, now.values(), words);
    Optional<RegisterValues> caller = rules.caller();
    OptionalLong cfa = caller.isPresent() ? OptionalLong.of(rules.cfa()) : OptionalLong.empty();
    return new Step(
        new Frame(now.pc(), isReturnAddress, cfa, row.isSignalFrame()), caller.orElse(null));
  }

  /** Code of ours that has only pushed. */
  private Step shallow(RegisterValues now, boolean isReturnAddress, long depth, Words words)
      throws UnknownCallerException {
    long at = stackPointer(now) + depth;
    long cfa = at + Long.BYTES;
    ImmutableMap.Builder<Integer, Long> values = ImmutableMap.builder();
    now.values()
        .forEach(
            (register, value) -> {
              if (convention.preserved().contains(register)) {
                values.put(register, value);
              }
            });
    values.put(convention.stackPointer(), cfa);
    return new Step(
        new Frame(now.pc(), isReturnAddress, OptionalLong.of(cfa), false),
        new RegisterValues(words.word(at), values.buildOrThrow()));
  }

  private FrameRow row(long address) throws UnknownCallerException {
    try {
      CodeObjects.Loaded object =
          objects
              .at(address)
              .orElseThrow(() -> new UnknownCallerException("the code belongs to no object"));
      return object
          .frames()
          .rowAt(address - object.bias())
          .orElseThrow(
              () ->
                  new UnknownCallerException("its object has no unwind information for the code"));
    } catch (BadObjectException bad) {
      throw new UnknownCallerException(bad.what());
    }
  }
}
