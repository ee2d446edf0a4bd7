package io.github.textpoke.x86.flow;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.x86.flow.Way.Table;
import java.util.Optional;
import java.util.function.LongConsumer;
import java.util.function.LongPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Finds where indirect jumps lead that go through a table of the object. A table ends at the bound
 * that the code before the jump checks; without one, where an entry is no code.
 *
 * <p>Assumes that a table relative to itself has its address taken in the function that jumps
 * through it; where that is not in the straight code before the jump, every address that the
 * function takes of read-only bytes counts as one. Link-time addresses. Immutable and thread-safe.
 */
public final class JumpTables {
  /** Entries that are read at once. */
  private static final int CHUNK = 256;

  private final ElfImage image;
  private final LoadedBytes loaded;

  /** Those of {@code image}. */
  public JumpTables(ElfImage image, LoadedBytes loaded) {
    this.image = image;
    this.loaded = loaded;
  }

  /**
   * Calls {@code targets} for each place that the indirect jump {@code index} of {@code function}
   * may lead to.
   *
   * @return why that is not known; empty where it is
   */
  public Optional<String> resolve(FunctionCode function, int index, LongConsumer targets) {
    return Optional.ofNullable(
        Dispatch.of(function, index) instanceof Table table
            ? read(function, table, targets)
            : "the code before it does not show a jump table that it would go through");
  }

  /**
   * Whether the indirect jump {@code index} of {@code function} takes its target from memory, 8
   * bytes as they stand there, as a call at the tail of a function does. Then it goes where a
   * pointer leads that the loader or code has stored: see {@link #ownPointers}.
   */
  public boolean isToPointer(FunctionCode function, int index) {
    return Dispatch.of(function, index) instanceof Way.Pointer;
  }

  /**
   * Whether code of {@code function} can have made a pointer into the function that it jumps to
   * later. To make one it must have an address to count from: one of its own code, which it takes
   * or has pushed by a call into itself, or that of a table of distances in read-only bytes. Each
   * such table is read, as long as its entries lead to code.
   *
   * @param isStart whether a function begins at a link-time address: to take that is no harm
   * @param targets is called for each place that an entry of such a table leads to
   * @return what it takes that can't be read; empty where there is nothing of the kind
   */
  public Optional<String> ownPointers(
      FunctionCode function, LongPredicate isStart, LongConsumer targets) {
    if (image.isFixed()) {
      // There, an operand of 4 bytes may be an address.
      return Optional.of("the object is linked for a fixed address");
    }
    Table anyTable = new Table(0, false, true, Held.NO_BOUND);
    for (int i = 0; i < function.count(); i++) {
      if (isCallInside(function, i)) {
        return Optional.of(
            "the instruction at 0x%x calls into the function, which stores an address of code"
                .formatted(function.address(i)));
      }
      if (Decoded.ripWidth(function.decoded(i)) != 0) {
        long taken = function.ripTarget(i);
        boolean isCode = loaded.isExecutable(taken);
        if (isCode && (function.contains(taken) || !isStart.test(taken))) {
          return Optional.of(
              "the instruction at 0x%x takes an address of code, 0x%x"
                  .formatted(function.address(i), taken));
        }
        if (!isCode) {
          readOne(taken, anyTable, targets);
        }
      }
    }
    return Optional.empty();
  }

  /**
   * Whether {@code address} is that of a retpoline, which jumps to where a register says: a call
   * over an endless loop that begins with {@code pause}.
   */
  public boolean isRetpoline(long address) {
    return loaded
        .instruction(address)
        .filter(code -> code.length() >= 7 && code.at(0) == 0xe8)
        .filter(code -> code.at(5) == 0xf3 && code.at(6) == 0x90)
        .isPresent();
  }

  /** Whether it calls the function's own code; a recursion calls its start, and returns. */
  private static boolean isCallInside(FunctionCode function, int index) {
    return Decoded.flow(function.decoded(index)) == Flow.CALL
        && function.contains(function.branchTarget(index))
        && function.branchTarget(index) != function.address(0);
  }

  private @Nullable String read(FunctionCode function, Table table, LongConsumer targets) {
    if (!table.isAddressKnown()) {
      return readAny(function, table, targets);
    }
    if (!table.isRelative() && !image.isFixed()) {
      return "a table of absolute addresses, in an object that is not linked for one";
    }
    return readOne(table.address(), table, targets) == 0
        ? "no table of jumps in read-only bytes at 0x%x".formatted(table.address())
        : null;
  }

  /** Takes each table whose address the function takes anywhere. */
  private @Nullable String readAny(FunctionCode function, Table table, LongConsumer targets) {
    int found = 0;
    for (int i = 0; i < function.count(); i++) {
      if (Decoded.ripWidth(function.decoded(i)) != 0
          && Operands.of(function.code().bytes(), function.offset(i)).opcode() == 0x8d) {
        found += readOne(function.ripTarget(i), table, targets);
      }
    }
    return found == 0 ? "the function does not take the address of a jump table" : null;
  }

  /** The number of entries found. */
  private int readOne(long address, Table table, LongConsumer targets) {
    int width = table.isRelative() ? 4 : 8;
    int most = table.last() < 0 ? Integer.MAX_VALUE : table.last() + 1;
    int count = 0;
    while (count < most) {
      int wanted = Math.min(CHUNK, most - count);
      Optional<CodeBytes> chunk = loaded.readOnly(address + (long) count * width, wanted * width);
      if (chunk.isEmpty()) {
        return count;
      }
      int held = chunk.get().length() / width;
      for (int i = 0; i < held; i++) {
        long entry = number(chunk.get(), i * width, width);
        long target = table.isRelative() ? address + entry : entry;
        if (!loaded.isExecutable(target)) {
          return count;
        }
        targets.accept(target);
        count++;
      }
      if (held < wanted) {
        return count;
      }
    }
    return count;
  }

  private static long number(CodeBytes bytes, int at, int width) {
    long value = 0;
    for (int i = 0; i < width; i++) {
      value |= (long) bytes.at(at + i) << 8 * i;
    }
    int unused = 64 - 8 * width;
    return value << unused >> unused;
  }
}
