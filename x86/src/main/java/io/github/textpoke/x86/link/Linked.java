package io.github.textpoke.x86.link;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.elf.DynamicSymbol.Kind;
import io.github.textpoke.elf.DynamicSymbol.Place;
import io.github.textpoke.elf.Symbol;
import java.util.List;
import java.util.Optional;

/**
 * An object as it must stand in a process: what {@link Linker} makes. All addresses are absolute.
 * Immutable and thread-safe.
 *
 * <p>To load it: map the segments and fill them; run each of {@link #pendingCalls} and write what
 * it returns; run {@link #initializers} in their order, once.
 */
public final class Linked {
  private final PatchObject object;
  private final long bias;
  private final ImmutableList<LinkedSegment> segments;
  private final ImmutableList<PendingCall> pendingCalls;
  private final ImmutableList<Long> initializers;
  private final ImmutableList<Long> finalizers;
  private final Optional<FrameTable> ehFrame;

  Linked(
      PatchObject object,
      long bias,
      ImmutableList<LinkedSegment> segments,
      ImmutableList<PendingCall> pendingCalls,
      ImmutableList<Long> initializers,
      ImmutableList<Long> finalizers,
      Optional<FrameTable> ehFrame) {
    this.object = object;
    this.bias = bias;
    this.segments = segments;
    this.pendingCalls = pendingCalls;
    this.initializers = initializers;
    this.finalizers = finalizers;
    this.ehFrame = ehFrame;
  }

  /** What was linked. */
  public PatchObject object() {
    return object;
  }

  /** Address of its first page. */
  public long base() {
    return object.start() + bias;
  }

  /** What to add to a link-time address for the absolute one. */
  public long bias() {
    return bias;
  }

  /** Its pages, by address; what lies between them is not mapped. */
  public ImmutableList<LinkedSegment> segments() {
    return segments;
  }

  /** The words that only the target can find, to be written before {@link #initializers} run. */
  public ImmutableList<PendingCall> pendingCalls() {
    return pendingCalls;
  }

  /**
   * The functions to run before any other, in this order ({@code DT_INIT}, {@code DT_INIT_ARRAY}).
   * A loader passes argc, argv and envp, which those that compilers make do not read.
   */
  public ImmutableList<Long> initializers() {
    return initializers;
  }

  /** The functions to run before it is unmapped, in this order. */
  public ImmutableList<Long> finalizers() {
    return finalizers;
  }

  /** Its unwind information, for registration; empty where it has none. */
  public Optional<FrameTable> ehFrame() {
    return ehFrame;
  }

  /**
   * The functions that it exports, in the order of its symbols, each name once. An IFUNC is none:
   * its address is not known.
   */
  public ImmutableList<LinkedFunction> functions() {
    return object.dynamicSymbols().stream()
        .filter(symbol -> symbol.isExported() && symbol.kind() == Kind.FUNCTION)
        .filter(symbol -> symbol.place() == Place.HERE && !symbol.isHiddenVersion())
        .map(s -> new LinkedFunction(s.name(), s.value() + bias, s.size()))
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * The address of a function or of data of the object: an exported one, else a local one. That of
   * an IFUNC is its resolver's.
   *
   * @param symbol mangled, with or without version
   * @throws NoSuchSymbolException if it defines none of that name
   * @throws AmbiguousSymbolException if it defines several
   */
  public long address(String symbol) {
    ImmutableList<Symbol> found = object.symbols().named(symbol);
    List<Symbol> exported =
        found.stream()
            .filter(s -> s.binding() != Symbol.Binding.LOCAL)
            .filter(s -> s.version().isEmpty() || s.isDefaultVersion() || symbol.contains("@"))
            .toList();
    List<Symbol> meant = exported.isEmpty() ? found : exported;
    if (meant.isEmpty()) {
      throw new NoSuchSymbolException(
          symbol,
          ImmutableList.of(object.name()),
          "is it static, and optimized away or stripped? C++ names are written mangled");
    }
    if (meant.size() > 1) {
      throw new AmbiguousSymbolException(
          symbol,
          meant.stream()
              .map(s -> s.versionedName() + " at 0x" + Long.toHexString(s.address()))
              .toList());
    }
    return meant.get(0).address() + bias;
  }
}
