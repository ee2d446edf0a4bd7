package io.github.textpoke.apply;

import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.Registers;

/**
 * The arguments of the clone of a thread of ours (clone(2), in the order of x86-64).
 *
 * @param flags {@link #SHARES_ALL}, or more
 * @param stack its stack pointer; 0: that of the thread that clones
 * @param tid where the kernel writes its id, and clears it when it ends, absolute; 0: nowhere
 * @param pointer its thread pointer; 0: that of the thread that clones
 */
record Clone(long flags, long stack, long tid, long pointer) {
  private static final long CLONE_VM = 0x100;
  private static final long CLONE_FS = 0x200;
  private static final long CLONE_FILES = 0x400;
  private static final long CLONE_SIGHAND = 0x800;
  private static final long CLONE_THREAD = 0x10000;
  private static final long CLONE_SYSVSEM = 0x40000;
  private static final long CLONE_SETTLS = 0x80000;
  private static final long CLONE_PARENT_SETTID = 0x100000;
  private static final long CLONE_CHILD_CLEARTID = 0x200000;

  /** Shares everything, the table of files too: a copy would hold sockets open. */
  static final long SHARES_ALL =
      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

  /** As glibc's threads are made (sysdeps/unix/sysv/linux/createthread.c). */
  static final long OF_THREAD =
      SHARES_ALL | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

  /** It uses neither stack nor memory. */
  static final Clone OF_HELPER = new Clone(SHARES_ALL, 0, 0, 0);

  /** Sets the call up, at an existing {@code syscall} instruction. */
  void set(Registers registers, long instruction) {
    registers.setSystemCall(instruction, Kernel.SYS_CLONE, flags, stack, tid, tid, pointer, 0);
  }
}
