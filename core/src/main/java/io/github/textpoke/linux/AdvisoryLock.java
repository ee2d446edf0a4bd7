package io.github.textpoke.linux;

import org.jspecify.annotations.Nullable;

/** flock(2) on a file or folder that is held open. The kernel gives it back when we end. */
public final class AdvisoryLock implements AutoCloseable {
  private static final int O_RDONLY_CLOEXEC = 0x80000;
  private static final int LOCK_EXCLUSIVE = 2;
  private static final int LOCK_NONBLOCKING = 4;
  private static final int UNLOCK = 8;

  private final String path;
  private final int fd;

  private AdvisoryLock(String path, int fd) {
    this.path = path;
    this.fd = fd;
  }

  /** Opens a file or folder, without locking it; null where that fails. */
  public static @Nullable AdvisoryLock open(String path) {
    long fd = Libc.orErrno(Libc.FUNCTIONS.open(path, O_RDONLY_CLOEXEC));
    return fd < 0 ? null : new AdvisoryLock(path, (int) fd);
  }

  /** Takes it, unless somebody else has it. */
  public boolean tryLock() {
    long result = flock(LOCK_EXCLUSIVE | LOCK_NONBLOCKING);
    if (result < 0 && result != -Errno.EAGAIN) {
      throw failed(result);
    }
    return result == 0;
  }

  /** Gives it back. */
  public void unlock() {
    long result = flock(UNLOCK);
    if (result < 0) {
      throw failed(result);
    }
  }

  private long flock(int operation) {
    long result;
    do {
      result = Libc.orErrno(Libc.FUNCTIONS.flock(fd, operation));
    } while (result == -Errno.EINTR);
    return result;
  }

  private IllegalStateException failed(long result) {
    return new IllegalStateException("flock of " + path + " failed with errno " + -result);
  }

  @Override
  public void close() {
    Libc.orErrno(Libc.FUNCTIONS.close(fd));
  }
}
