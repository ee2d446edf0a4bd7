package io.github.textpoke.x86.flow;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.elf.AddressLinks;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.x86.flow.FunctionExits.Exit;
import io.github.textpoke.x86.flow.FunctionExits.Kind;
import io.github.textpoke.x86.flow.FunctionExits.Obstacle;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Finds the {@link FunctionExits} of an object's functions. What it does not know for certain is an
 * obstacle, never an exit: it goes by these rules.
 *
 * <ol>
 *   <li>A jump to the start of another function is an exit, if that is called from elsewhere, or
 *       its address is taken, or a symbol names it. So is a jump to a stub of the linkage table.
 *   <li>A jump to the start of a range that nobody calls, and that only this function jumps to, or
 *       whose symbol says {@code .cold}, leads to a part of this function, and its exits are this
 *       one's.
 *   <li>An indirect jump through a jump table that is read leads to this function and its parts.
 *       One without a table is an exit if nothing holds, and the function can't have made, an
 *       address inside of it: see {@link JumpTables#ownPointers}.
 *   <li>No other function enters this one behind its start, so what it jumps to does not come back;
 *       and it does not jump to its start itself: there, a call could not be told from a turn of a
 *       loop.
 * </ol>
 *
 * <p>Link-time addresses. Immutable and thread-safe.
 */
public final class ExitSearch {
  /** {@code endbr64}: SDM vol. 2. */
  private static final CodeBytes ENDBR64 = CodeBytes.ofHex("f30f1efa");

  private static final CodeBytes JUMP_THROUGH_TABLE = CodeBytes.ofHex("ff25");
  private static final CodeBytes BND_JUMP_THROUGH_TABLE = CodeBytes.ofHex("f2ff25");

  /** What gcc and clang call a part that they have split off. */
  private static final String COLD = ".cold";

  private final LoadedBytes loaded;
  private final Symbols symbols;
  private final ObjectSweep sweep;
  private final JumpTables tables;
  private final AddressLinks pointers;

  /**
   * That of an object.
   *
   * @param symbols of the object, with those of its debug file where there is one
   * @param pointers to code, that the loader writes
   */
  public ExitSearch(
      ElfImage image,
      LoadedBytes loaded,
      Symbols symbols,
      AddressLinks pointers,
      ObjectSweep sweep) {
    this.loaded = loaded;
    this.symbols = symbols;
    this.sweep = sweep;
    this.tables = new JumpTables(image, loaded);
    this.pointers = pointers;
  }

  /**
   * The exits of a function.
   *
   * @param decoder reads it; stays yours
   * @param function as the file holds it, at its link-time address
   */
  public FunctionExits of(InstructionDecoder decoder, CodeRegion function) {
    return new Search(decoder, function).run();
  }

  /** Ends a search. */
  private static final class ObstacleException extends Exception {
    private static final long serialVersionUID = 1L;
    private final Obstacle obstacle;

    ObstacleException(long address, String reason) {
      super(reason);
      this.obstacle = new Obstacle(address, reason);
    }
  }

  /** Of one function. Not thread-safe. */
  private final class Search {
    private final InstructionDecoder decoder;
    private final CodeRegion function;
    private final List<FunctionRange> ranges = new ArrayList<>();
    private final List<FunctionCode> parts = new ArrayList<>();
    private final List<Exit> exits = new ArrayList<>();
    private boolean hasPointerJump;

    Search(InstructionDecoder decoder, CodeRegion function) {
      this.decoder = decoder;
      this.function = function;
      ranges.add(new FunctionRange(function.address(), function.end()));
    }

    FunctionExits run() {
      Optional<Obstacle> obstacle = Optional.empty();
      try {
        // More of them are found on the way.
        for (int part = 0; part < ranges.size(); part++) {
          look(part);
        }
        checkPointerJumps();
        for (FunctionRange range : ranges) {
          checkEntered(range);
        }
      } catch (ObstacleException found) {
        obstacle = Optional.of(found.obstacle);
      }
      return new FunctionExits(ImmutableList.copyOf(ranges), ImmutableList.copyOf(exits), obstacle);
    }

    private void look(int part) throws ObstacleException {
      FunctionRange range = ranges.get(part);
      CodeRegion code =
          part == 0 ? function : CodeRegion.of(function.name(), range.start(), loaded.code(range));
      FunctionCode read = new FunctionCode(decoder, code);
      parts.add(read);
      if (!read.isWhole()) {
        throw new ObstacleException(
            range.start() + read.readTo(), "what stands there can't be read");
      }
      for (int i = 0; i < read.count(); i++) {
        look(part, read, i);
      }
      checkEnd(read);
    }

    private void look(int part, FunctionCode read, int index) throws ObstacleException {
      long address = read.address(index);
      switch (Decoded.flow(read.decoded(index))) {
        case RETURN -> add(part, read, index, Kind.RETURN);
        case JUMP -> branch(part, read, index, Kind.JUMP);
        case CONDITIONAL_JUMP -> branch(part, read, index, Kind.CONDITIONAL_JUMP);
        case COUNTER_JUMP, TRANSACTION -> {
          if (!isInside(read.branchTarget(index))) {
            throw new ObstacleException(address, "it may leave the function");
          }
          checkNotStart(address, read.branchTarget(index));
        }
        case INDIRECT_JUMP -> indirect(part, read, index);
        case FAR -> throw new ObstacleException(address, "a far branch");
        case NEXT,
            NOP,
            LANDING_PAD,
            CALL,
            INDIRECT_CALL,
            SYSTEM_CALL,
            INTERRUPT,
            BREAKPOINT,
            FAULT -> {}
      }
    }

    private void add(int part, FunctionCode read, int index, Kind kind) {
      exits.add(new Exit(read.address(index), Decoded.length(read.decoded(index)), kind, part));
    }

    private void branch(int part, FunctionCode read, int index, Kind kind)
        throws ObstacleException {
      long target = read.branchTarget(index);
      if (isInside(target)) {
        checkNotStart(read.address(index), target);
      } else if (leaves(read.address(index), target)) {
        add(part, read, index, kind);
      }
    }

    private boolean isInside(long address) {
      return ranges.stream().anyMatch(range -> range.contains(address));
    }

    private void checkNotStart(long address, long target) throws ObstacleException {
      long start = function.address();
      boolean isPad =
          function.bytes().length() > ENDBR64.length()
              && function.bytes().slice(0, ENDBR64.length()).equals(ENDBR64);
      if (target == start || (isPad && target == start + ENDBR64.length())) {
        throw new ObstacleException(
            address, "it jumps to the function's start, where a turn of a loop looks like a call");
      }
    }

    /** Whether a jump to the start of a range is an exit; else that is a part from now on. */
    private boolean leaves(long address, long target) throws ObstacleException {
      if (isLinkageStub(target)) {
        return true;
      }
      if (tables.isRetpoline(target)) {
        throw new ObstacleException(address, "a retpoline jumps to where a register says");
      }
      Optional<FunctionRange> range = sweep.functionAt(target);
      if (range.isEmpty() || range.get().start() != target) {
        throw new ObstacleException(
            address, "it jumps to 0x%x, where no function begins".formatted(target));
      }
      if (!isCold(target) && (isNamed(target) || isUsed(target))) {
        return true;
      }
      if (isUsed(target) || !sweep.isJumpedToOnlyFrom(target, ranges)) {
        throw new ObstacleException(
            address,
            "it jumps to 0x%x, and whether that is a function or a part of this one is not known"
                .formatted(target));
      }
      ranges.add(range.get());
      return false;
    }

    private void indirect(int part, FunctionCode read, int index) throws ObstacleException {
      long address = read.address(index);
      List<Long> targets = new ArrayList<>();
      if (tables.resolve(read, index, targets::add).isEmpty()) {
        for (long target : targets) {
          if (!isInside(target) && leaves(address, target)) {
            throw new ObstacleException(
                address, "its jump table leads to 0x%x, another function".formatted(target));
          }
          checkNotStart(address, target);
        }
        return;
      }
      hasPointerJump = true;
      add(part, read, index, Kind.INDIRECT_JUMP);
    }

    /** When all parts are known. */
    private void checkPointerJumps() throws ObstacleException {
      if (!hasPointerJump) {
        return;
      }
      long jump =
          exits.stream()
              .filter(exit -> exit.kind() == Kind.INDIRECT_JUMP)
              .findFirst()
              .orElseThrow()
              .address();
      for (FunctionCode read : parts) {
        List<Long> inside = new ArrayList<>();
        Optional<String> reason =
            tables.ownPointers(
                read,
                sweep::isStart,
                target -> {
                  if (isInside(target)) {
                    inside.add(target);
                  }
                });
        if (reason.isPresent() || !inside.isEmpty()) {
          throw new ObstacleException(
              jump,
              "an indirect jump that may lead into the function itself: "
                  + reason.orElseGet(() -> "a table may lead to 0x%x".formatted(inside.get(0))));
        }
      }
      for (FunctionRange range : ranges) {
        Long pointer = firstInside(pointers, range);
        if (pointer != null) {
          throw new ObstacleException(
              jump,
              "an indirect jump that may lead into the function itself: a pointer leads to 0x%x"
                  .formatted(pointer));
        }
      }
    }

    private static @Nullable Long firstInside(AddressLinks links, FunctionRange range) {
      int first = links.firstFrom(range.start() + 1);
      return first < links.size() && links.target(first) < range.end() ? links.target(first) : null;
    }

    private void checkEntered(FunctionRange range) throws ObstacleException {
      AddressLinks links = sweep.links();
      for (int i = links.firstFrom(range.start() + 1);
          i < links.size() && links.target(i) < range.end();
          i++) {
        // Outside of functions each byte was taken for an instruction: most of it is none.
        boolean isCode = sweep.functionAt(links.source(i)).isPresent();
        if (isCode && !isInside(links.source(i))) {
          throw new ObstacleException(
              links.target(i),
              "it is entered behind its start from 0x%x".formatted(links.source(i)));
        }
      }
    }

    /** A call that is the last instruction never returns. */
    private void checkEnd(FunctionCode read) throws ObstacleException {
      int last = read.count() - 1;
      while (last >= 0 && Decoded.flow(read.decoded(last)) == Flow.NOP) {
        last--;
      }
      Flow flow = last < 0 ? Flow.NOP : Decoded.flow(read.decoded(last));
      boolean ends = flow.endsFlow() || flow == Flow.CALL || flow == Flow.INDIRECT_CALL;
      if (!ends) {
        throw new ObstacleException(read.code().end(), "control goes on behind its end");
      }
    }
  }

  private boolean isCold(long address) {
    return symbols.startingIn(address, address + 1).stream()
        .anyMatch(symbol -> symbol.name().contains(COLD));
  }

  private boolean isNamed(long address) {
    return symbols.startingIn(address, address + 1).stream()
        .anyMatch(
            symbol -> symbol.kind() == Symbol.Kind.FUNCTION || symbol.kind() == Symbol.Kind.IFUNC);
  }

  /** Whether it is called, or somebody has its address. */
  private boolean isUsed(long address) {
    int first = pointers.firstFrom(address);
    return sweep.isCalled(address)
        || (first < pointers.size() && pointers.target(first) == address);
  }

  /** A jump through a pointer that the loader sets, perhaps behind endbr64. */
  private boolean isLinkageStub(long address) {
    CodeBytes code = loaded.instruction(address).orElse(CodeBytes.EMPTY);
    int at = startsWith(code, 0, ENDBR64) ? ENDBR64.length() : 0;
    return startsWith(code, at, JUMP_THROUGH_TABLE) || startsWith(code, at, BND_JUMP_THROUGH_TABLE);
  }

  private static boolean startsWith(CodeBytes code, int at, CodeBytes bytes) {
    return code.length() >= at + bytes.length()
        && code.slice(at, at + bytes.length()).equals(bytes);
  }
}
