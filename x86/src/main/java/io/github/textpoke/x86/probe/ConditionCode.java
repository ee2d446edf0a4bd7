package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.probe.CallCondition.Comparison;
import io.github.textpoke.x86.probe.CallCondition.Test;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;

/**
 * Writes a {@link CallCondition} into a body at an entry, where argument registers are as the
 * caller has left them. Numbers that no instruction can hold stand below the stack pointer for as
 * long as they are compared.
 */
final class ConditionCode {
  /** Where the arguments are (psABI 3.2.3). */
  static final ImmutableList<Register> ARGUMENTS =
      ImmutableList.of(
          Register.RDI, Register.RSI, Register.RDX, Register.RCX, Register.R8, Register.R9);

  private static final int VALUE = ProbeCode.SCRATCH;
  private static final int MASK = ProbeCode.MORE_SCRATCH;

  private ConditionCode() {}

  /** How many bytes {@link #write} takes. */
  static int size(CallCondition condition) {
    Assembler code = new Assembler();
    Label fails = new Label();
    write(code, condition, fails);
    return code.size();
  }

  /**
   * Goes on behind where the condition holds, and at {@code fails} where it does not. Changes RAX
   * and flags.
   */
  static void write(Assembler code, CallCondition condition, Label fails) {
    condition.tests().forEach(test -> write(code, test, fails));
  }

  private static void write(Assembler code, Test test, Label fails) {
    Argument argument = test.argument();
    IntegerType type = argument.type();
    keepWide(code, VALUE, test.value());
    keepWide(code, MASK, argument.mask());
    code.extend(Register.RAX, ARGUMENTS.get(argument.number() - 1), type.bytes(), type.isSigned());
    if (argument.mask() != -1) {
      operate(code, Operation.AND, argument.mask(), MASK);
    }
    operate(code, Operation.CMP, test.value(), VALUE);
    code.jump(holds(test.comparison(), type.isSigned()).opposite(), fails);
  }

  private static boolean isWide(long value) {
    return value != (int) value;
  }

  private static void keepWide(Assembler code, int where, long value) {
    if (isWide(value)) {
      code.move(Register.RAX, value);
      code.store(Register.RSP, where, Register.RAX, Long.BYTES);
    }
  }

  private static void operate(Assembler code, Operation operation, long value, int where) {
    if (isWide(value)) {
      code.operate(operation, Register.RAX, Register.RSP, where);
    } else {
      code.operate(operation, Register.RAX, (int) value);
    }
  }

  private static Condition holds(Comparison comparison, boolean isSigned) {
    return switch (comparison) {
      case EQUAL -> Condition.EQUAL;
      case NOT_EQUAL -> Condition.NOT_EQUAL;
      case LESS -> isSigned ? Condition.LESS : Condition.BELOW;
      case AT_MOST -> isSigned ? Condition.NOT_GREATER : Condition.NOT_ABOVE;
      case GREATER -> isSigned ? Condition.GREATER : Condition.ABOVE;
      case AT_LEAST -> isSigned ? Condition.NOT_LESS : Condition.NOT_BELOW;
    };
  }
}
