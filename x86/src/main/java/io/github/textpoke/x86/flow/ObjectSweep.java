package io.github.textpoke.x86.flow;

import com.google.common.cache.Cache;
import com.google.common.cache.CacheBuilder;
import com.google.common.primitives.ImmutableLongArray;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.elf.AddressLinks;
import io.github.textpoke.elf.EhFrame;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Relocations;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.x86.decode.TableDecoder;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Who leads into the functions of an object behind their first byte, from elsewhere in it: one pass
 * over all of its code. It collects
 *
 * <ul>
 *   <li>direct branches, calls and xbegins that leave their own function;
 *   <li>entries of jump tables that do: a switch leads into the part of its function that was split
 *       off ({@code .cold});
 *   <li>addresses of code that an instruction of another function takes, or reads from;
 *   <li>pointers to code that the loader writes (relocations).
 * </ul>
 *
 * <p>A function is a range of {@code .eh_frame} or a symbol's, decoded from its start. Where bytes
 * can't be read, and between functions, each byte counts as the start of an instruction: that finds
 * too many branches and never too few. Data between the instructions of one function, as in
 * hand-written code, may hide a branch until decoding falls in with the code again.
 *
 * <p>Link-time addresses. Immutable and thread-safe.
 */
public final class ObjectSweep {
  /** Objects whose sweeps are kept: those of one process that somebody patches. */
  private static final int KEPT = 16;

  private static final Cache<Key, ObjectSweep> SWEEPS =
      CacheBuilder.newBuilder().maximumSize(KEPT).build();

  /** The linker's name of an object, and what tells apart files that only claim to be it. */
  private record Key(String buildId, LoadedSize size) {}

  private record LoadedSize(int sections, long bytes, long lowest) {}

  private final Units units;
  private final AddressLinks links;
  private final UnitUses uses;
  private final ImmutableLongArray unresolved;
  private final long instructions;

  private ObjectSweep(
      Units units,
      AddressLinks links,
      UnitUses uses,
      ImmutableLongArray unresolved,
      long instructions) {
    this.units = units;
    this.links = links;
    this.uses = uses;
    this.unresolved = unresolved;
    this.instructions = instructions;
  }

  /**
   * The sweep of {@code image}; an earlier one if it has a build-id.
   *
   * @throws BadObjectException as {@link #sweep}
   */
  public static ObjectSweep of(ElfImage image) {
    Optional<String> buildId = image.buildId();
    if (buildId.isEmpty()) {
      return sweep(image);
    }
    LoadedBytes loaded = LoadedBytes.of(image);
    LoadedSize size =
        new LoadedSize(
            loaded.executable().size(),
            loaded.executable().stream().mapToLong(range -> range.end() - range.start()).sum(),
            Relocations.lowestAddress(image));
    Key key = new Key(buildId.get(), size);
    ObjectSweep known = SWEEPS.getIfPresent(key);
    if (known == null) {
      known = sweep(image);
      SWEEPS.put(key, known);
    }
    return known;
  }

  /**
   * Sweeps {@code image} now.
   *
   * @throws BadObjectException if it is malformed, or spans more than 4 GiB
   */
  public static ObjectSweep sweep(ElfImage image) {
    LoadedBytes loaded = LoadedBytes.of(image);
    Units units = Units.of(EhFrame.of(image), Symbols.of(image), loaded);
    return new Sweeper(image, loaded, units).sweep();
  }

  /** From who leads to where, behind the start of a function; without the pointers. */
  public AddressLinks links() {
    return links;
  }

  /** The indirect jumps for which no table was found, sorted: most are calls at a tail. */
  public ImmutableLongArray unresolvedJumps() {
    return unresolved;
  }

  /** The number of instructions decoded. */
  public long instructions() {
    return instructions;
  }

  /** The function, or part of one, that holds {@code address}. */
  public Optional<FunctionRange> functionAt(long address) {
    int index = units.at(address);
    return index < 0
        ? Optional.empty()
        : Optional.of(new FunctionRange(units.start(index), units.end(index)));
  }

  /** Whether a function, or part of one, begins at {@code address}. */
  public boolean isStart(long address) {
    return units.isStart(address);
  }

  /**
   * Whether an instruction of another function calls the start of one at {@code address}, or takes
   * its address. A part that was split off is only jumped to.
   */
  public boolean isCalled(long address) {
    return isStart(address) && uses.isCalled(units.at(address));
  }

