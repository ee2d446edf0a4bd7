package io.github.textpoke.x86.follow;

import com.google.common.collect.ImmutableSet;
import io.github.textpoke.process.ProcStatus;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Which files of ours any process has mapped, as it was some seconds ago at most. */
final class MappedFiles {
  private static final long FRESH_NANOS = 5_000_000_000L;

  /** Fields of a line of /proc/PID/maps before the path. */
  private static final int INODE = 4;

  private static MappedFiles last = new MappedFiles("", 0, ImmutableSet.of());

  private final String path;
  private final long nanos;
  private final ImmutableSet<Long> inodes;

  private MappedFiles(String path, long nanos, ImmutableSet<Long> inodes) {
    this.path = path;
    this.nanos = nanos;
    this.inodes = inodes;
  }

  /**
   * The inodes of those that are called so. All processes are looked at, so this takes some ten
   * milliseconds, but not each time.
   *
   * @param path as in {@code /proc/PID/maps}
   */
  static synchronized ImmutableSet<Long> now(String path) {
    if (!last.path.equals(path) || System.nanoTime() - last.nanos > FRESH_NANOS) {
      last = new MappedFiles(path, System.nanoTime(), look(path));
    }
    return last.inodes;
  }

  private static ImmutableSet<Long> look(String path) {
    ImmutableSet.Builder<Long> inodes = ImmutableSet.builder();
    for (int process : ProcStatus.processes()) {
      try {
        Files.readString(Path.of("/proc/" + process + "/maps"), StandardCharsets.ISO_8859_1)
            .lines()
            .filter(line -> line.contains(path))
            .forEach(line -> inodes.add(Long.parseLong(line.split(" +")[INODE])));
      } catch (IOException gone) {
        // Or not ours to look at: then it is not of ours.
        continue;
      }
    }
    return inodes.build();
  }
}
