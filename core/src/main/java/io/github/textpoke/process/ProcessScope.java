package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.elf.DynamicSection;
import io.github.textpoke.elf.DynamicSymbol;
import io.github.textpoke.elf.DynamicSymbol.Place;
import io.github.textpoke.elf.LocalName;
import io.github.textpoke.elf.Segment;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbol.Binding;
import io.github.textpoke.elf.SymbolScope;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The symbols of a live process, as its loader looks them up: the executable first, then the others
 * in the order in which they were loaded; the first definition counts, weak or not. What is not
 * exported anywhere is searched among the executable's symbols that are not static: what the static
 * linker would have found there. Not thread-safe.
 *
 * <p>Three things differ from glibc's loader. A reference without version means the default
 * version, as it does to the static linker and to {@code dlsym}; the loader would take the oldest.
 * Objects that were loaded with {@code RTLD_LOCAL} are searched too, last. And the address of a
 * function is always its own, also where an executable linked for a fixed address stands in for it
 * with an entry of its linkage table.
 *
 * <p>Source: System V ABI, "Shared Object Dependencies"; LSB Core, "Symbol Versioning".
 */
final class ProcessScope implements SymbolScope {
  private final MemoryMap map;
  private final MemoryReader memory;
  private final LoadedObjects objects;
  private final IdentityHashMap<LoadedObject, DynamicSection> dynamics = new IdentityHashMap<>();

  /** Found when it is first asked for. */
  private @Nullable ImmutableList<LoadedObject> order;

  ProcessScope(MemoryMap map, MemoryReader memory, LoadedObjects objects) {
    this.map = map;
    this.memory = memory;
    this.objects = objects;
  }

  @Override
  public Optional<Definition> find(String name, String version) {
    for (LoadedObject object : order()) {
      for (DynamicSymbol symbol : dynamic(object).named(name)) {
        if (isMeant(symbol, version)) {
          return Optional.of(definition(object, symbol));
        }
      }
    }
    // A static program has no versions: what it holds is what its libraries had.
    return version.isEmpty() || dynamic(order().get(0)).symbolCount() == 0
        ? findInExecutable(name)
        : Optional.empty();
  }

  /** As {@code check_match} of glibc's loader, but for a reference without version. */
  private static boolean isMeant(DynamicSymbol symbol, String version) {
    boolean isAddress =
        symbol.value() != 0
            || symbol.place() == Place.ABSOLUTE
            || symbol.kind() == DynamicSymbol.Kind.THREAD_LOCAL;
    return symbol.isExported()
        && isAddress
        && ((symbol.version().equals(version) && !version.isEmpty())
            || (!symbol.isHiddenVersion() && (version.isEmpty() || symbol.version().isEmpty())));
  }

  private Definition definition(LoadedObject object, DynamicSymbol symbol) {
    long address =
        symbol.place() == Place.ABSOLUTE ? symbol.value() : symbol.value() + object.bias();
    return switch (symbol.kind()) {
      case UNTYPED, OBJECT, FUNCTION -> new Address(object.name(), address, symbol.size());
      case IFUNC -> implementation(object, symbol.value());
      case THREAD_LOCAL -> new ThreadLocal(object.name(), threadOffset(object, symbol.value()));
      case OTHER -> throw new IllegalStateException("exported: " + symbol);
    };
  }

  private Optional<Definition> findInExecutable(String name) {
    LoadedObject executable = order().get(0);
    return executable.symbols().named(name).stream()
        .filter(symbol -> symbol.binding() != Binding.LOCAL)
        .filter(symbol -> symbol.table() == Symbol.Table.SYMTAB)
        .findFirst()
        .map(symbol -> definition(executable, symbol));
  }

  private Definition definition(LoadedObject object, Symbol symbol) {
    return symbol.kind() == Symbol.Kind.IFUNC
        ? implementation(object, symbol.address())
        : new Address(object.name(), symbol.address() + object.bias(), symbol.size());
  }

  private Definition implementation(LoadedObject object, long resolver) {
    OptionalLong chosen = Implementations.chosen(object, resolver, memory);
    return chosen.isPresent()
        ? new Address(object.name(), chosen.getAsLong(), 0)
        : new Resolver(object.name(), resolver + object.bias());
  }

