package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableMap;
import java.util.Arrays;
import java.util.TreeMap;

/**
 * Writes x86-64 instructions one behind the other: the few that {@link Emitter}, the two inner
 * loops of the poker and the bodies of detours need. 64-bit operands unless said. Branches are to
 * labels, always with 32-bit displacements, so that nothing depends on how far they go. Mutable, of
 * one thread.
 */
public final class Assembler {
  /** A general register, in the order of its number. */
  public enum Register {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11;

    private int low() {
      return ordinal() & 7;
    }

    private int high() {
      return ordinal() >> 3;
    }
  }

  /** An operation of two operands; its place in the instruction's encoding. */
  public enum Operation {
    ADD(0),
    OR(1),
    AND(4),
    SUB(5),
    XOR(6),
    CMP(7);

    private final int digit;

    Operation(int digit) {
      this.digit = digit;
    }
  }

  /** A condition on the flags of a comparison; its number in a Jcc. */
  public enum Condition {
    BELOW(2),
    NOT_BELOW(3),
    EQUAL(4),
    NOT_EQUAL(5),
    NOT_ABOVE(6),
    ABOVE(7),
    LESS(12),
    NOT_LESS(13),
    NOT_GREATER(14),
    GREATER(15);

    private final int number;

    Condition(int number) {
      this.number = number;
    }

    /** The condition that holds where this one does not. */
    public Condition opposite() {
      return switch (this) {
        case BELOW -> NOT_BELOW;
        case NOT_BELOW -> BELOW;
        case EQUAL -> NOT_EQUAL;
        case NOT_EQUAL -> EQUAL;
        case NOT_ABOVE -> ABOVE;
        case ABOVE -> NOT_ABOVE;
        case LESS -> NOT_LESS;
        case NOT_LESS -> LESS;
        case NOT_GREATER -> GREATER;
        case GREATER -> NOT_GREATER;
      };
    }
  }

  /** A place in the code, known or still to come. */
  public static final class Label {
    private static final int UNKNOWN = -1;

    private int offset = UNKNOWN;
    private int[] uses = new int[0];
  }

  private static final int SIB_RSP = 0x24;

  private byte[] code = new byte[8192];
  private int size;
  private final TreeMap<Integer, String> notes = new TreeMap<>();

  /** Bytes written so far. */
  public int size() {
    return size;
  }

  /** The code. All labels that are used must be placed. */
  public byte[] toByteArray() {
    return Arrays.copyOf(code, size);
  }

  /** What stands where: offset to a line for who reads the listing. */
  ImmutableMap<Integer, String> notes() {
    return ImmutableMap.copyOf(notes);
  }

  /** Notes what the next instruction begins. */
  void note(String text) {
    notes.merge(size, text, (before, also) -> before + "\n" + also);
  }

  private void bytes(int... values) {
    if (size + values.length > code.length) {
      code = Arrays.copyOf(code, code.length * 2);
    }
    for (int value : values) {
      code[size++] = (byte) value;
    }
  }

  private void imm32(long value) {
    bytes((int) value, (int) (value >> 8), (int) (value >> 16), (int) (value >> 24));
  }

  private void rex(boolean wide, Register reg, Register base) {
    int prefix = 0x40 | (wide ? 8 : 0) | reg.high() << 2 | base.high();
    if (prefix != 0x40) {
      bytes(prefix);
    }
  }

  private void memory(Register reg, Register base, int displacement) {
    boolean none = displacement == 0 && base.low() != Register.RBP.low();
    boolean small = displacement == (byte) displacement;
    bytes((none ? 0 : small ? 0x40 : 0x80) | reg.low() << 3 | base.low());
    if (base.low() == Register.RSP.low()) {
      bytes(SIB_RSP);
    }
    if (!none && small) {
      bytes(displacement);
    } else if (!none) {
      imm32(displacement);
    }
  }

  // ---------------------------------------------------------------- moves

  /** {@code to = value}. */
  public void move(Register to, long value) {
    if (value == 0) {
      rex(false, to, to);
      bytes(0x31, 0xc0 | to.low() << 3 | to.low());
    } else if (value >>> 32 == 0) {
      rex(false, Register.RAX, to);
      bytes(0xb8 | to.low());
      imm32(value);
    } else if (value == (int) value) {
      rex(true, Register.RAX, to);
      bytes(0xc7, 0xc0 | to.low());
      imm32(value);
    } else {
      rex(true, Register.RAX, to);
      bytes(0xb8 | to.low());
      imm32(value);
      imm32(value >> 32);
    }
  }

