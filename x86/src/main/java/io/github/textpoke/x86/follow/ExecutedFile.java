package io.github.textpoke.x86.follow;

import io.github.textpoke.PatchException;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.x86.detour.AnnouncedCalls;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/** The file that a call of execve, execveat or fexecve is about. */
final class ExecutedFile {
  /** What is announced: the function. */
  static final int EXECVE = 0;

  static final int EXECVEAT = 1;
  static final int FEXECVE = 2;

  private static final int AT_FDCWD = -100;
  private static final int PAGE = 4096;
  private static final int LONGEST = PAGE;
  private static final int SET_ID_BITS = 06000;
  private static final String SCRIPT = "#!";

  /** BINPRM_BUF_SIZE. */
  private static final int LONGEST_SCRIPT_LINE = 256;

  /** What stands for bytes of a name that are no text. */
  private static final char UNREADABLE = '\ufffd';

  private ExecutedFile() {}

  /**
   * Where it is found from here.
   *
   * @param tid the thread, in our namespace
   * @throws PatchException if the thread's memory can't be read
   */
  static Path of(int tid, AnnouncedCalls.Call call) {
    Path process = Path.of("/proc", Integer.toString(tid));
    if (call.kind() == FEXECVE) {
      return process.resolve("fd").resolve(Long.toString((int) call.first()));
    }
    boolean isAt = call.kind() == EXECVEAT;
    String name = string(tid, isAt ? call.second() : call.first());
    if (name.startsWith("/")) {
      return Path.of(process + "/root" + name);
    }
    Path folder =
        isAt && (int) call.first() != AT_FDCWD
            ? process.resolve("fd").resolve(Integer.toString((int) call.first()))
            : process.resolve("cwd");
    return name.isEmpty() ? folder : folder.resolve(name);
  }

  private static String string(int tid, long address) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ProcMemReader memory = new ProcMemReader(tid)) {
      long at = address;
      while (bytes.size() < LONGEST) {
        int length = (int) (PAGE - (at & PAGE - 1));
        for (byte each : memory.read(at, length).toByteArray()) {
          if (each == 0) {
            return bytes.toString(StandardCharsets.UTF_8);
          }
          bytes.write(each);
        }
        at += length;
      }
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  /** Whether it is there, as far as we see: else nothing is executed, as where PATH is searched. */
  static boolean isThere(Path file) {
    return Files.isRegularFile(file);
  }

  /**
   * Whether who executes it becomes another user or gets capabilities: that does not happen to one
   * that is traced (security/commoncap.c, cap_bprm_creds_from_file). Of a script, its interpreter.
   */
  static boolean changesRights(int tid, Path file) {
    try {
      return hasRights(file)
          || file.toString().indexOf(UNREADABLE) >= 0
          || hasRights(interpreter(tid, file));
    } catch (IOException | InvalidPathException unreadable) {
      // Whoever can't look at it is not to change what it does.
      return true;
    }
  }

  private static boolean hasRights(Path file) throws IOException {
    return Files.isRegularFile(file)
        && (((Integer) Files.getAttribute(file, "unix:mode") & SET_ID_BITS) != 0
            || Kernel.hasCapabilities(file));
  }

  /** Of a script; else the file itself. */
  private static Path interpreter(int tid, Path file) throws IOException {
    String line;
    try (InputStream start = Files.newInputStream(file)) {
      line = new String(start.readNBytes(LONGEST_SCRIPT_LINE), StandardCharsets.ISO_8859_1);
    }
    if (!line.startsWith(SCRIPT)) {
      return file;
    }
    String name = line.substring(SCRIPT.length()).strip().split("\\s", 2)[0];
    return name.startsWith("/") ? Path.of("/proc/" + tid + "/root" + name) : file;
  }
}
