package io.github.textpoke.x86.detour;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.x86.detour.ReturnOverride.Always;
import io.github.textpoke.x86.detour.ReturnOverride.Chance;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;

/**
 * The code of a return override, to which the overridden function's entry jumps, and its data.
 *
 * <p>Assumes that
 *
 * <ol>
 *   <li>it is entered by a jump, as the function itself would be: rsp points to the return address;
 *       by any thread, by many at once, and again from a signal handler;
 *   <li>the data block is as {@link #data} says before the first thread enters, and is written by
 *       nobody else;
 *   <li>the stack has room for 3 KiB if errno or a duration is given, else for 48 bytes; and the
 *       processor has XSAVE, enabled ({@code xsave} in /proc/cpuinfo), if errno or a duration is
 *       given;
 *   <li>{@code errnoLocation} and {@code clock} do not lead into a detour that calls the function.
 *       That it is one of the two itself is refused; whoever puts a detour on one of the two later
 *       refuses while there is an override that calls it, or has the override call the original.
 * </ol>
 *
 * <p>Guarantees that
 *
 * <ol>
 *   <li>where it goes on to the original, all registers are as at the entry, vector registers, x87
 *       and flags among them, and so is the stack from rsp upwards: callers may know more of the
 *       function than the ABI does (gcc's -fipa-ra);
 *   <li>where it overrides, it returns with the value in rax, and else as much unchanged; without
 *       conditions the flags may change. errno is set after the call was counted;
 *   <li>it has no loop, takes no lock and makes no system call of its own, so each thread is done
 *       after a bounded number of instructions, whatever others do;
 *   <li>each count is exact, and no more calls are overridden than there may be;
 *   <li>it only calls and returns in pairs, so a shadow stack stays right.
 * </ol>
 *
 * <p>Unwinding. Without conditions and errno, rsp stays as at the entry, so the return address is
 * at rsp. Else the body makes a frame, {@code push rbp; mov rbp, rsp}, right behind its ENDBR64,
 * and takes it down by {@code pop rbp} as the last but the {@code jmp} or {@code ret}:
 *
 * <ul>
 *   <li>Within the frame, and in what the body calls, the return address is at rbp + 8 and the
 *       caller's rbp at rbp; who looks at rsp finds something else.
 *   <li>At the four instructions outside of it (ENDBR64, {@code push}, {@code jmp}, {@code ret})
 *       the return address is at rsp, and who unwinds by rbp misses the caller; at the {@code mov}
 *       it is at rsp + 8. So it is in any function with a frame.
 *   <li>There is no unwind information (.eh_frame). Who needs it stops in the body: an unwinder
 *       that does not guess, and the asynchronous cancellation of a thread.
 * </ul>
 *
 * <p>Immutable and thread-safe; made without a process.
 *
 * @param code for exactly the address given
 * @param data the data block before the first call; empty where none is needed
 */
record OverrideBody(CodeBytes code, CodeBytes data) {
  /** In bytes: the address of the code should be a multiple of it. */
  static final int ALIGNMENT = 16;

  private static final int CLOCK_MONOTONIC_COARSE = 6;
  private static final int NANOS_PER_SECOND = 1_000_000_000;
  private static final int TIME_SECONDS = 0;
  private static final int TIME_NANOS = 8;

  /** Pushed behind rbp and the flags, in this order. */
  private static final ImmutableList<Register> SAVED =
      ImmutableList.of(Register.RAX, Register.RCX, Register.RDX, Register.RSI);

  private static final int FLAGS_SIZE = Long.BYTES;
  private static final int SAVED_RAX = -FLAGS_SIZE - Long.BYTES;
  private static final int DEPTH = FLAGS_SIZE + SAVED.size() * Long.BYTES;

