package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.x86.target.EmittedCode.Line;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.function.LongBinaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Runs emitted code by its text, as Zydis writes it: the few instructions that {@link Emitter}
 * uses, and none else. Flags are known behind comparisons and logical operations only.
 */
final class Interpreter {
  /** Address of the memory, to which RBX points. */
  static final long MEMORY = 0x10_0000;

  private static final int SIZE = 0x1_0000;
  private static final long RETURN = -1;
  private static final int MOST_STEPS = 1_000_000;
  private static final ImmutableList<String> NAMES =
      ImmutableList.of(
          "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11");
  private static final Pattern PLACE =
      Pattern.compile("\\[(\\w+?)(?:\\+(r\\w+)\\*(\\d))?(?:([+-])0x([0-9A-F]+))?]");

  /** What the kernel answers: number and six arguments in, result out. */
  interface SystemCalls {
    long answer(long... numberAndArguments);
  }

  final ByteBuffer memory = ByteBuffer.allocate(SIZE).order(ByteOrder.LITTLE_ENDIAN);
  private final long[] registers = new long[NAMES.size()];
  private final ImmutableMap<Integer, Line> code;
  private final SystemCalls kernel;
  private boolean flagsKnown;
  private long left;
  private long right;

  Interpreter(List<Line> code, SystemCalls kernel) {
    this.code = code.stream().collect(ImmutableMap.toImmutableMap(Line::offset, line -> line));
    this.kernel = kernel;
  }

  /** Runs from an offset until it returns; RAX. Registers hold rubbish before. */
  long run(int offset) {
    java.util.Arrays.fill(registers, 0xdead_beef_dead_beefL);
    registers[NAMES.indexOf("rbx")] = MEMORY;
    registers[NAMES.indexOf("rsp")] = MEMORY + SIZE;
    push(RETURN);
    long at = offset;
    for (int steps = 0; at != RETURN; steps++) {
      if (steps == MOST_STEPS) {
        throw new IllegalStateException("it does not end");
      }
      Line line = code.get((int) at);
      at = step(line.text(), line.instruction().end());
    }
    return registers[0];
  }

  private long step(String text, long next) {
    String[] words = text.split(" ", 2);
    String[] operands = words.length == 1 ? new String[0] : words[1].split(", ");
    switch (words[0]) {
      case "mov", "movzx" -> set(operands[0], get(operands[1], operands[0]), width(operands));
      case "lea" -> set(operands[0], place(operands[1]), 8);
      case "add" -> operate(operands, Long::sum, false);
      case "sub" -> operate(operands, (a, b) -> a - b, false);
      case "and" -> operate(operands, (a, b) -> a & b, true);
      case "or" -> operate(operands, (a, b) -> a | b, true);
      case "xor" -> operate(operands, (a, b) -> a ^ b, true);
      case "shl" -> operate(operands, (a, b) -> a << b, false);
      case "shr" -> operate(operands, (a, b) -> a >>> b, false);
      case "cmp" -> flags(get(operands[0], operands[1]), get(operands[1], operands[0]), operands);
      case "test" ->
          flags(get(operands[0], operands[1]) & get(operands[1], operands[0]), 0, operands);
      case "imul" -> {
        set(operands[0], get(operands[1], "rax") * get(operands[2], "rax"), 8);
        flagsKnown = false;
      }
      case "div" -> {
        long divisor = get(operands[0], "rax");
        registers[2] = Long.remainderUnsigned(registers[0], divisor);
        registers[0] = Long.divideUnsigned(registers[0], divisor);
        flagsKnown = false;
      }
      case "cdqe" -> registers[0] = (int) registers[0];
      case "push" -> push(get(operands[0], "rax"));
      case "pop" -> set(operands[0], pop(), 8);
      case "call" -> {
        push(next);
        flagsKnown = false;
        return Long.decode(operands[0]);
      }
      case "ret" -> {
        flagsKnown = false;
        return pop();
      }
      case "syscall" -> {
        registers[0] =
            kernel.answer(
                registers[0],
                registers[7],
                registers[6],
                registers[2],
                registers[10],
                registers[8],
                registers[9]);
        registers[1] = 0xbad;
        registers[11] = 0xbad;
        flagsKnown = false;
      }
      case "jmp" -> {
        return Long.decode(operands[0]);
      }
      default -> {
        return holds(words[0]) ? Long.decode(operands[0]) : next;
      }
    }
    return next;
  }

