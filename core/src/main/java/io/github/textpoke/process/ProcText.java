package io.github.textpoke.process;

import io.github.textpoke.PatchException.AccessDeniedException;
import io.github.textpoke.PatchException.AccessDeniedException.Missing;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.internal.Uninterruptibly;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Reads text files of {@code /proc/PID}, and says what it means when one can't be read. */
final class ProcText {
  private ProcText() {}

  static Path path(int pid, String name) {
    return Path.of("/proc", Integer.toString(pid), name);
  }

  static String read(int pid, String name) {
    return new String(bytes(pid, name), StandardCharsets.UTF_8);
  }

  static byte[] bytes(int pid, String name) {
    try {
      return Uninterruptibly.call(() -> Files.readAllBytes(path(pid, name)));
    } catch (IOException e) {
      throw failure(pid, name, e);
    }
  }

  /** What it means that {@code /proc/PID/name} can't be opened or read. */
  static RuntimeException failure(int pid, String name, IOException cause) {
    if (cause instanceof NoSuchFileException || !Files.exists(path(pid, "stat"))) {
      return new NoSuchProcessException(pid);
    }
    return new AccessDeniedException(
        "can't read " + path(pid, name) + ": " + cause,
        Missing.CAP_SYS_PTRACE,
        "run as root or as the target's user, or add CAP_SYS_PTRACE");
  }
}
