package io.github.textpoke.x86.target;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.decode.RequiresZydis;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is written is what was asked for: each form is read back, and compared as text. */
@RequiresZydis
final class AssemblerTest {
  private static final ImmutableList<String> WORDS =
      ImmutableList.of("ax", "cx", "dx", "bx", "sp", "bp", "si", "di");

  private static final int[] DISPLACEMENTS = {
    0, 1, -1, 127, 128, -128, -129, 0x1234_5678, Integer.MAX_VALUE, Integer.MIN_VALUE
  };

  private static final int[] IMMEDIATES = {
    1, -1, 127, 128, -128, -129, 255, 256, 0x1234_5678, Integer.MAX_VALUE, Integer.MIN_VALUE
  };

  private final Assembler assembler = new Assembler();
  private final List<String> expected = new ArrayList<>();

  private void write(Consumer<Assembler> form, String text) {
    form.accept(assembler);
    expected.add(text);
  }

  private void assertReadsAsWritten() {
    byte[] bytes = assembler.toByteArray();
    assertThat(EmittedCode.of(CodeBytes.copyOf(bytes, 0, bytes.length)))
        .extracting(EmittedCode.Line::text)
        .containsExactlyElementsOf(expected);
  }

  @ParameterizedTest
  @EnumSource
  void movesNumbers(Register to) {
    write(a -> a.move(to, 0), "xor %s, %<s".formatted(name(to, 4)));
    for (long value : new long[] {1, 0x7f, 0x80, 0x7fff_ffffL, 0x8000_0000L, 0xffff_ffffL}) {
      write(a -> a.move(to, value), "mov %s, %s".formatted(name(to, 4), hex(value)));
    }
    for (long value : new long[] {-1, -128, Integer.MIN_VALUE, 1L << 32, Long.MIN_VALUE}) {
      write(a -> a.move(to, value), "mov %s, %s".formatted(name(to, 8), hex(value)));
    }
    assertReadsAsWritten();
  }

  @ParameterizedTest
  @EnumSource
  void movesAndCountsBetweenRegisters(Register to) {
    for (Register from : Register.values()) {
      write(a -> a.move(to, from), "mov %s, %s".formatted(name(to, 8), name(from, 8)));
      for (Operation operation : Operation.values()) {
        write(
            a -> a.operate(operation, to, from),
            "%s %s, %s".formatted(name(operation), name(to, 8), name(from, 8)));
      }
      write(a -> a.multiply(to, from), "imul %s, %s".formatted(name(to, 8), name(from, 8)));
    }
    write(a -> a.call(to), "call " + name(to, 8));
    assertReadsAsWritten();
  }

  @ParameterizedTest
  @EnumSource
  void countsWithNumbers(Register to) {
    for (int value : IMMEDIATES) {
      for (Operation operation : Operation.values()) {
        write(
            a -> a.operate(operation, to, value),
            "%s %s, %s".formatted(name(operation), name(to, 8), hex(value)));
      }
      write(a -> a.multiply(to, value), "imul %s, %<s, %s".formatted(name(to, 8), hex(value)));
    }
    for (int count : new int[] {2, 4, 63}) {
      write(a -> a.shiftLeft(to, count), "shl %s, %s".formatted(name(to, 8), hex(count)));
      write(a -> a.shiftRight(to, count), "shr %s, %s".formatted(name(to, 8), hex(count)));
    }
    write(a -> a.push(to), "push " + name(to, 8));
    write(a -> a.pop(to), "pop " + name(to, 8));
    assertReadsAsWritten();
  }

