package io.github.textpoke.x86.detour;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.x86.detour.OverrideBody.Places;
import io.github.textpoke.x86.detour.ReturnOverride.Always;
import io.github.textpoke.x86.detour.ReturnOverride.Chance;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;

/**
 * Writes the code of one {@link OverrideBody}: the tests in the order that {@link ReturnOverride}
 * gives, the value, and two ends, of which one returns and one goes on to the original. RSI points
 * to the data block from one test to the next; RAX, RCX and RDX are free. Of one thread.
 */
final class OverrideWriter {
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

  private final ReturnOverride override;
  private final Places places;
  private final Assembler code = new Assembler();
  private final OutsideCall outside = new OutsideCall(code, DEPTH);
  private final Label original = new Label();

  OverrideWriter(ReturnOverride override, Places places) {
    this.override = override;
    this.places = places;
  }

  /**
   * The code.
   *
   * @throws PlanRefusedException by rule 13 if the original is out of reach
   */
  CodeBytes write() {
    code.landingPad();
    if (override.isUnconditional() && override.errno().isEmpty()) {
      code.move(Register.RAX, constant());
      code.ret();
      return bytes();
    }
    begin();
    if (!override.isUnconditional()) {
      code.move(Register.RSI, places.data());
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
    Assembly jump = Assembly.jmp(places.original());
    return tests.concat(jump.at(places.body() + tests.length(), 5));
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
        places.clock(),
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
    code.move(Register.RSI, places.data());
    code.move(Register.RAX, places.deadline());
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
        places.errnoLocation(),
        () -> {},
        () -> {
          code.move(Register.RCX, number);
          code.store(Register.RAX, 0, Register.RCX, Integer.BYTES);
        });
  }
}
