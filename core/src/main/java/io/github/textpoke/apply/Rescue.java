package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.internal.CallLayout;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.linux.Registers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * What brings a borrowed thread back to where it was if this JVM is killed before that does so: the
 * code behind the gate restores the thread from memory of ours.
 *
 * @param gate address of the {@code syscall} instruction of {@link CallLayout#GATE}
 * @param memory of {@link CallLayout}
 * @param stack end of a stack that nobody uses yet
 */
record Rescue(long gate, long memory, long stack) {
  private static final int FRAME = 64;
  private static final int SYSCALL_LENGTH = 2;
  private static final int RESTART_SYSCALL = 219;

  private static final int RBX = 5;
  private static final int CS = 17;
  private static final int EFLAGS = 18;
  private static final int RSP = 19;
  private static final int SS = 20;

  /** In {@code struct user_regs_struct}: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11. */
  private static final int[] SAVED = {10, 11, 12, 13, 14, 9, 8, 7, 6};

  /** Writes down how the thread goes on, before it is moved; false if it can't. */
  boolean write(ProcMem to, Registers original, long mask) {
    long rip = original.rip();
    long rax = original.rax();
    boolean isRestarted =
        original.origRax() >= 0 && -rax >= Errno.ERESTARTSYS && -rax <= Errno.ERESTART_RESTARTBLOCK;
    if (isRestarted) {
      // As the kernel would do it (arch/x86/kernel/signal.c, arch_do_signal_or_restart).
      rip -= SYSCALL_LENGTH;
      rax = -rax == Errno.ERESTART_RESTARTBLOCK ? RESTART_SYSCALL : original.origRax();
    }
    ByteBuffer saved =
        littleEndian(CallLayout.SAVED_FRAME + Long.BYTES - CallLayout.SAVED_MASK).putLong(mask);
    for (int index : SAVED) {
      saved.putLong(index == SAVED[0] ? rax : original.get(index));
    }
    saved.putLong(stack - FRAME);
    ByteBuffer frame =
        littleEndian(FRAME)
            .putLong(original.get(RBX))
            .putLong(rip)
            .putLong(original.get(CS))
            .putLong(original.get(EFLAGS))
            .putLong(original.get(RSP))
            .putLong(original.get(SS));
    return to.write(memory + CallLayout.SAVED_MASK, CodeBytes.of(saved.array())) == saved.limit()
        && to.write(stack - FRAME, CodeBytes.of(frame.array())) == frame.limit();
  }

  private static ByteBuffer littleEndian(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }
}
