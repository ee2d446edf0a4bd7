package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.elf.EhFrame;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Segment;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbol.Kind;
import io.github.textpoke.elf.Symbols;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * An object in the target's memory whose file was proved to be the one that is mapped. Symbols and
 * ranges have link-time addresses; add {@link #bias} for absolute ones. Not thread-safe.
 */
final class LoadedObject {
  private final Mapping code;
  private final long bias;
  private final ElfImage image;
  private final Symbols symbols;
  private final boolean hasLocalSymbols;

  /** Read when it is first asked for. */
  private @Nullable EhFrame frames;

  LoadedObject(Mapping code, long bias, ElfImage image, Symbols symbols, boolean hasLocalSymbols) {
    this.code = code;
    this.bias = bias;
    this.image = image;
    this.symbols = symbols;
    this.hasLocalSymbols = hasLocalSymbols;
  }

  /** The file's base name. */
  String name() {
    return code.baseName();
  }

  String path() {
    return code.path();
  }

  long bias() {
    return bias;
  }

  ElfImage image() {
    return image;
  }

  Symbols symbols() {
    return symbols;
  }

  /** Whether local functions have names: in the object itself or in a debug file. */
  boolean hasLocalSymbols() {
    return hasLocalSymbols;
  }

  EhFrame frames() {
    EhFrame known = frames;
    if (known == null) {
      known = EhFrame.of(image);
      frames = known;
    }
    return known;
  }

  /** Bytes at an absolute address. */
  record Range(long address, long size) {}

  /** Where its dynamic section stands; empty where it has none. */
  Optional<Range> dynamicSegment() {
    return image.segments().stream()
        .filter(Segment::isDynamic)
        .findFirst()
        .map(segment -> new Range(segment.address() + bias, segment.memorySize()));
  }

  /** Code of that name, in the order that sympos counts. */
  ImmutableList<Symbol> codeNamed(String name) {
    return symbols.named(name).stream()
        .filter(this::isCode)
        .collect(ImmutableList.toImmutableList());
  }

  boolean isCode(Symbol symbol) {
    return symbol.kind() != Kind.OBJECT && image.isExecutable(symbol.address());
  }
}
