package io.github.textpoke.x86.link;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.ObjectRefusedException;
import io.github.textpoke.elf.DynamicSymbol;
import io.github.textpoke.elf.DynamicSymbol.Binding;
import io.github.textpoke.elf.DynamicSymbol.Place;
import io.github.textpoke.elf.LocalName;
import io.github.textpoke.elf.SymbolScope;
import io.github.textpoke.elf.SymbolScope.Definition;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * What each symbol that an object's relocations name is bound to. Made at once for all of them, so
 * that what is missing is said at once.
 */
final class Bindings {
  /** What a symbol is bound to. */
  sealed interface Bound {}

  /**
   * @param address absolute, or the number that the symbol is
   * @param size of the definition, bytes
   */
  record ToAddress(long address, long size) implements Bound {}

  /**
   * @param resolver absolute address of the function that returns the address
   */
  record ToResolver(long resolver) implements Bound {}

  /** A thread-local variable of the object itself. */
  record ToOwnThreadLocal() implements Bound {}

  /**
   * A thread-local variable of the target.
   *
   * @param offset from the thread pointer, bytes; empty where it is not known
   */
  record ToThreadLocal(String object, OptionalLong offset) implements Bound {}

  /** What an undefined weak symbol is bound to that is defined nowhere. */
  private static final ToAddress NOTHING = new ToAddress(0, 0);

  private final PatchObject object;
  private final long bias;
  private final SymbolScope scope;
  private final Map<Integer, Bound> bound = new LinkedHashMap<>();
  private final Set<String> missing = new LinkedHashSet<>();
  private final Set<String> remedies = new LinkedHashSet<>();

  private Bindings(PatchObject object, long bias, SymbolScope scope) {
    this.object = object;
    this.bias = bias;
    this.scope = scope;
  }

  /**
   * Binds all symbols that relocations name.
   *
   * @param bias what to add to a link-time address
   * @throws NoSuchSymbolException if some are defined nowhere; it names them all
   */
  static Bindings of(PatchObject object, long bias, SymbolScope scope) {
    Bindings bindings = new Bindings(object, bias, scope);
    object.relocations().stream()
        .mapToInt(relocation -> relocation.symbol())
        .filter(symbol -> symbol != 0)
        .distinct()
        .forEach(bindings::bind);
    bindings.checkComplete();
    return bindings;
  }

  /** What the dynamic symbol with that index is bound to. */
  Bound of(int symbol) {
    Bound known = bound.get(symbol);
    if (known == null) {
      throw object.bad("a relocation lacks its symbol");
    }
    return known;
  }

  private void bind(int index) {
    DynamicSymbol symbol = object.dynamicSymbols().get(index);
    try {
      bound(symbol)
          .ifPresentOrElse(
              found -> bound.put(index, found), () -> missing.add("'" + text(symbol) + "'"));
    } catch (NoSuchSymbolException e) {
      if (symbol.binding() == Binding.WEAK) {
        bound.put(index, NOTHING);
      } else {
        missing.add("'" + text(symbol) + "'");
        remedies.add(e.remedy());
      }
    }
  }

  private static String text(DynamicSymbol symbol) {
    return symbol.versionedName();
  }

  private Optional<Bound> bound(DynamicSymbol symbol) {
    if (symbol.isDefined()) {
      // The loader would take a definition of the target's if there is one; of these alone it
      // matters, since the program counts on one of them.
      Optional<Bound> theirs =
          symbol.binding() == Binding.UNIQUE ? search(symbol) : Optional.empty();
      return theirs.or(() -> Optional.of(own(symbol)));
    }
    if (LocalName.isMeantBy(symbol.name())) {
      LocalName name = LocalName.parse(symbol.name()).orElseThrow(() -> badName(symbol));
      return Optional.of(bound(scope.findLocal(name)));
    }
    Optional<Bound> found = search(symbol);
    return found.isEmpty() && symbol.binding() == Binding.WEAK ? Optional.of(NOTHING) : found;
  }

  private ObjectRefusedException badName(DynamicSymbol symbol) {
    return new ObjectRefusedException(
        object.name(),
        0,
        "'" + symbol.name() + "' names no symbol of the target",
        "write textpoke$OBJECT$NAME$POSITION, with position 0 where there is one of that name");
  }

  private Optional<Bound> search(DynamicSymbol symbol) {
    return scope.find(symbol.name(), symbol.isDefined() ? "" : symbol.version()).map(this::bound);
  }

  private Bound bound(Definition definition) {
    if (definition instanceof SymbolScope.Address address) {
      return new ToAddress(address.address(), address.size());
    }
    if (definition instanceof SymbolScope.Resolver resolver) {
      return new ToResolver(resolver.resolver());
    }
    SymbolScope.ThreadLocal variable = (SymbolScope.ThreadLocal) definition;
    return new ToThreadLocal(variable.object(), variable.offset());
  }

  private Bound own(DynamicSymbol symbol) {
    long address = symbol.place() == Place.ABSOLUTE ? symbol.value() : symbol.value() + bias;
    return switch (symbol.kind()) {
      case UNTYPED, OBJECT, FUNCTION -> new ToAddress(address, symbol.size());
      case IFUNC -> new ToResolver(address);
      case THREAD_LOCAL -> new ToOwnThreadLocal();
      case OTHER -> throw notBindable(symbol);
    };
  }

  private BadObjectException notBindable(DynamicSymbol symbol) {
    return object.bad("a relocation names a symbol that is no address: '" + text(symbol) + "'");
  }

  private void checkComplete() {
    if (missing.isEmpty()) {
      return;
    }
    ImmutableList<String> needed = object.needed();
    if (!needed.isEmpty()) {
      remedies.add(
          "the target must have loaded what "
              + object.name()
              + " was linked with ("
              + String.join(", ", needed)
              + ")");
    }
    remedies.add(
        "a function or variable that is static there is asked for as textpoke$OBJECT$NAME$0");
    String names = missing.stream().sorted().collect(Collectors.joining(", "));
    throw new NoSuchSymbolException(
        names.substring(1, names.length() - 1), scope.searched(), String.join("; ", remedies));
  }
}
