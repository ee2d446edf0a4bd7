package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.ProcMem;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Mappings in the target, each with a name in /proc/PID/maps, made by a helper that we drive. The
 * helper gets a table of files of its own first, and an empty one: no socket of the program's is
 * held open, and the program sees no file of ours.
 */
final class TargetMappings implements AutoCloseable {
  static final int PROT_READ = 1;
  static final int PROT_WRITE = 2;
  static final int PROT_EXEC = 4;
  static final int MAP_SHARED = 1;
  static final int MAP_PRIVATE = 2;
  static final int MAP_FIXED_NOREPLACE = 0x100000;
  private static final int MAP_ANONYMOUS = 0x20;
  private static final int MFD_CLOEXEC = 1;
  private static final int CLOSE_RANGE_UNSHARE = 2;
  private static final long ALL_DESCRIPTORS = 0xffffffffL;
  private static final long PAGE = 4096;
  private static final int ARGUMENTS = 6;

  private final int pid;
  private final Helper helper;
  private final ProcMem memory;
  private final long scratch;

  /**
   * @throws PokerUnavailableException if the target does not allow it
   */
  TargetMappings(int pid, Helper helper, ProcMem memory) {
    this.pid = pid;
    this.helper = helper;
    this.memory = memory;
    call("close_range", Kernel.SYS_CLOSE_RANGE, 0, ALL_DESCRIPTORS, CLOSE_RANGE_UNSHARE);
    scratch =
        call(
            "mmap",
            Kernel.SYS_MMAP,
            0,
            PAGE,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS,
            -1,
            0);
  }

  /** Has the helper make a call. */
  long call(String name, long number, long... arguments) {
    long[] all = Arrays.copyOf(arguments, ARGUMENTS);
    long result = helper.call(number, all[0], all[1], all[2], all[3], all[4], all[5]);
    if (result < 0 && result > -PAGE) {
      throw new PokerUnavailableException(name + " in the target failed with errno " + -result);
    }
    return result;
  }

  /** A new file in memory; its descriptor in the helper. */
  int file(String name) {
    byte[] text = (name + "\0").getBytes(StandardCharsets.US_ASCII);
    if (memory.write(scratch, CodeBytes.copyOf(text, 0, text.length)) != text.length) {
      throw new PokerUnavailableException("the target's memory can't be written");
    }
    return (int) call("memfd_create", Kernel.SYS_MEMFD_CREATE, scratch, MFD_CLOEXEC);
  }

  /** Where we see a file of the helper's. */
  Path path(int fd) {
    return Path.of("/proc/" + pid + "/task/" + helper.tid() + "/fd/" + fd);
  }

  /** Writes {@code bytes} to a file of the helper's. */
  void write(int fd, byte[] bytes, long at) {
    try (RandomAccessFile file = new RandomAccessFile(path(fd).toFile(), "rw")) {
      file.seek(at);
      file.write(bytes);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** Maps a file of the helper's into the target, and closes it there. */
  long map(int fd, long size, int protection, int flags) {
    long start = call("mmap", Kernel.SYS_MMAP, 0, size, protection, flags, fd, 0);
    call("close", Kernel.SYS_CLOSE, fd);
    return start;
  }

  /**
   * Maps new memory at an address, private.
   *
   * @return false where it is taken
   */
  boolean mapAt(String name, long address, long size, int protection) {
    int fd = file(name);
    write(fd, new byte[1], size - 1);
    return mapAt(fd, address, size, protection, MAP_PRIVATE);
  }

  /**
   * Maps new memory at an address, which the target may read and write, and this JVM shares: also
   * with what the target forks.
   *
   * @return null where it is taken
   */
  @Nullable SharedMemory shareAt(String name, long address, long size) {
    int fd = file(name);
    write(fd, new byte[1], size - 1);
    SharedMemory shared = SharedMemory.open(path(fd), address, size);
    boolean isMapped = false;
    try {
      isMapped = mapAt(fd, address, size, PROT_READ | PROT_WRITE, MAP_SHARED);
      return isMapped ? shared : null;
    } finally {
      if (!isMapped) {
        shared.close();
      }
    }
  }

  /** Maps a file of the helper's at an address, and closes it there. */
  private boolean mapAt(int fd, long address, long size, int protection, int sharing) {
    int flags = sharing | MAP_FIXED_NOREPLACE;
    long start = helper.call(Kernel.SYS_MMAP, address, size, protection, flags, fd, 0);
    call("close", Kernel.SYS_CLOSE, fd);
    if (start == -Errno.EEXIST) {
      return false;
    }
    if (start < 0 && start > -PAGE) {
      throw new PokerUnavailableException("mmap in the target failed with errno " + -start);
    }
    if (start != address) {
      // Kernels before 4.17 don't know the flag and take the address for a wish.
      call("munmap", Kernel.SYS_MUNMAP, start, size);
      return false;
    }
    return true;
  }

  /**
   * Maps a new segment of the ledger.
   *
   * @param bytes at least as long
   */
  void mapLedger(int bytes) {
    long size = bytes + PAGE - 1 & -PAGE;
    int fd = file(TargetLedger.NAME);
    write(fd, new byte[1], size - 1);
    map(fd, size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  }

  @Override
  public void close() {
    call("munmap", Kernel.SYS_MUNMAP, scratch, PAGE);
  }
}
