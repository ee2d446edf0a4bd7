package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.elf.Symbol;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Where symbols of a process's C library and of its loader are. Each is looked up once: that takes
 * as long as the library has symbols. Not thread-safe.
 */
final class GlibcNames {
  private final ImmutableList<Mapping> mappings;
  private final LoadedObject libc;
  private final LoadedObject loader;
  private final Map<String, Optional<Named>> found = new HashMap<>();

  /**
   * A symbol.
   *
   * @param start absolute address
   * @param size bytes
   */
  record Named(long start, long size) {}

  /**
   * Opens the files.
   *
   * @throws io.github.textpoke.PatchException.UnsupportedTargetException if the process has not one
   *     of each
   */
  GlibcNames(int pid, LoadedObjects objects) {
    this.mappings = mappings(objects);
    this.libc = only(pid, objects, GlibcSymbols.LIBC);
    this.loader = only(pid, objects, GlibcSymbols.LOADER);
  }

  private static ImmutableList<Mapping> mappings(LoadedObjects objects) {
    return ImmutableList.<Mapping>builder()
        .addAll(objects.mappingsOf(GlibcSymbols.LIBC))
        .addAll(objects.mappingsOf(GlibcSymbols.LOADER))
        .build();
  }

  private static LoadedObject only(int pid, LoadedObjects objects, String name) {
    ImmutableList<LoadedObject> found = objects.read(objects.mappingsOf(name));
    if (found.size() != 1) {
      throw GlibcSymbols.refused(
          pid, "it has " + found.size() + " objects " + name + ", expected one");
    }
    return found.get(0);
  }

  /** Whether the same files are mapped at the same addresses. */
  boolean areOf(LoadedObjects objects) {
    return mappings(objects).equals(mappings);
  }

  /** A symbol of libc; empty: there is none. */
  Optional<Named> ofLibc(String symbol) {
    return found.computeIfAbsent(GlibcSymbols.LIBC + ":" + symbol, key -> find(libc, symbol));
  }

  /** A symbol of the loader; empty: there is none. */
  Optional<Named> ofLoader(String symbol) {
    return found.computeIfAbsent(GlibcSymbols.LOADER + ":" + symbol, key -> find(loader, symbol));
  }

  private static Optional<Named> find(LoadedObject object, String name) {
    ImmutableList<Symbol> symbols = object.symbols().named(name);
    return symbols.stream()
        .findFirst()
        .map(symbol -> new Named(symbol.address() + object.bias(), symbol.size()));
  }
}
