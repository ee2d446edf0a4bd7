package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbol.Kind;
import io.github.textpoke.process.SiteName.InFunction;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * Finds the one function that a name means, or says why there is none (the kernel's livepatch does
 * the same with {@code old_sympos}; Documentation/livepatch/livepatch.rst).
 */
final class SymbolLookup {
  /** Planner rule 20: object by build-id, name, position; position 0 must be unique. */
  private static final int RULE_SYMBOLS = 20;

  private static final int MOST_HINTS = 12;

  private final LoadedObjects objects;

  SymbolLookup(LoadedObjects objects) {
    this.objects = objects;
  }

  /**
   * A function that a name may mean.
   *
   * @param position of the symbol among those of its name in the object, from 1
   * @param count how many of its name there are in the object
   */
  record Candidate(LoadedObject object, Symbol symbol, int position, int count) {
    long address() {
      return symbol.address() + object.bias();
    }

    /** As it can be asked for without ambiguity. */
    String name() {
      return object.name() + ":" + symbol.name() + (count == 1 ? "" : "#" + position);
    }
  }

  Candidate find(InFunction name) {
    ImmutableList<LoadedObject> searched = searched(name);
    List<Candidate> candidates = new ArrayList<>();
    for (LoadedObject object : searched) {
      candidates.addAll(candidates(object, name));
    }
    if (candidates.isEmpty()) {
      throw noSuchSymbol(name, searched);
    }
    Candidate first = candidates.get(0);
    if (candidates.stream().anyMatch(candidate -> candidate.address() != first.address())) {
      throw new AmbiguousSymbolException(name.toString(), distinctNames(candidates));
    }
    return first;
  }

  private ImmutableList<LoadedObject> searched(InFunction name) {
    ImmutableList<Mapping> mappings =
        name.object().map(objects::mappingsOf).orElseGet(objects::mappings);
    if (mappings.isEmpty()) {
      throw new NoSuchSymbolException(
          name.toString(),
          objects.names(),
          "no object of that name is loaded: name one of those, or wait until it is");
    }
    return objects.read(mappings);
  }

  private static List<Candidate> candidates(LoadedObject object, InFunction name) {
    ImmutableList<Symbol> all = object.codeNamed(name.symbol());
    List<Candidate> candidates = new ArrayList<>();
    for (int i = 0; i < all.size(); i++) {
      if (name.sympos() == 0 || name.sympos() == i + 1) {
        candidates.add(new Candidate(object, all.get(i), i + 1, all.size()));
      }
    }
    return defaultVersionOf(candidates);
  }

  /**
   * Old versions of a symbol are there for old programs: the default version is what a name alone
   * means, to the linker too. Only where nothing but old versions stands beside it.
   */
  private static List<Candidate> defaultVersionOf(List<Candidate> candidates) {
    List<Candidate> defaults =
        candidates.stream().filter(candidate -> candidate.symbol().isDefaultVersion()).toList();
    boolean allVersioned =
        candidates.stream().noneMatch(candidate -> candidate.symbol().version().isEmpty());
    return defaults.size() == 1 && allVersioned ? defaults : candidates;
  }

  /** Two copies of one object can only be told apart by address. */
  private static List<String> distinctNames(List<Candidate> candidates) {
    List<String> names = candidates.stream().map(Candidate::name).toList();
    return names.stream().distinct().count() == names.size()
        ? names
        : candidates.stream()
            .map(c -> "0x" + Long.toHexString(c.address()) + " (" + c.object().path() + ")")
            .toList();
  }

  /** Why an IFUNC whose implementation is not known is no function. */
  static PlanRefusedException ifunc(Candidate candidate) {
    String name = candidate.symbol().name();
    String implementations =
        candidate.object().symbols().all().stream()
            .filter(symbol -> symbol.kind() == Kind.FUNCTION)
            .filter(symbol -> symbol.name().contains(name) && !symbol.name().equals(name))
            .sorted(Comparator.comparing(symbol -> !symbol.name().startsWith("__" + name + "_")))
            .limit(MOST_HINTS)
            .map(symbol -> candidate.object().name() + ":" + symbol.name())
            .collect(Collectors.joining(", "));
    return new PlanRefusedException(
        RULE_SYMBOLS,
        candidate.address(),
        candidate.name(),
        "it is an IFUNC: its address is that of a resolver, which runs once and returns the"
            + " implementation that is called",
        implementations.isEmpty()
            ? "name the implementation, for which debug symbols must be installed"
            : "name the implementation, such as " + implementations);
  }

  private static NoSuchSymbolException noSuchSymbol(
      InFunction name, ImmutableList<LoadedObject> searched) {
    return new NoSuchSymbolException(
        name.toString(),
        searched.stream().map(LoadedObject::name).toList(),
        remedy(name, searched));
  }

  private static String remedy(InFunction name, ImmutableList<LoadedObject> searched) {
    List<String> hints = new ArrayList<>();
    for (LoadedObject object : searched) {
      int count = object.codeNamed(name.symbol()).size();
      if (count > 0) {
        hints.add(object.name() + " has " + count + " of that name");
      } else if (!object.symbols().named(name.symbol()).isEmpty()) {
        hints.add("in " + object.name() + " it names no code");
      }
    }
    String near = nearMisses(name.symbol(), searched);
    if (hints.isEmpty() && !near.isEmpty()) {
      hints.add("there is " + near);
    }
    String stripped =
        searched.stream()
            .filter(object -> !object.hasLocalSymbols())
            .map(LoadedObject::name)
            .collect(Collectors.joining(", "));
    if (hints.isEmpty() && !stripped.isEmpty()) {
      hints.add("install the debug symbols of " + stripped + " for names of local functions");
    }
    return hints.isEmpty()
        ? "look at the symbols that there are; C++ names are written mangled"
        : String.join("; ", hints);
  }

  private static String nearMisses(String name, ImmutableList<LoadedObject> searched) {
    String wanted = name.toLowerCase(Locale.ROOT);
    return searched.stream()
        .flatMap(
            object ->
                object.symbols().all().stream()
                    .filter(object::isCode)
                    .filter(symbol -> symbol.name().toLowerCase(Locale.ROOT).contains(wanted))
                    .map(symbol -> object.name() + ":" + symbol.name()))
        .distinct()
        .sorted(Comparator.comparingInt(String::length))
        .limit(MOST_HINTS)
        .collect(Collectors.joining(", "));
  }
}
