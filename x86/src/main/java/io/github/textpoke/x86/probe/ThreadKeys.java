package io.github.textpoke.x86.probe;

import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.elf.SymbolScope;
import io.github.textpoke.process.ImageInMemory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;

/** Which key tells the threads of a program apart. */
final class ThreadKeys {
  /** Of getauxval(3), uapi/linux/auxvec.h: where the program's loader is mapped; 0: it has none. */
  private static final long AT_BASE = 7;

  private static final long AT_HWCAP2 = 26;

  /** Of asm/hwcap2.h: programs may use RDFSBASE. */
  private static final long HWCAP2_FSGSBASE = 1 << 1;

  private static final String THREAD_ID = "_thread_db_pthread_tid";

  private ThreadKeys() {}

  /**
   * That for functions of an object. A program that a loader has started has the C library's
   * control blocks, once the loader has made the first: its own functions run before.
   *
   * @throws UnsupportedTargetException if threads can't be told apart there
   */
  static ThreadKey of(int pid, ImageInMemory object) {
    ByteBuffer vector = auxiliaryVector(pid);
    long loader = value(vector, AT_BASE);
    boolean isLoader = loader >= object.start() && loader < object.end();
    if (loader != 0 && !isLoader) {
      return ThreadKey.POINTER;
    }
    if ((value(vector, AT_HWCAP2) & HWCAP2_FSGSBASE) == 0) {
      throw new UnsupportedTargetException(
          "functions of "
              + object.image().name()
              + " may run in threads without a control block, and the kernel does not let programs"
              + " read the base of fs by which they could be told apart",
          "boot a kernel of 5.9 or newer, on a processor with fsgsbase");
    }
    return ThreadKey.BASE;
  }

  /**
   * Where a thread's control block has the kernel's number of the thread, in bytes from its start;
   * empty where that is not known. The GNU C Library tells debuggers (nptl_db, structs.def): u32
   * bits of it, u32 how many, u32 offset.
   */
  static OptionalInt threadIdAt(TargetProcess process) {
    Optional<SymbolScope.Definition> found = process.resolver().scope().find(THREAD_ID, "");
    if (found.isEmpty() || !(found.get() instanceof SymbolScope.Address described)) {
      return OptionalInt.empty();
    }
    ByteBuffer words =
        ByteBuffer.wrap(process.read(described.address(), 3 * Integer.BYTES).toByteArray())
            .order(ByteOrder.LITTLE_ENDIAN);
    boolean isOneWord = words.getInt() == Integer.SIZE && words.getInt() == 1;
    return isOneWord ? OptionalInt.of(words.getInt()) : OptionalInt.empty();
  }

  private static ByteBuffer auxiliaryVector(int pid) {
    try {
      return ByteBuffer.wrap(Files.readAllBytes(Path.of("/proc/" + pid + "/auxv")))
          .order(ByteOrder.LITTLE_ENDIAN);
    } catch (IOException gone) {
      NoSuchProcessException failure = new NoSuchProcessException(pid);
      failure.addSuppressed(gone);
      throw failure;
    }
  }

  private static long value(ByteBuffer vector, long type) {
    for (int at = 0; at + 2 * Long.BYTES <= vector.limit(); at += 2 * Long.BYTES) {
      if (vector.getLong(at) == type) {
        return vector.getLong(at + Long.BYTES);
      }
    }
    return 0;
  }
}
