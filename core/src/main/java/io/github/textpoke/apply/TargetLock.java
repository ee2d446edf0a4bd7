package io.github.textpoke.apply;

import io.github.textpoke.PatchException.AlreadyTracedException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.internal.Uninterruptibly;
import io.github.textpoke.linux.AdvisoryLock;
import io.github.textpoke.process.ProcStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Keeps patchers from one another between two system calls. That the threads are traced is not
 * enough: a poker lets them go when its JVM has been silent for a while, and the JVM, paused, does
 * not know it and would write to a ledger that another patcher writes to. So a JVM holds this lock
 * from its first look at the ledger until the plan is done. The kernel takes it back from a JVM
 * that is killed. Used by one thread at a time, which may take it again.
 *
 * <p>It is advisory, and lies on the target's folder in /proc: patchers that see the target through
 * different mounts of /proc, as from different containers, do not meet there.
 */
final class TargetLock implements AutoCloseable {
  /** No event tells that another patcher has let go. */
  private static final long LOOK_NANOS = 200_000;

  private static final Path LOCKS = Path.of("/proc/locks");

  private final int pid;
  private @Nullable AdvisoryLock lock;
  private int depth;

  TargetLock(int pid) {
    this.pid = pid;
  }

  /**
   * Takes it, or waits until it can be had. Each call needs a {@link #giveBack}.
   *
   * @param deadline of {@link System#nanoTime}
   * @throws AlreadyTracedException if another patcher has it until then
   */
  void take(long deadline) {
    AdvisoryLock open = open();
    while (depth == 0 && !open.tryLock()) {
      if (System.nanoTime() - deadline > 0) {
        throw held();
      }
      LockSupport.parkNanos(LOOK_NANOS);
    }
    depth++;
  }

  void giveBack() {
    depth--;
    if (depth == 0) {
      open().unlock();
    }
  }

  private AdvisoryLock open() {
    AdvisoryLock open = lock;
    if (open == null) {
      open = AdvisoryLock.open(folder());
      if (open == null) {
        throw new NoSuchProcessException(pid);
      }
      lock = open;
    }
    return open;
  }

  private String folder() {
    return "/proc/" + pid;
  }

  /** Who holds it, as /proc/locks tells. */
  private AlreadyTracedException held() {
    int holder = 0;
    try {
      Pattern ours =
          Pattern.compile(
              "FLOCK +ADVISORY +WRITE ([0-9]+) [0-9a-f:]+:"
                  + Files.getAttribute(Path.of(folder()), "unix:ino")
                  + " ");
      Matcher found = ours.matcher(Uninterruptibly.call(() -> Files.readString(LOCKS)));
      holder = found.find() ? Integer.parseInt(found.group(1)) : 0;
    } catch (IOException ended) {
      // The target has ended, or it is let go of now.
    }
    return new AlreadyTracedException(pid, holder, ProcStatus.name(holder));
  }

  @Override
  public void close() {
    AdvisoryLock open = lock;
    if (open != null) {
      lock = null;
      open.close();
    }
  }
}
