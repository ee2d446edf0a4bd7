package io.github.textpoke.linux;

import jnr.ffi.LibraryLoader;
import jnr.ffi.Runtime;

/**
 * The C library, as far as it is needed. Nobody outside of this package names JNR.
 *
 * <p>JNR-FFI passes a wrong sixth integer argument when a function has exactly six primitive
 * parameters (jnr-ffi issue 181), so no method here may have six: {@code syscall} has seven and is
 * right. A test walks the interface and checks it.
 */
final class Libc {
  /** For JNR's proxy only. */
  public interface Functions {
    /** ptrace(2), raw addresses. */
    long ptrace(long request, int tid, long address, long data);

    /** waitpid(2); {@code status} is the address of an int. */
    int waitpid(int tid, long status, int options);

    /** open(2) without a mode. */
    int open(String path, int flags);

    /** close(2). */
    int close(int fd);

    /** flock(2). */
    int flock(int fd, int operation);

    /** pread(2); {@code buffer} is an address. */
    long pread(int fd, long buffer, long count, long offset);

    /** pwrite(2); {@code buffer} is an address. */
    long pwrite(int fd, long buffer, long count, long offset);

    /** syscall(2) with all six arguments. */
    long syscall(long number, long a, long b, long c, long d, long e, long f);
  }

  static final Functions FUNCTIONS = LibraryLoader.create(Functions.class).load("c");
  static final Runtime RUNTIME = Runtime.getRuntime(FUNCTIONS);

  private Libc() {}

  /** {@code result}, or the negated errno where it is -1: the kernel's own convention. */
  static long orErrno(long result) {
    return result == -1 ? -RUNTIME.getLastError() : result;
  }
}