  /**
   * Where things are in the target; absolute addresses.
   *
   * @param function entry of the function that is overridden
   * @param body where the code will be
   * @param data where the data block will be, a multiple of {@link OverrideData#ALIGNMENT}; counts
   *     only where one is needed
   * @param original what runs where the call is not overridden: the out-of-line copy or the entry
   *     stub of the detour below, within 2 GiB
   * @param errnoLocation the C library's {@code __errno_location}; counts only with errno
   * @param clock the vDSO's {@code __vdso_clock_gettime}; counts only with a duration
   * @param deadline in nanoseconds of the target's CLOCK_MONOTONIC (its time namespace's); counts
   *     only with a duration
   */
  record Places(
      long function,
      long body,
      long data,
      long original,
      long errnoLocation,
      long clock,
      long deadline) {
    Places {
      checkArgument(data % OverrideData.ALIGNMENT == 0, "no cache line begins at %s", data);
    }
  }

  /**
   * Makes a body.
   *
   * @throws PlanRefusedException by rule 13 if the original is out of reach
   * @throws UnsupportedPlanException if the body would call the function that it overrides
   */
  static OverrideBody of(ReturnOverride override, Places places) {
    if (override.errno().isPresent()) {
      checkNotItself(places, places.errnoLocation, "__errno_location", "errno");
    }
    if (override.duration().isPresent()) {
      checkNotItself(places, places.clock, "clock_gettime", "a duration");
    }
    return new OverrideBody(new Writer(override, places).write(), OverrideData.initial(override));
  }

  /** The most bytes that the code of an override has, wherever things are. */
  static int roomForCode(ReturnOverride override) {
    long far = 1L << 46;
    return new Writer(override, new Places(far, far, far, far, far, far, far)).write().length();
  }

  private static void checkNotItself(Places places, long callee, String name, String what) {
    if (callee == places.function) {
      throw new UnsupportedPlanException(
          "an override with "
              + what
              + " calls "
              + name
              + ", which is the very function at 0x"
              + Long.toHexString(callee)
              + " that it should override: each call would lead to the next, for ever",
          "override it without " + what);
    }
  }

  /** Writes one body. */
  private static final class Writer {
    private final ReturnOverride override;
    private final Places places;
    private final Assembler code = new Assembler();
    private final OutsideCall outside = new OutsideCall(code, DEPTH);
    private final Label original = new Label();

    private Writer(ReturnOverride override, Places places) {
      this.override = override;
      this.places = places;
    }

    CodeBytes write() {
      code.landingPad();
      if (override.isUnconditional() && override.errno().isEmpty()) {
        code.move(Register.RAX, constant());
        code.ret();
        return bytes();
      }
      begin();
      if (!override.isUnconditional()) {
        code.move(Register.RSI, places.data);
        override.limit().ifPresent(this::testSpent);
        override.duration().ifPresent(duration -> testDeadline());
        if (override.every() > 1) {
          testEveryNth();
        }
        override.chance().filter(chance -> !chance.isCertain()).ifPresent(this::testChance);
        take();
      }
      value();
      override.errno().ifPresent(this::setErrno);
      end();
      code.ret();
      if (override.isUnconditional()) {
        return bytes();
      }
      code.place(original);
      end();
      CodeBytes tests = bytes();
      Assembly jump = Assembly.jmp(places.original);
      return tests.concat(jump.at(places.body + tests.length(), 5));
    }

    private CodeBytes bytes() {
      return CodeBytes.of(code.toByteArray());
    }

    /** The one value of an override that has only one. */
    private long constant() {
      return ((Always) override.returned()).value();
    }

    private void begin() {
      code.push(Register.RBP);
      code.move(Register.RBP, Register.RSP);
      code.pushFlags();
      SAVED.forEach(code::push);
    }

    private void end() {
      SAVED.reverse().forEach(code::pop);
      code.popFlags();
      code.pop(Register.RBP);
    }

