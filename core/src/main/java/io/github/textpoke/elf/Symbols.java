package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableLongArray;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.Symbol.Kind;
import io.github.textpoke.elf.Symbol.Table;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/**
 * The defined symbols of one object: those of {@code .symtab} in the order of that table, and
 * behind them those that only {@code .dynsym} has. One name at one address counts once, whatever
 * its versions. All addresses are link-time. Immutable and thread-safe. Any method may throw {@link
 * BadObjectException} when it meets a malformed name.
 */
public final class Symbols {
  /** No symbols. */
  public static final Symbols NONE = new Symbols(ImmutableList.of());

  private interface Filter {
    boolean accepts(SymbolTable table, int index);
  }

  private final ImmutableList<SymbolTable> tables;

  private Symbols(ImmutableList<SymbolTable> tables) {
    this.tables = tables;
  }

  /**
   * The symbols of {@code image}.
   *
   * @throws BadObjectException if a symbol table lies outside of the image
   */
  public static Symbols of(ElfImage image) {
    return of(image, image);
  }

  /**
   * The symbols of a stripped object and of its separate debug file.
   *
   * @param debug gives {@code .symtab}; that it belongs to {@code image} is for the caller to check
   * @param image gives {@code .dynsym}
   * @throws BadObjectException if a symbol table lies outside of its image
   */
  public static Symbols of(ElfImage debug, ElfImage image) {
    return new Symbols(
        Stream.of(SymbolTable.of(debug, Table.SYMTAB), SymbolTable.of(image, Table.DYNSYM))
            .flatMap(Optional::stream)
            .collect(ImmutableList.toImmutableList()));
  }

  /** All symbols. */
  public ImmutableList<Symbol> all() {
    return collect((table, index) -> true);
  }

  /**
   * All symbols of that name. A position among equals (sympos) is a place in this list, from 1,
   * after what is no code was taken out.
   *
   * @param name with or without version: {@code memcpy}, {@code memcpy@GLIBC_2.14}
   */
  public ImmutableList<Symbol> named(String name) {
    int at = name.indexOf('@', 1);
    if (at < 0) {
      return withName(name);
    }
    String version = name.substring(name.startsWith("@@", at) ? at + 2 : at + 1);
    return withName(name.substring(0, at)).stream()
        .filter(symbol -> symbol.version().equals(version))
        .collect(ImmutableList.toImmutableList());
  }

  private ImmutableList<Symbol> withName(String name) {
    byte[] wanted = name.getBytes(StandardCharsets.UTF_8);
    return collect((table, index) -> table.isNamed(index, wanted));
  }

  /**
   * All symbols whose name without version matches {@code glob}: {@code *} is any text, {@code ?}
   * any character, the rest itself.
   */
  public ImmutableList<Symbol> matching(String glob) {
    Pattern pattern = pattern(glob);
    return all().stream()
        .filter(symbol -> pattern.matcher(symbol.name()).matches())
        .collect(ImmutableList.toImmutableList());
  }

  private static Pattern pattern(String glob) {
    StringBuilder regex = new StringBuilder();
    for (int i = 0; i < glob.length(); i++) {
      char c = glob.charAt(i);
      regex.append(
          switch (c) {
            case '*' -> ".*";
            case '?' -> ".";
            default -> Pattern.quote(String.valueOf(c));
          });
    }
    return Pattern.compile(regex.toString(), Pattern.DOTALL);
  }

  /** Functions whose bytes hold {@code address}, the one that starts nearest to it first. */
  public ImmutableList<Symbol> functionsAt(long address) {
    return collect(
            (table, index) ->
                Long.compareUnsigned(table.address(index), address) <= 0
                    && Long.compareUnsigned(address - table.address(index), table.size(index)) < 0
                    && table.mayBeCode(index))
        .stream()
        .filter(symbol -> symbol.kind() != Kind.UNTYPED)
        .sorted(Comparator.comparing(Symbol::address, (a, b) -> Long.compareUnsigned(b, a)))
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * What may be code and starts in {@code [from, to)}: functions, and symbols without type, which
   * may be labels in assembly.
   */
  public ImmutableList<Symbol> codeStartingIn(long from, long to) {
    return collect(
        (table, index) ->
            Long.compareUnsigned(table.address(index), from) >= 0
                && Long.compareUnsigned(table.address(index), to) < 0
                && table.mayBeCode(index));
  }

  /** All that start in {@code [from, to)}, data too: in code that is a constant or a label. */
  public ImmutableList<Symbol> startingIn(long from, long to) {
    return collect(
        (table, index) ->
            Long.compareUnsigned(table.address(index), from) >= 0
                && Long.compareUnsigned(table.address(index), to) < 0);
  }

  /** The bytes of all functions that have a size, in no order, some of them twice. */
  public ImmutableList<FunctionRange> functionRanges() {
    ImmutableList.Builder<FunctionRange> ranges = ImmutableList.builder();
    for (SymbolTable table : tables) {
      for (int i = 0; i < table.count(); i++) {
        if (table.isFunction(i) && table.size(i) > 0 && table.isDefined(i)) {
          ranges.add(new FunctionRange(table.address(i), table.address(i) + table.size(i)));
        }
      }
    }
    return ranges.build();
  }

  /** The addresses of all symbols, data too, sorted, each once. */
  public ImmutableLongArray addresses() {
    return addresses((table, index) -> true);
  }

  /** The addresses of all symbols that may be code, sorted, each once. */
  public ImmutableLongArray codeAddresses() {
    return addresses(SymbolTable::mayBeCode);
  }

  private ImmutableLongArray addresses(Filter filter) {
    LongStream.Builder found = LongStream.builder();
    for (SymbolTable table : tables) {
      for (int i = 0; i < table.count(); i++) {
        if (filter.accepts(table, i) && table.isDefined(i)) {
          found.add(table.address(i));
        }
      }
    }
    return ImmutableLongArray.copyOf(found.build().sorted().distinct());
  }

  private ImmutableList<Symbol> collect(Filter filter) {
    Map<Map.Entry<String, Long>, Symbol> found = new LinkedHashMap<>();
    for (SymbolTable table : tables) {
      for (int i = 0; i < table.count(); i++) {
        if (filter.accepts(table, i) && table.isDefined(i)) {
          Symbol symbol = table.symbol(i);
          found.merge(Map.entry(symbol.name(), symbol.address()), symbol, Symbol::withVersionOf);
        }
      }
    }
    return ImmutableList.copyOf(found.values());
  }
}