  /**
   * Whether of all functions, and parts of such, only those in {@code ranges} jump to the start of
   * one at {@code address}; what can't be read does not count.
   */
  public boolean isJumpedToOnlyFrom(long address, Iterable<FunctionRange> ranges) {
    int jumper = isStart(address) ? uses.onlyJumper(units.at(address)) : UnitUses.SEVERAL;
    if (jumper < 0) {
      return false;
    }
    for (FunctionRange range : ranges) {
      if (range.contains(units.start(jumper))) {
        return true;
      }
    }
    return false;
  }

  /** The first start of a function, or part of one, in {@code [from, to)}. */
  public OptionalLong startIn(long from, long to) {
    int index = units.firstFrom(from);
    return index < units.count() && units.start(index) < to
        ? OptionalLong.of(units.start(index))
        : OptionalLong.empty();
  }

  /** The first indirect jump without a table in {@code range}. */
  public Optional<Long> unresolvedIn(FunctionRange range) {
    // A few thousand at most.
    for (int i = 0; i < unresolved.length(); i++) {
      if (range.contains(unresolved.get(i))) {
        return Optional.of(unresolved.get(i));
      }
    }
    return Optional.empty();
  }

  /** One pass. Not thread-safe. */
  private static final class Sweeper {
    private final ElfImage image;
    private final LoadedBytes loaded;
    private final Units units;
    private final JumpTables tables;
    private final TableDecoder decoder = new TableDecoder();
    private final AddressLinks.Builder links;
    private final UnitUses uses;
    private final ImmutableLongArray.Builder unresolved = ImmutableLongArray.builder();
    private long instructions;

    Sweeper(ElfImage image, LoadedBytes loaded, Units units) {
      this.image = image;
      this.loaded = loaded;
      this.units = units;
      this.tables = new JumpTables(image, loaded);
      this.uses = new UnitUses(units.count());
      this.links = new AddressLinks.Builder(Relocations.lowestAddress(image));
    }

    ObjectSweep sweep() {
      for (FunctionRange range : loaded.executable()) {
        if (!links.holds(range.start()) || !links.holds(range.end())) {
          throw new BadObjectException(image.name(), "code more than 4 GiB away: " + range);
        }
        sweep(CodeRegion.of(image.name(), range.start(), loaded.code(range)));
      }
      return new ObjectSweep(units, links.build(), uses, unresolved.build(), instructions);
    }

    private void sweep(CodeRegion code) {
      FunctionCode function = new FunctionCode(decoder, code, 0, 0);
      int at = 0;
      int length = code.bytes().length();
      for (int unit = units.firstFrom(code.address());
          unit < units.count() && units.start(unit) < code.end();
          unit++) {
        int start = (int) (units.start(unit) - code.address());
        int end = (int) Math.min(length, units.end(unit) - code.address());
        everyByte(code, at, start);
        function.load(code, start, end);
        take(function);
        everyByte(code, function.readTo(), end);
        at = end;
      }
      everyByte(code, at, length);
    }

    private void take(FunctionCode function) {
      instructions += function.count();
      for (int i = 0; i < function.count(); i++) {
        long decoded = function.decoded(i);
        if (Decoded.branchWidth(decoded) != 0) {
          lead(function, function.address(i), function.branchTarget(i));
          use(function, i, function.branchTarget(i));
        } else if (Decoded.ripWidth(decoded) != 0) {
          lead(function, function.address(i), function.ripTarget(i));
          use(function, i, function.ripTarget(i));
        }
        if (Decoded.flow(decoded) == Flow.INDIRECT_JUMP) {
          long jump = function.address(i);
          if (tables.resolve(function, i, target -> lead(function, jump, target)).isPresent()) {
            unresolved.add(jump);
          }
        }
      }
    }

    /** Notes what another function does to the start of one. */
    private void use(FunctionCode function, int index, long target) {
      if (!function.contains(target) && units.isStart(target)) {
        switch (Decoded.flow(function.decoded(index))) {
          case JUMP, CONDITIONAL_JUMP, COUNTER_JUMP ->
              uses.jumped(units.at(target), units.at(function.address(index)));
          default -> uses.called(units.at(target));
        }
      }
    }

    private void lead(FunctionCode function, long source, long target) {
      if (!function.contains(target)) {
        lead(source, target);
      }
    }

    private void lead(long source, long target) {
      if (!units.isStart(target) && loaded.isExecutable(target)) {
        links.add(source, target);
      }
    }

    /** Takes each byte for the start of an instruction. */
    private void everyByte(CodeRegion code, int from, int end) {
      for (int at = from; at < end; at++) {
        long decoded = decoder.decode(code, at);
        if (Decoded.isDecoded(decoded)) {
          instructions++;
          if (Decoded.branchWidth(decoded) != 0) {
            lead(code.address() + at, FunctionCode.target(code, at, decoded));
          }
        }
      }
    }
  }
}
