package io.github.textpoke.process;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Finds what a thread of ours needs in one process, again and again. The names of the C library are
 * kept as long as it is mapped where it was. Not thread-safe.
 */
public final class GlibcThreads {
  private final int pid;
  private @Nullable GlibcNames names;

  /** Of a process, which is not looked at yet. */
  public GlibcThreads(int pid) {
    this.pid = pid;
  }

  /**
   * Reads what it takes from the process, which lives.
   *
   * @param map of the process, as it is now
   * @throws UnsupportedTargetException if it is not known how to make a thread of that process's
   * @throws PatchException of another type if its memory or files can't be read
   */
  public GlibcThread read(MemoryMap map, MemoryReader memory) {
    LoadedObjects objects =
        new LoadedObjects(map, memory, new ObjectFiles(pid, Path.of("/usr/lib/debug")));
    if (objects.mappingsOf(GlibcSymbols.LIBC).isEmpty()) {
      throw new UnsupportedTargetException(
          "no thread of ours can call functions of process "
              + pid
              + ": it has no "
              + GlibcSymbols.LIBC
              + ", and what another C library keeps of each thread is not known",
          "programs that are linked dynamically with glibc 2.34 or later have what it takes");
    }
    GlibcNames now = names;
    if (now == null || !now.areOf(objects)) {
      now = new GlibcNames(pid, objects);
      names = now;
    }
    return new GlibcThread(pid, map, new GlibcSymbols(pid, now, memory));
  }
}
