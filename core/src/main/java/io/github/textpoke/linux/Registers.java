package io.github.textpoke.linux;

import com.google.common.primitives.ImmutableLongArray;
import jnr.ffi.Pointer;

/**
 * The general registers of one stopped thread: struct user_regs_struct in native memory, read and
 * written by offset. Mutable, of one thread.
 */
public final class Registers {
  /** Size of the struct in bytes. */
  static final int SIZE = 27 * 8;

  static final int RBX = 5 * 8;
  static final int R10 = 7 * 8;
  static final int R9 = 8 * 8;
  static final int R8 = 9 * 8;
  static final int RAX = 10 * 8;
  static final int RDX = 12 * 8;
  static final int RSI = 13 * 8;
  static final int RDI = 14 * 8;
  static final int ORIG_RAX = 15 * 8;
  static final int RIP = 16 * 8;
  static final int CS = 17 * 8;
  static final int EFLAGS = 18 * 8;
  static final int RSP = 19 * 8;

  /** The code segment of 64-bit user code. */
  private static final long CS_64 = 0x33;

  private static final long DIRECTION_FLAG = 1 << 10;
  private static final long TRAP_FLAG = 1 << 8;

  private final Pointer memory = Libc.RUNTIME.getMemoryManager().allocateDirect(SIZE, true);

  /** How many there are: those of {@code struct user_regs_struct}. */
  public static final int COUNT = SIZE / Long.BYTES;

  /** One of them, in the order of {@code struct user_regs_struct}. */
  public long get(int index) {
    return memory.getLong((long) index * Long.BYTES);
  }

  /**
   * Where in the struct, in words, registers are whose DWARF numbers are 0, 1, 2 ...: rax, rdx,
   * rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15 (System V ABI, AMD64 supplement, figure 3.36).
   */
  private static final int[] BY_DWARF_NUMBER = {
    10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0
  };

  /** The general registers, at the places that DWARF numbers them by. */
  public ImmutableLongArray general() {
    ImmutableLongArray.Builder values = ImmutableLongArray.builder(BY_DWARF_NUMBER.length);
    for (int index : BY_DWARF_NUMBER) {
      values.add(get(index));
    }
    return values.build();
  }

  /** Address of the struct. */
  long address() {
    return memory.address();
  }

  /** The instruction pointer. */
  public long rip() {
    return memory.getLong(RIP);
  }

  /** The stack pointer. */
  public long rsp() {
    return memory.getLong(RSP);
  }

  /** The result of a system call. */
  public long rax() {
    return memory.getLong(RAX);
  }

  /** The number of the system call that the thread is in, -1 where it is in none. */
  public long origRax() {
    return memory.getLong(ORIG_RAX);
  }

  /** The third argument of a system call. */
  public long rdx() {
    return memory.getLong(RDX);
  }

  /** The fourth argument of a system call. */
  public long r10() {
    return memory.getLong(R10);
  }

  /** Whether the thread runs 64-bit code. */
  public boolean is64Bit() {
    return memory.getLong(CS) == CS_64;
  }

  /** Sets the instruction pointer. */
  public void setRip(long address) {
    memory.putLong(RIP, address);
  }

  /** Of a thread that is in a system call: the kernel does not restart it. */
  public void leaveSystemCall() {
    memory.putLong(ORIG_RAX, -1);
  }

  /** Sets RBX. */
  public void setBase(long value) {
    memory.putLong(RBX, value);
  }

  /** Sets the result of a system call. */
  public void setRax(long value) {
    memory.putLong(RAX, value);
  }

  /**
   * Makes the thread return from the function at whose first instruction it stands.
   *
   * @param address its return address, the word at {@link #rsp}
   */
  public void returnTo(long address) {
    memory.putLong(RIP, address);
    memory.putLong(RSP, rsp() + Long.BYTES);
  }

  /** Sets the number of the system call that the thread is entering; -1: it is in none. */
  public void setOrigRax(long number) {
    memory.putLong(ORIG_RAX, number);
  }

  /** Makes these equal to {@code other}. */
  public void copyFrom(Registers other) {
    for (int offset = 0; offset < SIZE; offset += 8) {
      memory.putLong(offset, other.memory.getLong(offset));
    }
  }

  /**
   * Sets up a system call at {@code instruction}, an existing {@code 0f 05}. No system call is in
   * progress for the kernel (orig_rax -1), so that it does not restart one; direction and trap flag
   * are clear.
   */
  public void setSystemCall(
      long instruction, long number, long a, long b, long c, long d, long e, long f) {
    memory.putLong(RIP, instruction);
    memory.putLong(RAX, number);
    memory.putLong(ORIG_RAX, -1);
    memory.putLong(RDI, a);
    memory.putLong(RSI, b);
    memory.putLong(RDX, c);
    memory.putLong(R10, d);
    memory.putLong(R8, e);
    memory.putLong(R9, f);
    memory.putLong(EFLAGS, memory.getLong(EFLAGS) & ~(DIRECTION_FLAG | TRAP_FLAG));
  }

  /**
   * Sets up the start of code of ours.
   *
   * @param entry where it begins
   * @param stack its stack pointer
   * @param base what it finds in RBX
   */
  public void setEntry(long entry, long stack, long base) {
    memory.putLong(RIP, entry);
    memory.putLong(RSP, stack);
    memory.putLong(RBX, base);
    memory.putLong(ORIG_RAX, -1);
    memory.putLong(EFLAGS, memory.getLong(EFLAGS) & ~(DIRECTION_FLAG | TRAP_FLAG));
  }
}