  /**
   * The executable's variables lie right below the thread pointer: the linker itself counts on that
   * (ELF Handling For Thread-Local Storage, section 3.4, variant II). Where those of other objects
   * lie, the loader keeps to itself.
   */
  private OptionalLong threadOffset(LoadedObject object, long value) {
    if (object != order().get(0)) {
      return OptionalLong.empty();
    }
    for (Segment segment : object.image().segments()) {
      if (segment.isThreadLocal()) {
        long alignment = Math.max(1, segment.alignment());
        if (Long.bitCount(alignment) != 1 || segment.address() % alignment != 0) {
          return OptionalLong.empty();
        }
        return OptionalLong.of(value - ((segment.memorySize() + alignment - 1) & -alignment));
      }
    }
    return OptionalLong.empty();
  }

  @Override
  public Definition findLocal(LocalName name) {
    List<LoadedObject> searched = objectsOf(name);
    List<Definition> found = new ArrayList<>();
    List<String> names = new ArrayList<>();
    for (LoadedObject object : searched) {
      ImmutableList<Symbol> all = object.symbols().named(name.symbol());
      for (int i = 0; i < all.size(); i++) {
        if (name.position() == 0 || name.position() == i + 1) {
          found.add(definition(object, all.get(i)));
          names.add(text(name.at(i + 1), object, all.get(i)));
        }
      }
    }
    if (found.isEmpty()) {
      throw noSuchSymbol(name, searched);
    }
    if (found.size() > 1) {
      throw new AmbiguousSymbolException(name.toString(), names);
    }
    return found.get(0);
  }

  private static String text(LocalName name, LoadedObject object, Symbol symbol) {
    String kind =
        switch (symbol.kind()) {
          case FUNCTION, IFUNC -> "function";
          case OBJECT -> "data";
          case UNTYPED -> "symbol without type";
        };
    return "%s (%s of %d bytes at 0x%x of %s)"
        .formatted(name, kind, symbol.size(), symbol.address(), object.path());
  }

  private NoSuchSymbolException noSuchSymbol(LocalName name, List<LoadedObject> searched) {
    if (searched.isEmpty()) {
      return new NoSuchSymbolException(
          name.toString(),
          objects.names(),
          "no object of that name is loaded: name one of those, with _ for each character that an"
              + " assembler does not take");
    }
    long count = searched.stream().mapToLong(o -> o.symbols().named(name.symbol()).size()).sum();
    boolean isStripped = searched.stream().anyMatch(object -> !object.hasLocalSymbols());
    return new NoSuchSymbolException(
        name.toString(),
        searched.stream().map(LoadedObject::name).toList(),
        count > 0
            ? "there are only " + count + " of that name"
            : isStripped
                ? "install its debug symbols for names that are static there"
                : "was it inlined, or renamed by the compiler (" + name.symbol() + ".part.0)?");
  }

  private List<LoadedObject> objectsOf(LocalName name) {
    if (name.object().isEmpty()) {
      return List.of(order().get(0));
    }
    ImmutableList<Mapping> exactly = objects.mappingsOf(name.object());
    return objects.read(
        exactly.isEmpty()
            ? objects.mappings().stream()
                .filter(mapping -> assemblerName(mapping.baseName()).equals(name.object()))
                .toList()
            : exactly);
  }

  private static String assemblerName(String file) {
    return file.replaceAll("[^A-Za-z0-9_.]", "_");
  }

  @Override
  public ImmutableList<String> searched() {
    return order().stream().map(LoadedObject::name).collect(ImmutableList.toImmutableList());
  }

  private DynamicSection dynamic(LoadedObject object) {
    return dynamics.computeIfAbsent(object, o -> DynamicSection.of(o.image()));
  }

  private ImmutableList<LoadedObject> order() {
    ImmutableList<LoadedObject> known = order;
    if (known == null) {
      LoadedObject executable = objects.executable();
      known =
          LinkMap.read(executable, memory)
              .map(entries -> inOrderOf(entries, executable))
              .orElseGet(() -> ImmutableList.of(executable));
      order = known;
    }
    return known;
  }

  /**
   * @throws BadObjectException if one can't be read: to leave it out might bind to another
   */
  private ImmutableList<LoadedObject> inOrderOf(
      ImmutableList<LinkMap.Entry> entries, LoadedObject executable) {
    return Stream.concat(
            Stream.of(executable), entries.stream().map(this::object).flatMap(Optional::stream))
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * Empty for the vDSO, whose symbols the loader does not look up, and for an object of no code.
   */
  private Optional<LoadedObject> object(LinkMap.Entry entry) {
    return map.at(entry.dynamic())
        .filter(Mapping::hasFile)
        .flatMap(data -> objects.readAt(data, entry.bias()));
  }
}