    private void testDeadline() {
      code.load(Register.RAX, Register.RSI, OverrideData.ENDED, Long.BYTES);
      code.operate(Operation.CMP, Register.RAX, 0);
      code.jump(Condition.NOT_EQUAL, original);
      outside.emit(
          places.clock,
          () -> {
            code.move(Register.RDI, CLOCK_MONOTONIC_COARSE);
            code.move(Register.RSI, Register.RSP);
          },
          () -> {
            code.signExtend();
            code.move(Register.RSI, Register.RAX);
            code.load(Register.RCX, Register.RSP, TIME_SECONDS, Long.BYTES);
            code.multiply(Register.RCX, NANOS_PER_SECOND);
            code.operate(Operation.ADD, Register.RCX, Register.RSP, TIME_NANOS);
          });
      // Who can't tell the time can't tell that there is any left.
      code.operate(Operation.CMP, Register.RSI, 0);
      code.jump(Condition.NOT_EQUAL, original);
      Label inTime = new Label();
      code.move(Register.RSI, places.data);
      code.move(Register.RAX, places.deadline);
      code.operate(Operation.CMP, Register.RCX, Register.RAX);
      code.jump(Condition.LESS, inTime);
      code.move(Register.RAX, 1);
      code.store(Register.RSI, OverrideData.ENDED, Register.RAX, Long.BYTES);
      code.jump(original);
      code.place(inTime);
    }

    private void testEveryNth() {
      code.move(Register.RAX, 1);
      code.exchangeAndAdd(Register.RSI, OverrideData.CALLS, Register.RAX);
      code.operate(Operation.ADD, Register.RAX, 1);
      code.move(Register.RCX, override.every());
      code.divide();
      code.operate(Operation.CMP, Register.RDX, 0);
      code.jump(Condition.NOT_EQUAL, original);
    }

    /** The finalizer of SplittableRandom: mix64, Stafford's variant 13. */
    private void testChance(Chance chance) {
      code.move(Register.RCX, OverrideData.STEP);
      code.move(Register.RAX, Register.RCX);
      code.exchangeAndAdd(Register.RSI, OverrideData.GENERATOR, Register.RAX);
      code.operate(Operation.ADD, Register.RAX, Register.RCX);
      mix(30, 0xbf58_476d_1ce4_e5b9L);
      mix(27, 0x94d0_49bb_1331_11ebL);
      fold(31);
      compareWith(chance.threshold().longValue());
      code.jump(Condition.NOT_BELOW, original);
    }

    private void mix(int shift, long factor) {
      fold(shift);
      code.move(Register.RCX, factor);
      code.multiply(Register.RAX, Register.RCX);
    }

    private void fold(int shift) {
      code.move(Register.RCX, Register.RAX);
      code.shiftRight(Register.RCX, shift);
      code.operate(Operation.XOR, Register.RAX, Register.RCX);
    }

    /**
     * When all are taken, no call is overridden any more, whatever the other tests say: neither the
     * clock nor a line that others write is needed to know it.
     */
    private void testSpent(long limit) {
      code.load(Register.RAX, Register.RSI, OverrideData.TAKEN, Long.BYTES);
      compareWith(limit);
      code.jump(Condition.NOT_BELOW, original);
    }

    /** RAX = how many calls were taken before. The last test, so whoever is counted overrides. */
    private void take() {
      code.move(Register.RAX, 1);
      code.exchangeAndAdd(Register.RSI, OverrideData.TAKEN, Register.RAX);
      override
          .limit()
          .ifPresent(
              limit -> {
                compareWith(limit);
                code.jump(Condition.NOT_BELOW, original);
              });
    }

    private void compareWith(long number) {
      code.move(Register.RCX, number);
      code.operate(Operation.CMP, Register.RAX, Register.RCX);
    }

    /** Puts the value where rax is restored from. */
    private void value() {
      if (override.returned() instanceof Always) {
        code.move(Register.RAX, constant());
      } else {
        code.shiftLeft(Register.RAX, 3);
        code.operate(Operation.ADD, Register.RAX, Register.RSI);
        code.load(Register.RAX, Register.RAX, OverrideData.VALUES, Long.BYTES);
      }
      code.store(Register.RBP, SAVED_RAX, Register.RAX, Long.BYTES);
    }

    private void setErrno(int number) {
      outside.emit(
          places.errnoLocation,
          () -> {},
          () -> {
            code.move(Register.RCX, number);
            code.store(Register.RAX, 0, Register.RCX, Integer.BYTES);
          });
    }
  }
}