  @ParameterizedTest
  @EnumSource
  void readsAndWritesMemory(Register base) {
    for (int displacement : DISPLACEMENTS) {
      String memory = memory(base, displacement);
      for (Register other : Register.values()) {
        write(a -> a.load(other, base, displacement, 8), "mov " + name(other, 8) + ", " + memory);
        write(a -> a.load(other, base, displacement, 4), "mov " + name(other, 4) + ", " + memory);
        write(
            a -> a.load(other, base, displacement, 2),
            "movzx " + name(other, 4) + ", word ptr " + memory);
        write(
            a -> a.load(other, base, displacement, 1),
            "movzx " + name(other, 4) + ", byte ptr " + memory);
        write(a -> a.address(other, base, displacement), "lea " + name(other, 8) + ", " + memory);
        write(
            a -> a.exchangeAndAdd(base, displacement, other),
            "lock xadd " + memory + ", " + name(other, 8));
        write(
            a -> a.compareAndSwap(base, displacement, other),
            "lock cmpxchg " + memory + ", " + name(other, 8));
        write(a -> a.exchange(base, displacement, other), "xchg " + memory + ", " + name(other, 8));
        for (int width : new int[] {2, 4, 8}) {
          write(
              a -> a.store(base, displacement, other, width),
              "mov " + memory + ", " + name(other, width));
        }
        for (Operation operation : Operation.values()) {
          write(
              a -> a.operate(operation, other, base, displacement),
              name(operation) + " " + name(other, 8) + ", " + memory);
          write(
              a -> a.operate(operation, base, displacement, other),
              name(operation) + " " + memory + ", " + name(other, 8));
        }
      }
      write(a -> a.saveState(base, displacement), "xsave64 " + memory);
      write(a -> a.restoreState(base, displacement), "xrstor64 " + memory);
      for (Register other : Register.values()) {
        if (other.compareTo(Register.RBX) <= 0) {
          write(
              a -> a.store(base, displacement, other, 1), "mov " + memory + ", " + name(other, 1));
        }
      }
    }
    assertReadsAsWritten();
  }

  @ParameterizedTest
  @EnumSource
  void countsInMemoryAndReadsTheThreadsPlace(Register base) {
    for (int displacement : DISPLACEMENTS) {
      String memory = memory(base, displacement);
      write(a -> a.increment(base, displacement), "inc " + memory);
      write(a -> a.incrementForAll(base, displacement), "lock inc " + memory);
    }
    write(a -> a.threadBase(base), "rdfsbase " + name(base, 8));
    write(a -> a.shiftRightByCl(base), "shr %s, cl".formatted(name(base, 8)));
    write(a -> a.highestBit(base, Register.RAX), "bsr %s, rax".formatted(name(base, 8)));
    write(a -> a.highestBit(Register.R9, base), "bsr r9, " + name(base, 8));
    write(a -> a.threadPointer(base), "mov %s, fs:[0x0000000000000000]".formatted(name(base, 8)));
    for (int offset : DISPLACEMENTS) {
      write(
          a -> a.threadWord(base, offset),
          "mov %s, fs:[0x%016X]".formatted(name(base, 4), (long) offset));
    }
    write(Assembler::nopForJump, "nop [rax+rax*1], eax");
    assertReadsAsWritten();
  }

  @ParameterizedTest
  @EnumSource
  void takesTheLowestBytesOfARegister(Register to) {
    for (Register from : Register.values()) {
      for (int width : new int[] {1, 2}) {
        String operands = name(to, 8) + ", " + name(from, width);
        write(a -> a.extend(to, from, width, true), "movsx " + operands);
        write(a -> a.extend(to, from, width, false), "movzx " + operands);
      }
      write(
          a -> a.extend(to, from, 4, true), "movsxd %s, %s".formatted(name(to, 8), name(from, 4)));
      write(a -> a.extend(to, from, 4, false), "mov %s, %s".formatted(name(to, 4), name(from, 4)));
      write(a -> a.extend(to, from, 8, true), "mov %s, %s".formatted(name(to, 8), name(from, 8)));
      write(a -> a.extend(to, from, 8, false), "mov %s, %s".formatted(name(to, 8), name(from, 8)));
    }
    assertReadsAsWritten();
  }

