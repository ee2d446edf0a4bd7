package io.github.textpoke.apply;

import io.github.textpoke.PatchException.AccessDeniedException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.internal.Uninterruptibly;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.process.ProcStatus;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Opens a target's memory, or says why it can't be opened. */
final class TargetMemory {
  private static final Path YAMA = Path.of("/proc/sys/kernel/yama/ptrace_scope");

  private TargetMemory() {}

  static ProcMem open(int pid) {
    int[] error = new int[1];
    ProcMem memory = ProcMem.open(pid, error);
    if (memory != null) {
      return memory;
    }
    if (error[0] == Errno.ENOENT || error[0] == Errno.ESRCH) {
      throw new NoSuchProcessException(pid);
    }
    throw accessDenied(pid, "opening /proc/" + pid + "/mem", error[0]);
  }

  /** Yama's ptrace_scope; {@code 0} where there is no Yama. */
  static String yamaScope() {
    try {
      return Files.exists(YAMA) ? Uninterruptibly.call(() -> Files.readString(YAMA)).strip() : "0";
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  private static AccessDeniedException accessDenied(int pid, String what, int errno) {
    if (!yamaScope().equals("0")) {
      return new AccessDeniedException(
          what + ": errno " + errno + ", and Yama's ptrace_scope is " + yamaScope(),
          AccessDeniedException.Missing.YAMA,
          "run with CAP_SYS_PTRACE, or set kernel.yama.ptrace_scope to 0");
    }
    ProcStatus status = ProcStatus.read(pid);
    return new AccessDeniedException(
        what + ": errno " + errno + (status == null ? "" : "; it runs as user " + status.uid()),
        AccessDeniedException.Missing.CAP_SYS_PTRACE,
        "run as its user, as root, or with CAP_SYS_PTRACE");
  }
}
