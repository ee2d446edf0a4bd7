package io.github.textpoke.unwind;

import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.Ints;
import io.github.textpoke.CodeBytes;

/**
 * Evaluates the expressions of call frame information (DWARF 4, sections 2.5 and 7.7.1). A closed
 * list: what section 6.4.2 forbids there, and what is not named here, is not known.
 */
final class ExpressionMachine {
  /** An expression may branch back; those of compilers have a dozen operations. */
  private static final int MOST_STEPS = 10_000;

  private static final int MOST_ENTRIES = 256;

  private final CodeBytes code;
  private final ImmutableMap<Integer, Long> registers;
  private final Words words;
  private final long[] stack = new long[MOST_ENTRIES];
  private int depth;
  private int at;

  private ExpressionMachine(CodeBytes code, ImmutableMap<Integer, Long> registers, Words words) {
    this.code = code;
    this.registers = registers;
    this.words = words;
  }

  /**
   * What an expression yields.
   *
   * @param first what is on the stack beforehand; none or one
   */
  static long evaluate(
      CodeBytes code, ImmutableMap<Integer, Long> registers, Words words, long... first)
      throws UnknownCallerException {
    ExpressionMachine machine = new ExpressionMachine(code, registers, words);
    for (long value : first) {
      machine.push(value);
    }
    return machine.run();
  }

  private long run() throws UnknownCallerException {
    int steps = 0;
    while (at != code.length()) {
      if (++steps > MOST_STEPS) {
        throw bad("does not end");
      }
      step(u8());
    }
    return pop();
  }

  private void step(int operation) throws UnknownCallerException {
    if (operation >= 0x30 && operation <= 0x4f) { // lit
      push(operation - 0x30);
    } else if (operation >= 0x70 && operation <= 0x8f) { // breg
      push(register(operation - 0x70) + leb(true));
    } else if (operation >= 0x08 && operation <= 0x11) {
      push(constant(operation));
    } else if (operation >= 0x1a && operation <= 0x2e && operation != 0x28) {
      calculate(operation);
    } else {
      other(operation);
    }
  }

  private void other(int operation) throws UnknownCallerException {
    switch (operation) {
      case 0x06 -> push(words.word(pop())); // deref
      case 0x12 -> push(pick(0)); // dup
      case 0x13 -> pop(); // drop
      case 0x14 -> push(pick(1)); // over
      case 0x15 -> push(pick(u8())); // pick
      case 0x16 -> rotate(2); // swap
      case 0x17 -> rotate(3); // rot
      case 0x19 -> push(Math.abs(pop())); // abs
      case 0x28 -> { // bra
        int distance = (short) fixed(2);
        if (pop() != 0) {
          branch(distance);
        }
      }
      case 0x2f -> branch((short) fixed(2)); // skip
      case 0x92 -> push(register(Ints.saturatedCast(leb(false))) + leb(true));
      case 0x94 -> { // deref_size
        int width = u8();
        if (width < 1 || width > Long.BYTES) {
          throw bad("reads " + width + " bytes");
        }
        push(words.number(pop(), width));
      }
      case 0x96 -> {} // nop
      default -> throw bad("has operation 0x" + Integer.toHexString(operation) + ", not known");
    }
  }

  private long constant(int operation) throws UnknownCallerException {
    return switch (operation) {
      case 0x08 -> fixed(1);
      case 0x09 -> (byte) fixed(1);
      case 0x0a -> fixed(2);
      case 0x0b -> (short) fixed(2);
      case 0x0c -> fixed(4);
      case 0x0d -> (int) fixed(4);
      case 0x0e, 0x0f -> fixed(8);
      case 0x10 -> leb(false);
      case 0x11 -> leb(true);
      default -> throw new IllegalStateException("no constant: " + operation);
    };
  }

  private void calculate(int operation) throws UnknownCallerException {
    long right = pop();
    switch (operation) {
      case 0x1f -> push(-right); // neg
      case 0x20 -> push(~right); // not
      case 0x23 -> push(right + leb(false)); // plus_uconst
      default -> push(binary(operation, pop(), right));
    }
  }

  private long binary(int operation, long left, long right) throws UnknownCallerException {
    boolean divides = operation == 0x1b || operation == 0x1d;
    if (divides && right == 0) {
      throw bad("divides by 0");
    }
    return switch (operation) {
      case 0x1a -> left & right;
      case 0x1b -> left / right;
      case 0x1c -> left - right;
      case 0x1d -> Long.remainderUnsigned(left, right);
      case 0x1e -> left * right;
      case 0x21 -> left | right;
      case 0x22 -> left + right;
      case 0x24 -> isWide(right) ? 0 : left << right;
      case 0x25 -> isWide(right) ? 0 : left >>> right;
      case 0x26 -> left >> (isWide(right) ? Long.SIZE - 1 : right);
      case 0x27 -> left ^ right;
      case 0x29 -> left == right ? 1 : 0;
      case 0x2a -> left >= right ? 1 : 0;
      case 0x2b -> left > right ? 1 : 0;
      case 0x2c -> left <= right ? 1 : 0;
      case 0x2d -> left < right ? 1 : 0;
      case 0x2e -> left != right ? 1 : 0;
      default -> throw new IllegalStateException("no operation on two: " + operation);
    };
  }

  private static boolean isWide(long shift) {
    return shift < 0 || shift >= Long.SIZE;
  }

  private long register(int number) throws UnknownCallerException {
    Long value = registers.get(number);
    if (value == null) {
      throw new UnknownCallerException(unknownRegister(number));
    }
    return value;
  }

  static String unknownRegister(int number) {
    return "it depends on register " + number + " (DWARF), whose value is not known";
  }

  private void branch(int distance) throws UnknownCallerException {
    int target = at + distance;
    if (target < 0 || target > code.length()) {
      throw bad("branches out of itself");
    }
    at = target;
  }

  /** The entry on top becomes the lowest of {@code count}. */
  private void rotate(int count) throws UnknownCallerException {
    pick(count - 1);
    long top = stack[depth - 1];
    System.arraycopy(stack, depth - count, stack, depth - count + 1, count - 1);
    stack[depth - count] = top;
  }

  private long pick(int below) throws UnknownCallerException {
    if (below >= depth) {
      throw bad("takes more than there is");
    }
    return stack[depth - 1 - below];
  }

  private void push(long value) throws UnknownCallerException {
    if (depth == stack.length) {
      throw bad("needs more than " + MOST_ENTRIES + " entries");
    }
    stack[depth++] = value;
  }

  private long pop() throws UnknownCallerException {
    long top = pick(0);
    depth--;
    return top;
  }

  private int u8() throws UnknownCallerException {
    if (at >= code.length()) {
      throw bad("is cut off");
    }
    return code.at(at++);
  }

  private long fixed(int width) throws UnknownCallerException {
    long value = 0;
    for (int i = 0; i < width; i++) {
      value |= (long) u8() << 8 * i;
    }
    return value;
  }

  private long leb(boolean signed) throws UnknownCallerException {
    long value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      int next = u8();
      if (shift < Long.SIZE) {
        value |= (long) (next & 0x7f) << shift;
      }
      if ((next & 0x80) == 0) {
        int width = shift + 7;
        boolean extend = signed && width < Long.SIZE;
        return extend ? value << Long.SIZE - width >> Long.SIZE - width : value;
      }
    }
    throw bad("has a number that is too long");
  }

  private UnknownCallerException bad(String what) {
    return new UnknownCallerException("the expression " + code.hex() + " " + what);
  }
}
