package io.github.textpoke.unwind;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.elf.FrameRow;
import io.github.textpoke.elf.FrameRow.CfaExpression;
import io.github.textpoke.elf.FrameRow.CfaOffset;
import io.github.textpoke.elf.FrameRow.InRegister;
import io.github.textpoke.elf.FrameRow.RegisterRule;
import io.github.textpoke.elf.FrameRow.SameValue;
import io.github.textpoke.elf.FrameRow.SavedAt;
import io.github.textpoke.elf.FrameRow.SavedWhere;
import io.github.textpoke.elf.FrameRow.Undefined;
import io.github.textpoke.elf.FrameRow.ValueBy;
import io.github.textpoke.elf.FrameRow.ValueOf;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;

/** Applies one row to the registers of one frame. */
final class FrameRules {
  private final CallConvention convention;
  private final FrameRow row;

  /** With the number of the return address standing for the instruction pointer. */
  private final ImmutableMap<Integer, Long> registers;

  private final Words words;

  /** Of the frame, not of its caller. */
  private final ImmutableMap<Integer, Long> values;

  private long cfa;

  /**
   * @param pc absolute address that the row is for
   * @param values of the frame's registers
   */
  FrameRules(
      CallConvention convention,
      FrameRow row,
      long pc,
      ImmutableMap<Integer, Long> values,
      Words words) {
    this.convention = convention;
    this.row = row;
    this.values = values;
    this.words = words;
    this.registers =
        ImmutableMap.<Integer, Long>builder()
            .putAll(values)
            .put(row.returnAddress(), pc)
            .buildKeepingLast();
  }

  /** The canonical frame address; after {@link #caller} has found one. */
  long cfa() {
    return cfa;
  }

  /** The caller's registers; empty where there is no caller. */
  Optional<RegisterValues> caller() throws UnknownCallerException {
    RegisterRule back = row.registers().get(row.returnAddress());
    if (back instanceof Undefined) {
      return Optional.empty();
    }
    if (back == null || back instanceof SameValue) {
      throw new UnknownCallerException("its unwind information does not say where it returns to");
    }
    cfa = frameAddress();
    long pc = value(row.returnAddress(), back);
    ImmutableMap.Builder<Integer, Long> caller = ImmutableMap.builder();
    for (int register : mentioned()) {
      OptionalLong value = ofCaller(register);
      if (value.isPresent()) {
        caller.put(register, value.getAsLong());
      }
    }
    caller.put(convention.stackPointer(), callersStackPointer());
    return Optional.of(new RegisterValues(pc, caller.buildOrThrow()));
  }

  private Set<Integer> mentioned() {
    Set<Integer> numbers = new TreeSet<>(row.registers().keySet());
    numbers.addAll(values.keySet());
    numbers.remove(row.returnAddress());
    numbers.remove(convention.stackPointer());
    return numbers;
  }

  private long frameAddress() throws UnknownCallerException {
    if (row.cfa() instanceof CfaOffset offset) {
      return register(offset.register()) + offset.offset();
    }
    CfaExpression computed = (CfaExpression) row.cfa();
    return ExpressionMachine.evaluate(computed.expression(), registers, words);
  }

  private long callersStackPointer() throws UnknownCallerException {
    RegisterRule rule = row.registers().get(convention.stackPointer());
    long now = register(convention.stackPointer());
    if (rule != null) {
      return value(convention.stackPointer(), rule);
    }
    // A call pushes, so this can't be; and a trace that only goes up comes to an end. Who has
    // popped
    // the return address into a register, to jump there, is an exception once: the caller has lost
    // that register.
    int order = Long.compareUnsigned(cfa, now);
    if (order < 0
        || (order == 0 && !(row.registers().get(row.returnAddress()) instanceof InRegister))) {
      throw new UnknownCallerException(
          "its caller's stack pointer would be 0x%x, which is not above 0x%x".formatted(cfa, now));
    }
    return cfa;
  }

  /** Empty where it is not known; that is no failure before a rule needs it. */
  private OptionalLong ofCaller(int register) {
    RegisterRule rule = row.registers().get(register);
    if (rule == null || rule instanceof SameValue) {
      Long value =
          rule == null && !convention.preserved().contains(register) ? null : values.get(register);
      return value == null ? OptionalLong.empty() : OptionalLong.of(value);
    }
    if (rule instanceof Undefined) {
      return OptionalLong.empty();
    }
    try {
      return OptionalLong.of(value(register, rule));
    } catch (UnknownCallerException unknown) {
      return OptionalLong.empty();
    }
  }

  private long value(int register, RegisterRule rule) throws UnknownCallerException {
    if (rule instanceof SavedAt saved) {
      return words.word(cfa + saved.offset());
    } else if (rule instanceof ValueOf value) {
      return cfa + value.offset();
    } else if (rule instanceof InRegister in) {
      return register(in.register());
    } else if (rule instanceof SavedWhere saved) {
      return words.word(ExpressionMachine.evaluate(saved.expression(), registers, words, cfa));
    } else if (rule instanceof ValueBy by) {
      return ExpressionMachine.evaluate(by.expression(), registers, words, cfa);
    } else if (rule instanceof SameValue) {
      return register(register);
    }
    throw new UnknownCallerException(ExpressionMachine.unknownRegister(register));
  }

  private long register(int number) throws UnknownCallerException {
    Long value = registers.get(number);
    if (value == null) {
      throw new UnknownCallerException(ExpressionMachine.unknownRegister(number));
    }
    return value;
  }
}
