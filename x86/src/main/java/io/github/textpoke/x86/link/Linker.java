package io.github.textpoke.x86.link;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.ObjectRefusedException;
import io.github.textpoke.elf.Segment;
import io.github.textpoke.elf.SymbolScope;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Does for a shared object what the target's loader would do, without it: binds all symbols at once
 * and carries out all relocations. Pure.
 *
 * <ul>
 *   <li>A symbol that the object defines is its own, as with {@code -Bsymbolic}, even where the
 *       target has one of that name: a new version of a function must not be bound to the old one.
 *       Excepted is what must be there once in a process ({@code STB_GNU_UNIQUE}: static variables
 *       of inline functions and templates in C++): the target's is taken where it has one.
 *   <li>An undefined symbol is what the scope finds; one written as {@link
 *       io.github.textpoke.elf.LocalName} may be static there. An undefined weak one that is not
 *       found is 0.
 *   <li>The address of an IFUNC that the scope does not know, and of one of the object's own, is
 *       found by a function that only the target can run: {@link Linked#pendingCalls}.
 *   <li>Refused are: text relocations, memory both writable and executable, executable stacks,
 *       thread-local variables of its own, copy relocations, and types of relocations that no
 *       dynamic object holds.
 * </ul>
 *
 * <p>Unlike glibc's loader it leaves the addresses in the object's own dynamic section link-time,
 * and fills what a page holds beside a segment with zeros instead of what the file has there.
 *
 * <p>Source: AMD64 supplement, "Relocation"; System V ABI, "Dynamic Linking".
 */
public final class Linker {
  private static final long DT_INIT = 12;
  private static final long DT_FINI = 13;
  private static final long DT_TEXTREL = 22;
  private static final long DT_INIT_ARRAY = 25;
  private static final long DT_FINI_ARRAY = 26;
  private static final long DT_INIT_ARRAYSZ = 27;
  private static final long DT_FINI_ARRAYSZ = 28;
  private static final long DT_FLAGS = 30;
  private static final long DF_TEXTREL = 4;

  /** User space ends here with four levels of page tables. */
  private static final long HIGHEST = 1L << 47;

  private final PatchObject object;
  private final long bias;
  private final ImmutableList<SegmentBytes> segments;

  private Linker(PatchObject object, long bias) {
    this.object = object;
    this.bias = bias;
    this.segments =
        object.segments().stream()
            .map(segment -> new SegmentBytes(object, segment))
            .collect(ImmutableList.toImmutableList());
  }

  /**
   * Links {@code object} so that its first page comes to stand at {@code base}.
   *
   * @param base absolute, a multiple of 4096; {@link PatchObject#size} bytes from there must be
   *     below 2^47
   * @throws NoSuchSymbolException if symbols are defined nowhere; it names them all
   * @throws AmbiguousSymbolException if a local name means several symbols
   * @throws ObjectRefusedException if the object needs what only the loader can do
   * @throws BadObjectException if it, or an object that must be searched, is malformed
   */
  public static Linked link(PatchObject object, long base, SymbolScope scope) {
    checkArgument(
        base % LinkedSegment.PAGE == 0 && base > 0 && base <= HIGHEST - object.size(),
        "no base: 0x%s",
        Long.toHexString(base));
    return new Linker(object, base - object.start()).link(scope);
  }

  private Linked link(SymbolScope scope) {
    refuseTextRelocations();
    refuseExecutableStack();
    ImmutableList.Builder<LinkedSegment> pages = ImmutableList.builder();
    // Before the symbols: what is said of the object itself is of more use.
    segments.forEach(segment -> segment.linked(bias));
    Bindings bindings = Bindings.of(object, bias, scope);
    ImmutableList<PendingCall> calls = new Relocating(object, bias, bindings, segments).run();
    segments.forEach(segment -> pages.addAll(segment.linked(bias)));
    return new Linked(
        object,
        bias,
        pages.build(),
        calls,
        initializers(calls),
        finalizers(calls),
        FrameTable.of(object, bias));
  }

  private void refuseTextRelocations() {
    OptionalLong flags = object.dynamic().value(DT_FLAGS);
    if (object.dynamic().value(DT_TEXTREL).isPresent()
        || (flags.isPresent() && (flags.getAsLong() & DF_TEXTREL) != 0)) {
      throw new ObjectRefusedException(
          object.name(),
          0,
          "it has text relocations: its code would have to be written to",
          "compile all parts with -fPIC and link with -z text");
    }
  }

  private void refuseExecutableStack() {
    if (object.image().segments().stream().anyMatch(Segment::isExecutableStack)) {
      throw new ObjectRefusedException(
          object.name(),
          0,
          "it asks for executable stacks",
          "use no nested functions whose address is taken, end assembly with .section"
              + " .note.GNU-stack, and link with -z noexecstack");
    }
  }

  /** {@code DT_INIT} goes before {@code DT_INIT_ARRAY}. */
  private ImmutableList<Long> initializers(ImmutableList<PendingCall> calls) {
    ImmutableList.Builder<Long> all = ImmutableList.builder();
    single(DT_INIT).ifPresent(all::add);
    return all.addAll(array(DT_INIT_ARRAY, DT_INIT_ARRAYSZ, calls)).build();
  }

  /** {@code DT_FINI_ARRAY}, from its end, goes before {@code DT_FINI}. */
  private ImmutableList<Long> finalizers(ImmutableList<PendingCall> calls) {
    ImmutableList.Builder<Long> all = ImmutableList.builder();
    all.addAll(array(DT_FINI_ARRAY, DT_FINI_ARRAYSZ, calls).reverse());
    single(DT_FINI).ifPresent(all::add);
    return all.build();
  }

  private Optional<Long> single(long tag) {
    OptionalLong address = object.dynamic().value(tag);
    return address.isEmpty() || address.getAsLong() == 0
        ? Optional.empty()
        : Optional.of(checkedCode(address.getAsLong() + bias));
  }

  private ImmutableList<Long> array(
      long addressTag, long sizeTag, ImmutableList<PendingCall> calls) {
    OptionalLong address = object.dynamic().value(addressTag);
    if (address.isEmpty()) {
      return ImmutableList.of();
    }
    long size =
        object
            .dynamic()
            .value(sizeTag)
            .orElseThrow(() -> object.bad("functions without number: tag " + sizeTag));
    if (size < 0 || size % Long.BYTES != 0) {
      throw object.bad("an array of functions of " + size + " bytes");
    }
    ImmutableList.Builder<Long> functions = ImmutableList.builder();
    for (long at = 0; at < size; at += Long.BYTES) {
      long slot = address.getAsLong() + at;
      if (calls.stream().anyMatch(call -> call.slot() == slot + bias)) {
        throw object.bad("a function to run at 0x%x is an IFUNC".formatted(slot));
      }
      functions.add(checkedCode(word(slot)));
    }
    return functions.build();
  }

  private long word(long address) {
    for (SegmentBytes segment : segments) {
      if (segment.contains(address)) {
        return segment.word(address);
      }
    }
    throw object.bad("functions to run at 0x%x, where no segment is".formatted(address));
  }

  private long checkedCode(long address) {
    if (!object.image().isExecutable(address - bias)) {
      throw object.bad("a function to run at 0x%x is no code".formatted(address - bias));
    }
    return address;
  }
}
