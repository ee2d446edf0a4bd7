package io.github.textpoke.x86.flow;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.x86.flow.Dispatch.Table;
import java.util.Optional;
import java.util.function.LongConsumer;
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
    Table table = Dispatch.of(function, index);
    return Optional.ofNullable(
        table == null
            ? "the code before it does not show a jump table that it would go through"
            : read(function, table, targets));
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
