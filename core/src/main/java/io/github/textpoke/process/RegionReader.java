package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.CodeRegion.Backing;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.Symbol;
import java.util.Optional;

/** Finds the bounds of functions and reads them out of memory. */
final class RegionReader {
  /** Planner rule 1: decode from a trusted start. */
  private static final int RULE_TRUSTED_START = 1;

  private static final int MOST_BYTES = 1 << 26;

  /**
   * A function in an object.
   *
   * @param range link-time
   */
  record Function(LoadedObject object, String name, FunctionRange range) {}

  private final MemoryMap map;
  private final MemoryReader memory;
  private final LoadedObjects objects;

  RegionReader(MemoryMap map, MemoryReader memory, LoadedObjects objects) {
    this.map = map;
    this.memory = memory;
    this.objects = objects;
  }

  /** The function that holds the absolute {@code address}. */
  Function functionAt(long address) {
    Mapping mapping = executableAt(address);
    LoadedObject object =
        Optional.of(mapping)
            .filter(LoadedObjects::mayHoldObject)
            .flatMap(objects::read)
            .orElseThrow(
                () -> noTrustedStart(address, "the code belongs to no loaded object: " + mapping));
    long linked = address - object.bias();
    return object.symbols().functionsAt(linked).stream()
        .findFirst()
        .map(symbol -> new Function(object, symbol.name(), rangeOf(symbol)))
        .or(() -> unnamedAt(object, linked))
        .orElseThrow(
            () ->
                noTrustedStart(
                    address,
                    object.name()
                        + " has neither a symbol nor an .eh_frame entry for the address"));
  }

  private static Optional<Function> unnamedAt(LoadedObject object, long linked) {
    return object
        .frames()
        .rangeAt(linked)
        .map(
            range ->
                new Function(object, "0x" + Long.toHexString(range.start()) + " (unnamed)", range));
  }

  /** The function that a symbol names, or inside of which it is a label. */
  Function functionOf(LoadedObject object, Symbol symbol) {
    if (symbol.size() != 0) {
      return new Function(object, symbol.name(), rangeOf(symbol));
    }
    FunctionRange range =
        object
            .frames()
            .rangeAt(symbol.address())
            .orElseThrow(
                () ->
                    noTrustedStart(
                        symbol.address() + object.bias(),
                        object.name()
                            + " says nowhere how long "
                            + symbol.name()
                            + " is: its symbol has no size, and .eh_frame no entry for it"));
    return new Function(object, symbol.name(), range);
  }

  private static FunctionRange rangeOf(Symbol symbol) {
    return new FunctionRange(symbol.address(), symbol.address() + symbol.size());
  }

  /** The function's bytes, as they stand in memory now. */
  CodeRegion read(Function function) {
    LoadedObject object = function.object();
    FunctionRange range = function.range();
    long size = range.end() - range.start();
    boolean fits = size <= MOST_BYTES && object.image().isExecutable(range.start(), size);
    if (!fits) {
      throw new BadObjectException(
          object.path(), function.name() + " has " + size + " bytes, which its segment lacks");
    }
    long start = range.start() + object.bias();
    Backing backing = backing(start, start + size);
    CodeBytes bytes = memory.read(start, (int) size);
    return new CodeRegion(
        object.name() + ":" + function.name(),
        start,
        bytes,
        entryPoints(object, range),
        ImmutableList.of(),
        backing);
  }

  private static ImmutableSet<Long> entryPoints(LoadedObject object, FunctionRange range) {
    ImmutableSet.Builder<Long> entries = ImmutableSet.builder();
    for (Symbol symbol : object.symbols().codeStartingIn(range.start() + 1, range.end())) {
      entries.add(symbol.address() + object.bias());
    }
    for (FunctionRange other : object.frames().startingIn(range.start() + 1, range.end())) {
      entries.add(other.start() + object.bias());
    }
    return entries.build();
  }

  /** That of the whole range: the strictest of its mappings decides. */
  private Backing backing(long start, long end) {
    Backing backing = Backing.PRIVATE;
    long at = start;
    while (at != end) {
      Mapping mapping = executableAt(at);
      if (mapping.shared()) {
        backing = Backing.SHARED;
      }
      at = Long.compareUnsigned(mapping.end(), end) < 0 ? mapping.end() : end;
    }
    return backing;
  }

  private Mapping executableAt(long address) {
    Mapping mapping =
        map.at(address)
            .orElseThrow(
                () ->
                    new UnwritableMappingException(
                        address, "nothing is mapped there", Outcome.UNTOUCHED));
    if (!mapping.executable()) {
      throw new UnwritableMappingException(
          address, "not executable: " + mapping, Outcome.UNTOUCHED);
    }
    return mapping;
  }

  private static PlanRefusedException noTrustedStart(long address, String reason) {
    return new PlanRefusedException(
        RULE_TRUSTED_START,
        address,
        "not decoded",
        "no start of a function is known before it: " + reason,
        "name a function of an object that has symbols or unwind information");
  }
}
