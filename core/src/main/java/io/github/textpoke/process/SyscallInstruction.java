package io.github.textpoke.process;

import io.github.textpoke.PatchException.UnsupportedTargetException;

/** Finds an existing {@code syscall} instruction in a process: system calls of ours run there. */
final class SyscallInstruction {
  private static final byte FIRST = 0x0f;
  private static final byte SECOND = 0x05;

  private SyscallInstruction() {}

  /**
   * The address of one in the vDSO, which nobody patches.
   *
   * @throws UnsupportedTargetException if the process has no vDSO, or none is there
   */
  static long find(int pid, MemoryMap map) {
    for (Mapping mapping : map.mappings()) {
      if (mapping.path().equals("[vdso]")) {
        byte[] code = read(pid, mapping.start(), (int) (mapping.end() - mapping.start()));
        for (int i = 0; i + 1 < code.length; i++) {
          if (code[i] == FIRST && code[i + 1] == SECOND) {
            return mapping.start() + i;
          }
        }
      }
    }
    throw new UnsupportedTargetException(
        "process " + pid + " has no vDSO with a syscall instruction", "boot without vdso=0");
  }

  private static byte[] read(int pid, long address, int length) {
    try (ProcMemReader reader = new ProcMemReader(pid)) {
      return reader.read(address, length).toByteArray();
    }
  }
}