  @Test
  void writesWhatHasNoOperands() {
    write(Assembler::signExtend, "cdqe");
    write(Assembler::compareAndSwap, "lock cmpxchg [rdi], edx");
    write(Assembler::copy, "rep movsb");
    write(Assembler::timeStamp, "rdtsc");
    write(Assembler::ret, "ret");
    write(Assembler::syscall, "syscall");
    write(Assembler::undefined, "ud2");
    write(Assembler::pushFlags, "pushfq");
    write(Assembler::popFlags, "popfq");
    write(Assembler::clearDirection, "cld");
    write(Assembler::landingPad, "endbr64");
    assembler.divide();
    expected.addAll(List.of("xor edx, edx", "div rcx"));
    assertReadsAsWritten();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 100, 127, 128, 129, 1000})
  void branchesForward(int distance) {
    Label label = new Label();
    List<String> branches = branches(label);
    for (int i = 0; i < distance; i++) {
      assembler.ret();
    }
    assembler.place(label);
    branches.forEach(branch -> expected.add(branch.formatted(target(label))));
    expected.addAll(Collections.nCopies(distance, "ret"));
    assertReadsAsWritten();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 100, 126, 127, 128, 1000})
  void branchesBackward(int distance) {
    Label label = new Label();
    write(Assembler::ret, "ret");
    assembler.place(label);
    for (int i = 0; i < distance; i++) {
      write(Assembler::ret, "ret");
    }
    List<String> branches = branches(label);
    branches.forEach(branch -> expected.add(branch.formatted(target(label))));
    assertReadsAsWritten();
  }

  private List<String> branches(Label label) {
    List<String> branches = new ArrayList<>();
    for (Condition condition : Condition.values()) {
      assembler.jump(condition, label);
      branches.add(name(condition) + " %s");
    }
    assembler.jump(label);
    branches.add("jmp %s");
    assembler.call(label);
    branches.add("call %s");
    for (Register register : Register.values()) {
      assembler.address(register, label);
      branches.add("lea " + name(register, 8) + ", [%s]");
    }
    return branches;
  }

  private String target(Label label) {
    return "0x%016X".formatted(assembler.offset(label));
  }

  @ParameterizedTest
  @EnumSource
  void theOppositeOfAConditionDiffersInItsLowestBit(Condition condition) {
    assertThat(branchBits(condition) ^ branchBits(condition.opposite())).isEqualTo(1);
  }

  private static int branchBits(Condition condition) {
    Assembler assembler = new Assembler();
    Label label = new Label();
    assembler.place(label);
    assembler.jump(condition, label);
    byte[] bytes = assembler.toByteArray();
    return bytes[bytes.length == 2 ? 0 : 1] & 0xf;
  }

  @Test
  void aLabelStandsInOnePlace() {
    Label label = new Label();
    assembler.place(label);
    assertThatExceptionOfType(IllegalStateException.class).isThrownBy(() -> assembler.place(label));
    assertThatExceptionOfType(IllegalStateException.class)
        .isThrownBy(() -> assembler.offset(new Label()));
  }

  private static String name(Register register, int width) {
    int number = register.ordinal();
    if (number >= 8) {
      return "r" + number + (width == 8 ? "" : width == 4 ? "d" : width == 2 ? "w" : "b");
    }
    String word = WORDS.get(number);
    return switch (width) {
      case 8 -> "r" + word;
      case 4 -> "e" + word;
      case 2 -> word;
      default -> (number < 4 ? word.substring(0, 1) : word) + "l";
    };
  }

  private static String name(Operation operation) {
    return operation.name().toLowerCase(Locale.ROOT);
  }

  private static String name(Condition condition) {
    return switch (condition) {
      case BELOW -> "jb";
      case NOT_BELOW -> "jnb";
      case EQUAL -> "jz";
      case NOT_EQUAL -> "jnz";
      case NOT_ABOVE -> "jbe";
      case ABOVE -> "jnbe";
      case LESS -> "jl";
      case NOT_LESS -> "jnl";
      case NOT_GREATER -> "jle";
      case GREATER -> "jnle";
    };
  }

  private static String memory(Register base, int displacement) {
    String offset =
        displacement == 0
            ? ""
            : (displacement < 0 ? "-" : "+") + hex(Math.abs((long) displacement));
    return "[" + name(base, 8) + offset + "]";
  }

  private static String hex(long value) {
    String digits = Long.toHexString(value).toUpperCase(Locale.ROOT);
    return "0x" + (digits.length() == 1 ? "0" : "") + digits;
  }
}
