package io.github.textpoke.process;

import io.github.textpoke.PatchException.LaunchFailedException;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbols;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What a process is that has called execve and has not run an instruction since: the kernel has
 * mapped the executable and, if it names one, the loader (fs/binfmt_elf.c, load_elf_binary). The
 * loader maps and relocates the shared objects. When it is done it says so to debuggers: it calls a
 * function that does nothing, with {@code r_state} RT_CONSISTENT (glibc, elf/rtld.c, dl_main;
 * link.h). What runs of the program before that are IFUNC resolvers, and {@code __libc_early_init};
 * constructors come after it (elf/rtld.c, _dl_start_user).
 */
public final class ProgramStart {
  private static final long AT_BASE = 7;
  private static final long AT_ENTRY = 9;
  private static final String HOOK = "_dl_debug_state";
  private static final String STATE = "_r_debug";

  /** struct r_debug of link.h: r_version, r_map, r_brk, r_state. */
  private static final int R_STATE = 24;

  private static final Path DEBUG_ROOT = Path.of("/usr/lib/debug");

  private ProgramStart() {}

  /**
   * Where the loader tells how far it is.
   *
   * @param function absolute address of the function that it calls then
   * @param state absolute address of an int: 0 when all objects are mapped and relocated
   */
  public record Rendezvous(long function, long state) {}

  /** Absolute address of the loader; 0 where the program has none: it is static. */
  public static long loader(int pid) {
    return auxiliary(pid, AT_BASE);
  }

  /** Absolute address of the executable's entry, which the loader jumps to at its end. */
  public static long entry(int pid) {
    return auxiliary(pid, AT_ENTRY);
  }

  /** A value of the auxiliary vector; 0 where it is not there. */
  private static long auxiliary(int pid, long wanted) {
    ByteBuffer vector = ByteBuffer.wrap(ProcText.bytes(pid, "auxv")).order(ByteOrder.LITTLE_ENDIAN);
    while (vector.remaining() >= 2 * Long.BYTES) {
      long type = vector.getLong();
      long value = vector.getLong();
      if (type == wanted) {
        return value;
      }
    }
    return 0;
  }

  /**
   * Finds it in the loader's own symbols.
   *
   * @param loader as {@link #loader}
   * @throws LaunchFailedException if this loader has none that we know
   */
  public static Rendezvous rendezvous(int pid, long loader, MemoryMap map, MemoryReader memory) {
    Mapping first =
        map.at(loader).orElseThrow(() -> new LaunchFailedException("the loader is not mapped", ""));
    LoadedObjects objects = new LoadedObjects(map, memory, new ObjectFiles(pid, DEBUG_ROOT));
    Symbols symbols =
        objects
            .read(map.ofSameFile(first).stream().filter(LoadedObjects::mayHoldObject).toList())
            .stream()
            .findFirst()
            .map(LoadedObject::symbols)
            .orElseThrow(() -> unknown(first));
    // The kernel maps a loader so that its first byte has link-time address 0.
    return new Rendezvous(
        loader + address(symbols, HOOK).orElseThrow(() -> unknown(first)),
        loader + address(symbols, STATE).orElseThrow(() -> unknown(first)) + R_STATE);
  }

  private static Optional<Long> address(Symbols symbols, String name) {
    return symbols.named(name).stream().map(Symbol::address).findFirst();
  }

  private static LaunchFailedException unknown(Mapping loader) {
    return new LaunchFailedException(
        "the loader "
            + loader.path()
            + " does not say when it is done: it has no "
            + HOOK
            + " and "
            + STATE,
        "patch the executable only, or use a program of the GNU C library");
  }
}