  /** {@code to = from}. */
  public void move(Register to, Register from) {
    rex(true, from, to);
    bytes(0x89, 0xc0 | from.low() << 3 | to.low());
  }

  /**
   * {@code to = [base + displacement]}, zero-extended.
   *
   * @param width in bytes: 1, 2, 4 or 8
   */
  public void load(Register to, Register base, int displacement, int width) {
    rex(width == 8, to, base);
    switch (width) {
      case 1 -> bytes(0x0f, 0xb6);
      case 2 -> bytes(0x0f, 0xb7);
      default -> bytes(0x8b);
    }
    memory(to, base, displacement);
  }

  /**
   * {@code to} = the lowest bytes of {@code from}, sign- or zero-extended.
   *
   * @param width in bytes: 1, 2, 4 or 8
   */
  public void extend(Register to, Register from, int width, boolean isSigned) {
    if (width == Long.BYTES || width == Integer.BYTES && !isSigned) {
      rex(width == Long.BYTES, from, to);
      bytes(0x89, 0xc0 | from.low() << 3 | to.low());
      return;
    }
    rex(true, to, from);
    int operands = 0xc0 | to.low() << 3 | from.low();
    if (width == Integer.BYTES) {
      bytes(0x63, operands);
    } else {
      bytes(0x0f, (isSigned ? 0xbe : 0xb6) | (width == 2 ? 1 : 0), operands);
    }
  }

  /** {@code RAX = EAX}, sign-extended. */
  public void signExtend() {
    bytes(0x48, 0x98);
  }

  /**
   * {@code [base + displacement] = from}.
   *
   * @param width in bytes: 1 (of RAX to RDX only), 2, 4 or 8
   */
  public void store(Register base, int displacement, Register from, int width) {
    if (width == 2) {
      bytes(0x66);
    }
    rex(width == 8, from, base);
    bytes(width == 1 ? 0x88 : 0x89);
    memory(from, base, displacement);
  }

  /** {@code to = base + displacement}. */
  public void address(Register to, Register base, int displacement) {
    rex(true, to, base);
    bytes(0x8d);
    memory(to, base, displacement);
  }

  /** {@code to} = the address of a label, wherever the code lies. */
  void address(Register to, Label label) {
    rex(true, to, Register.RAX);
    bytes(0x8d, 0x05 | to.low() << 3);
    use(label);
  }

  public void push(Register from) {
    rex(false, Register.RAX, from);
    bytes(0x50 | from.low());
  }

  public void pop(Register to) {
    rex(false, Register.RAX, to);
    bytes(0x58 | to.low());
  }

  public void pushFlags() {
    bytes(0x9c);
  }

  public void popFlags() {
    bytes(0x9d);
  }

  /** String instructions count upwards: what the ABI promises a function at its entry. */
  public void clearDirection() {
    bytes(0xfc);
  }

  /** XSAVE64 of the state components in EDX:EAX to {@code [base + displacement]}. */
  public void saveState(Register base, int displacement) {
    state(4, base, displacement);
  }

  /** XRSTOR64 of the state components in EDX:EAX from {@code [base + displacement]}. */
  public void restoreState(Register base, int displacement) {
    state(5, base, displacement);
  }

  private void state(int digit, Register base, int displacement) {
    rex(true, Register.RAX, base);
    bytes(0x0f, 0xae);
    memory(Register.values()[digit], base, displacement);
  }

  // ---------------------------------------------------------------- arithmetic

  /** {@code to = to OP value}; only compares where OP is CMP. */
  public void operate(Operation operation, Register to, int value) {
    rex(true, Register.RAX, to);
    if (value == (byte) value) {
      bytes(0x83, 0xc0 | operation.digit << 3 | to.low(), value);
    } else {
      bytes(0x81, 0xc0 | operation.digit << 3 | to.low());
      imm32(value);
    }
  }

  /** {@code to = to OP from}. */
  public void operate(Operation operation, Register to, Register from) {
    rex(true, from, to);
    bytes(operation.digit << 3 | 1, 0xc0 | from.low() << 3 | to.low());
  }

