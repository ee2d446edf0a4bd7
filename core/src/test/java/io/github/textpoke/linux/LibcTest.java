package io.github.textpoke.linux;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import jnr.ffi.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** That native arguments arrive as they were given. */
final class LibcTest {
  private static final int PAGE = 4096;
  private static final int PROT_READ = 1;
  private static final int MAP_PRIVATE = 2;
  private static final int O_RDONLY = 0;

  @TempDir Path directory;

  /** jnr-ffi issue 181: with exactly six primitive parameters the sixth arrives wrong. */
  @Test
  void noFunctionHasExactlySixPrimitiveParameters() {
    Method[] functions = Libc.Functions.class.getDeclaredMethods();
    assertThat(functions).isNotEmpty();
    assertThat(functions).noneMatch(LibcTest::hasSixPrimitives);
  }

  private static boolean hasSixPrimitives(Method function) {
    Class<?>[] parameters = function.getParameterTypes();
    return parameters.length == 6 && Arrays.stream(parameters).allMatch(Class::isPrimitive);
  }

  @Test
  void systemCallPassesAllSixArguments() throws Exception {
    byte[] content = new byte[4 * PAGE];
    for (int i = 0; i < content.length; i++) {
      content[i] = (byte) (i / PAGE * 16 + i % 13);
    }
    Path file = Files.write(directory.resolve("pages"), content);
    int fd = Libc.FUNCTIONS.open(file.toString(), O_RDONLY);
    assertThat(fd).isNotNegative();
    try {
      for (int page = 0; page < 4; page++) {
        assertThat(mapped(fd, (long) page * PAGE))
            .isEqualTo(Arrays.copyOfRange(content, page * PAGE, (page + 1) * PAGE));
      }
    } finally {
      Libc.FUNCTIONS.close(fd);
    }
  }

  /** The sixth argument of mmap is the offset, the fifth the descriptor. */
  private static byte[] mapped(int fd, long offset) {
    long address =
        Libc.orErrno(
            Libc.FUNCTIONS.syscall(Kernel.SYS_MMAP, 0, PAGE, PROT_READ, MAP_PRIVATE, fd, offset));
    assertThat(address).isPositive();
    try {
      byte[] bytes = new byte[PAGE];
      Pointer.wrap(Libc.RUNTIME, address).get(0, bytes, 0, PAGE);
      return bytes;
    } finally {
      assertThat(Libc.FUNCTIONS.syscall(Kernel.SYS_MUNMAP, address, PAGE, 0, 0, 0, 0)).isZero();
    }
  }

  @Test
  void argumentsKeepTheirHighHalves() {
    NativeBytes out = new NativeBytes(16);
    // pread of this process's memory needs a full 64-bit offset and a full 64-bit buffer.
    NativeBytes in = new NativeBytes(8);
    in.put(0, CodeBytes.of(1, 2, 3, 4, 5, 6, 7, 8));
    int fd = Libc.FUNCTIONS.open("/proc/self/mem", O_RDONLY);
    assertThat(fd).isNotNegative();
    try {
      assertThat(Libc.FUNCTIONS.pread(fd, out.address(4), 8, in.address(0))).isEqualTo(8);
    } finally {
      Libc.FUNCTIONS.close(fd);
    }
    assertThat(out.get(4, 8)).isEqualTo(in.get(0, 8));
  }

  @Test
  void failureIsTheNegatedErrno() {
    assertThat(Libc.orErrno(Libc.FUNCTIONS.close(-1))).isEqualTo(-9); // EBADF
    assertThat(Libc.orErrno(Libc.FUNCTIONS.open(directory.resolve("none").toString(), O_RDONLY)))
        .isEqualTo(-Errno.ENOENT);
    assertThat(Libc.orErrno(5)).isEqualTo(5);
  }
}