  private boolean holds(String jump) {
    if (!flagsKnown) {
      throw new IllegalStateException(jump + " on flags that nothing has set");
    }
    return switch (jump) {
      case "jb" -> Long.compareUnsigned(left, right) < 0;
      case "jnb" -> Long.compareUnsigned(left, right) >= 0;
      case "jbe" -> Long.compareUnsigned(left, right) <= 0;
      case "jnbe" -> Long.compareUnsigned(left, right) > 0;
      case "jz" -> left == right;
      case "jnz" -> left != right;
      case "jl" -> left < right;
      case "jnl" -> left >= right;
      case "jle" -> left <= right;
      case "jnle" -> left > right;
      default -> throw new IllegalStateException("what is " + jump);
    };
  }

  private void operate(String[] operands, LongBinaryOperator operation, boolean setsFlags) {
    long result =
        operation.applyAsLong(get(operands[0], operands[1]), get(operands[1], operands[0]));
    set(operands[0], result, width(operands));
    flags(result, 0, operands);
    flagsKnown = setsFlags;
  }

  private void flags(long a, long b, String[] operands) {
    int unused = Long.SIZE - 8 * width(operands);
    left = a << unused >> unused;
    right = b << unused >> unused;
    flagsKnown = true;
  }

  private void push(long value) {
    registers[4] -= Long.BYTES;
    write(registers[4], value, 8);
  }

  private long pop() {
    registers[4] += Long.BYTES;
    return read(registers[4] - Long.BYTES, 8);
  }

  /** Width of an operation: of the operand that says it, the first if both do. */
  private static int width(String... operands) {
    for (String operand : operands) {
      if (operand.contains(" ptr ")) {
        return switch (operand.substring(0, operand.indexOf(' '))) {
          case "byte" -> 1;
          case "word" -> 2;
          case "dword" -> 4;
          default -> 8;
        };
      }
      if (Character.isLetter(operand.charAt(0))) {
        return operand.matches("r[a-z]+|r\\d+")
            ? 8
            : operand.matches("e..|r\\d+d") ? 4 : operand.matches(".x|.i|.p|r\\d+w") ? 2 : 1;
      }
    }
    throw new IllegalStateException("no width");
  }

  private static int register(String name) {
    if (name.startsWith("r") && Character.isDigit(name.charAt(1))) {
      return NAMES.indexOf(name.replaceAll("[dwb]$", ""));
    }
    String word = name.length() == 3 ? name.substring(1) : name;
    return NAMES.indexOf("r" + (word.endsWith("l") ? word.charAt(0) + "x" : word));
  }

  /** Zero-extended; numbers as they are written, sign-extended. */
  private long get(String operand, String other) {
    if (operand.startsWith("0x")) {
      return Long.parseUnsignedLong(operand.substring(2), 16);
    }
    int width = operand.startsWith("[") ? width(other) : width(operand);
    return operand.endsWith("]")
        ? read(place(operand), width)
        : cut(registers[register(operand)], width);
  }

  private void set(String operand, long value, int width) {
    if (operand.endsWith("]")) {
      write(place(operand), value, width);
    } else if (width(operand) < 4) {
      throw new IllegalStateException("part of a register");
    } else {
      registers[register(operand)] = cut(value, width(operand));
    }
  }

  private static long cut(long value, int width) {
    return width == 8 ? value : value & (1L << 8 * width) - 1;
  }

  private long place(String operand) {
    Matcher place = PLACE.matcher(operand.substring(operand.indexOf('[')));
    if (!place.matches()) {
      throw new IllegalStateException(operand);
    }
    if (place.group(1).startsWith("0x")) {
      return Long.decode(place.group(1));
    }
    long offset = place.group(5) == null ? 0 : Long.parseLong(place.group(5), 16);
    long index = place.group(2) == null ? 0 : registers[register(place.group(2))];
    return registers[register(place.group(1))]
        + index * (place.group(3) == null ? 0 : Long.parseLong(place.group(3)))
        + ("-".equals(place.group(4)) ? -offset : offset);
  }

  long read(long address, int width) {
    long value = 0;
    for (int i = 0; i < width; i++) {
      value |= (memory.get(Math.toIntExact(address - MEMORY) + i) & 0xffL) << 8 * i;
    }
    return value;
  }

  void write(long address, long value, int width) {
    for (int i = 0; i < width; i++) {
      memory.put(Math.toIntExact(address - MEMORY) + i, (byte) (value >> 8 * i));
    }
  }
}