  /** {@code to = to OP [base + displacement]}. */
  public void operate(Operation operation, Register to, Register base, int displacement) {
    rex(true, to, base);
    bytes(operation.digit << 3 | 3);
    memory(to, base, displacement);
  }

  /** {@code [base + displacement] = [base + displacement] OP from}. */
  void operate(Operation operation, Register base, int displacement, Register from) {
    rex(true, from, base);
    bytes(operation.digit << 3 | 1);
    memory(from, base, displacement);
  }

  /** {@code to = to OP [label]}: eight bytes that stand in the code. */
  public void operate(Operation operation, Register to, Label label) {
    rex(true, to, Register.RAX);
    bytes(operation.digit << 3 | 3, 0x05 | to.low() << 3);
    use(label);
  }

  /** {@code to = [label]}: eight bytes that stand in the code. */
  public void load(Register to, Label label) {
    rex(true, to, Register.RAX);
    bytes(0x8b, 0x05 | to.low() << 3);
    use(label);
  }

  /** {@code [base + displacement] += 1}, eight bytes, at once for the thread's signal handlers. */
  public void increment(Register base, int displacement) {
    rex(true, Register.RAX, base);
    bytes(0xff);
    memory(Register.RAX, base, displacement);
  }

  /** As {@link #increment}, at once for all threads. */
  public void incrementForAll(Register base, int displacement) {
    bytes(0xf0);
    increment(base, displacement);
  }

  /** {@code to = fs:[0]}: by the ABI the thread's own address of its control block. */
  public void threadPointer(Register to) {
    bytes(0x64);
    rex(true, to, Register.RAX);
    bytes(0x8b, 0x04 | to.low() << 3, 0x25, 0, 0, 0, 0);
  }

  /** {@code to = fs:[offset]}, four bytes, zero-extended: of the thread's control block. */
  public void threadWord(Register to, int offset) {
    bytes(0x64);
    rex(false, to, Register.RAX);
    bytes(0x8b, 0x04 | to.low() << 3, 0x25);
    imm32(offset);
  }

  /** {@code to} = the base of fs, by RDFSBASE: needs the kernel's permission (HWCAP2_FSGSBASE). */
  public void threadBase(Register to) {
    bytes(0xf3);
    rex(true, Register.RAX, to);
    bytes(0x0f, 0xae, 0xc0 | to.low());
  }

  /**
   * {@code if ([base + displacement] == RAX) { [base + displacement] = from; equal } else { RAX =
   * [base + displacement]; not equal }}, eight bytes, at once.
   */
  public void compareAndSwap(Register base, int displacement, Register from) {
    bytes(0xf0);
    rex(true, from, base);
    bytes(0x0f, 0xb1);
    memory(from, base, displacement);
  }

  /** {@code to = to << count}. */
  public void shiftLeft(Register to, int count) {
    rex(true, Register.RAX, to);
    bytes(0xc1, 0xe0 | to.low(), count);
  }

  /** {@code to = to >>> count}. */
  public void shiftRight(Register to, int count) {
    rex(true, Register.RAX, to);
    bytes(0xc1, 0xe8 | to.low(), count);
  }

  /** {@code to = to >>> (CL & 63)}. */
  public void shiftRightByCl(Register to) {
    rex(true, Register.RAX, to);
    bytes(0xd3, 0xe8 | to.low());
  }

  /** {@code to} = the number of the highest bit that is set in {@code from}, which is not 0. */
  public void highestBit(Register to, Register from) {
    rex(true, to, from);
    bytes(0x0f, 0xbd, 0xc0 | to.low() << 3 | from.low());
  }

  /** {@code RDX:RAX} = the time-stamp counter, 32 bits each. */
  public void timeStamp() {
    bytes(0x0f, 0x31);
  }

  /** {@code to = to * value}. */
  public void multiply(Register to, int value) {
    rex(true, to, to);
    bytes(0x69, 0xc0 | to.low() << 3 | to.low());
    imm32(value);
  }

  /** {@code to = to * from}. */
  public void multiply(Register to, Register from) {
    rex(true, to, from);
    bytes(0x0f, 0xaf, 0xc0 | to.low() << 3 | from.low());
  }

  /** {@code RAX = RAX / RCX, RDX = RAX % RCX}, unsigned. */
  public void divide() {
    move(Register.RDX, 0);
    bytes(0x48, 0xf7, 0xf1);
  }

