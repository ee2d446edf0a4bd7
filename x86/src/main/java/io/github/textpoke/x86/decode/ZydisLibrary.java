package io.github.textpoke.x86.decode;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.internal.Uninterruptibly;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import jnr.ffi.LibraryLoader;
import jnr.ffi.Pointer;

/**
 * Finds and binds the system's libZydis 4.0 or 4.1. Zydis promises its API, not its ABI: so the
 * library is loaded by exact name, its version checked, and {@link ZydisDecoder} tests it on known
 * instructions before anybody may use it.
 */
final class ZydisLibrary {
  /** System property: the path of the library, where it is in none of the usual places. */
  static final String PATH_PROPERTY = "textpoke.zydis";

  private static final ImmutableList<String> NAMES =
      ImmutableList.of("libZydis.so.4.1", "libZydis.so.4.0");

  private static final ImmutableList<String> DIRECTORIES =
      ImmutableList.of(
          "/usr/local/lib",
          "/usr/local/lib64",
          "/usr/lib/x86_64-linux-gnu",
          "/lib/x86_64-linux-gnu",
          "/usr/lib64",
          "/lib64",
          "/usr/lib",
          "/lib");

  private ZydisLibrary() {}

  /**
   * The functions that we call. Addresses are raw {@code long}s, which is fastest. No method has
   * exactly six primitive parameters: JNR-FFI passes the sixth wrongly (jnr-ffi issue 181).
   */
  public interface Zydis {
    /** 0xMMMMmmmmpppp0000: major, minor, patch. */
    long ZydisGetVersion();

    /** {@code ZydisDecoderInit(decoder, machine_mode, stack_width)}. */
    int ZydisDecoderInit(long decoder, int machineMode, int stackWidth);

    /** {@code ZydisDecoderEnableMode(decoder, mode, enabled)}. */
    int ZydisDecoderEnableMode(long decoder, int mode, int enabled);

    /** Decodes without operands. {@code context} may be 0. */
    int ZydisDecoderDecodeInstruction(
        long decoder, long context, long buffer, long length, long instruction);

    /** Decodes and formats in Intel syntax, with absolute targets. */
    int ZydisDisassembleIntel(
        int machineMode, long address, long buffer, long length, long disassembled);

    /** The name of a mnemonic in lower case, null behind the last. */
    Pointer ZydisMnemonicGetString(int mnemonic);

    /** The name of an ISA set in upper case, null behind the last. */
    Pointer ZydisISASetGetString(int isaSet);
  }

  /** A bound library. */
  record Bound(Zydis zydis, String path, String version) {}

  /**
   * Binds the first library that can be loaded.
   *
   * @throws UnsupportedPlatformException if there is none, or its version is another; says what was
   *     tried
   */
  static Bound load() {
    return Uninterruptibly.onOwnThread(ZydisLibrary::bind);
  }

  private static Bound bind() {
    List<String> tried = new ArrayList<>();
    for (String path : candidates()) {
      try {
        Zydis zydis = LibraryLoader.create(Zydis.class).load(path);
        long version = zydis.ZydisGetVersion(); // the first call binds: JNR-FFI is lazy
        if (isSupported(version)) {
          return new Bound(zydis, path, text(version));
        }
        tried.add(path + " (version " + text(version) + ")");
      } catch (UnsatisfiedLinkError e) {
        tried.add(path + " (" + firstLine(e) + ")");
      }
    }
    throw unavailable("no libZydis 4.0 or 4.1 among " + String.join(", ", tried), null);
  }

  /** Whether the layout that we read is that version's. */
  static boolean isSupported(long version) {
    return version >>> 48 == 4 && (version >>> 32 & 0xffff) <= 1;
  }

  private static String text(long version) {
    return "%d.%d.%d".formatted(version >>> 48, version >>> 32 & 0xffff, version >>> 16 & 0xffff);
  }

  private static ImmutableList<String> candidates() {
    String given = System.getProperty(PATH_PROPERTY);
    if (given != null) {
      return ImmutableList.of(given);
    }
    ImmutableList.Builder<String> found = ImmutableList.builder();
    for (String name : NAMES) {
      for (String directory : DIRECTORIES) {
        Path path = Path.of(directory, name);
        if (Files.isRegularFile(path)) {
          found.add(path.toString());
        }
      }
    }
    // Last by name alone: the loader knows LD_LIBRARY_PATH and its cache.
    return found.addAll(NAMES).build();
  }

  static UnsupportedPlatformException unavailable(
      String reason, @org.jspecify.annotations.Nullable Throwable cause) {
    return new UnsupportedPlatformException(
        reason + ": install libzydis 4.0 or 4.1, or name it by -D" + PATH_PROPERTY, cause);
  }

  private static String firstLine(Throwable e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
  }
}