  /**
   * {@code if ([RDI] == EAX) { [RDI] = EDX; equal } else { EAX = [RDI]; not equal }}, four bytes,
   * at once.
   */
  public void compareAndSwap() {
    bytes(0xf0, 0x0f, 0xb1, 0x17);
  }

  /** {@code reg = [base + displacement], [base + displacement] += reg}, eight bytes, at once. */
  public void exchangeAndAdd(Register base, int displacement, Register reg) {
    bytes(0xf0);
    rex(true, reg, base);
    bytes(0x0f, 0xc1);
    memory(reg, base, displacement);
  }

  /** {@code reg = [base + displacement], [base + displacement] = reg}, eight bytes, at once. */
  public void exchange(Register base, int displacement, Register reg) {
    rex(true, reg, base);
    bytes(0x87);
    memory(reg, base, displacement);
  }

  /** Copies RCX bytes from RSI to RDI. */
  void copy() {
    bytes(0xf3, 0xa4);
  }

  // ---------------------------------------------------------------- control flow

  /** Here is {@code label}. */
  public void place(Label label) {
    if (label.offset != Label.UNKNOWN) {
      throw new IllegalStateException("a label stands in one place");
    }
    label.offset = size;
    for (int use : label.uses) {
      patch(use, label.offset);
    }
  }

  /**
   * Names a place outside of this code.
   *
   * @param offset from the first byte of this code; below -1, or behind what is written
   */
  public void place(Label label, int offset) {
    if (label.offset != Label.UNKNOWN || offset == Label.UNKNOWN) {
      throw new IllegalStateException("a label stands in one place");
    }
    label.offset = offset;
  }

  private void use(Label label) {
    imm32(0);
    if (label.offset == Label.UNKNOWN) {
      label.uses = Arrays.copyOf(label.uses, label.uses.length + 1);
      label.uses[label.uses.length - 1] = size - Integer.BYTES;
    } else {
      patch(size - Integer.BYTES, label.offset);
    }
  }

  private void patch(int at, int target) {
    int displacement = target - (at + Integer.BYTES);
    for (int i = 0; i < Integer.BYTES; i++) {
      code[at + i] = (byte) (displacement >> 8 * i);
    }
  }

  /** Where a label stands; it must be placed. */
  public int offset(Label label) {
    if (label.offset == Label.UNKNOWN) {
      throw new IllegalStateException("the label was never placed");
    }
    return label.offset;
  }

  public void jump(Label label) {
    bytes(0xe9);
    use(label);
  }

  public void jump(Condition condition, Label label) {
    bytes(0x0f, 0x80 | condition.number);
    use(label);
  }

  /** Jumps where RCX is 0; no flag changes. */
  public void jumpIfRcxIsZero(Label label) {
    // Its displacement has one byte: over a short jump to one of four.
    bytes(0xe3, 2, 0xeb, 5);
    jump(label);
  }

  /** Jumps to an absolute address, wherever it is; it stands behind the jump. */
  public void jumpFar(long address) {
    bytes(0xff, 0x25);
    imm32(0);
    imm32(address);
    imm32(address >> 32);
  }

  /** Tells the processor that this loop waits (SDM vol. 2, PAUSE). */
  public void pause() {
    bytes(0xf3, 0x90);
  }

  public void call(Label label) {
    bytes(0xe8);
    use(label);
  }

  /** Calls the code that {@code target} holds the address of. */
  public void call(Register target) {
    rex(false, Register.RAX, target);
    bytes(0xff, 0xd0 | target.low());
  }

  /** ENDBR64: an indirect jump may lead here. */
  public void landingPad() {
    bytes(0xf3, 0x0f, 0x1e, 0xfa);
  }

  public void ret() {
    bytes(0xc3);
  }

  /** Enters the kernel: RCX and R11 are lost. */
  public void syscall() {
    bytes(0x0f, 0x05);
  }

  /** What is given, as it is: code that somebody else has made for this place, or data. */
  public void raw(byte[] given) {
    for (byte each : given) {
      bytes(each);
    }
  }

  /** A NOP of five bytes, in whose place a jump can be put. */
  public void nopForJump() {
    bytes(0x0f, 0x1f, 0x44, 0x00, 0x00);
  }

  /** Stops whoever comes here: nobody does. */
  void undefined() {
    bytes(0x0f, 0x0b);
  }
}
