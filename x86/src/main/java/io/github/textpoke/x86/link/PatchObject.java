package io.github.textpoke.x86.link;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.DynamicSection;
import io.github.textpoke.elf.DynamicSymbol;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Relocation;
import io.github.textpoke.elf.Segment;
import io.github.textpoke.elf.Symbols;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.function.LongConsumer;

/**
 * A shared object to be linked by {@link Linker}: what gcc or clang make with {@code -fPIC
 * -shared}. All addresses are link-time. Immutable and thread-safe.
 *
 * <p>The bytes may be hostile: whatever they say, {@link #parse} ends with an object or a {@link
 * BadObjectException}, and so does all that is read later.
 *
 * <p>Source: System V ABI, "Object Files", "Dynamic Linking"; AMD64 supplement.
 */
public final class PatchObject {
  /** Where the description of a patch stands in its object. */
  private static final String SPEC = ".textpoke";

  /** Compilers make 4 to 6: more would let a small file ask for much memory. */
  private static final int MOST_SEGMENTS = 64;

  /** Well below what a signed 32-bit displacement reaches from one end to the other. */
  private static final long LARGEST = 1L << 30;

  private final ElfImage image;
  private final Symbols symbols;
  private final DynamicSection dynamic;
  private final ImmutableList<Segment> segments;
  private final ImmutableList<DynamicSymbol> dynamicSymbols;
  private final ImmutableList<Relocation> relocations;
  private final Optional<String> spec;

  private PatchObject(ElfImage image) {
    this.image = image;
    if (image.isFixed()) {
      throw bad("it is linked for one address: link it with -shared");
    }
    this.segments = checkedSegments();
    this.symbols = Symbols.of(image);
    this.dynamic = DynamicSection.of(image);
    if (dynamic.symbolCount() == 0) {
      throw bad("it has no dynamic symbols or no section headers: link it with -shared");
    }
    this.dynamicSymbols = readSymbols();
    this.relocations = dynamic.relocations();
    for (Relocation relocation : relocations) {
      dynamic.symbol(relocation.symbol());
    }
    this.spec = readSpec();
    // Read once now, so that what is wrong with them is said now.
    dynamic.forEachRelative(place -> {});
    dynamic.needed();
    image.buildId();
    symbols.all();
  }

  /**
   * Reads a shared object.
   *
   * @param name for messages, a path as a rule
   * @param bytes all of the file; copied
   * @throws BadObjectException if it is no shared object for x86-64, or malformed
   */
  public static PatchObject parse(String name, byte[] bytes) {
    return new PatchObject(ElfImage.parse(name, ByteBuffer.wrap(bytes.clone())));
  }

  private ImmutableList<Segment> checkedSegments() {
    ImmutableList<Segment> loaded =
        image.segments().stream()
            .filter(segment -> segment.isLoaded() && segment.memorySize() > 0)
            .collect(ImmutableList.toImmutableList());
    if (loaded.isEmpty() || loaded.size() > MOST_SEGMENTS) {
      throw bad("it has " + loaded.size() + " segments to load");
    }
    long end = pageOf(loaded.get(0).address());
    long limit = end + LARGEST;
    for (Segment segment : loaded) {
      if (segment.fileSize() > segment.memorySize()) {
        throw bad("a segment is larger in the file than in memory: " + segment);
      }
      if (pageOf(segment.address()) < end) {
        throw bad("a segment begins in a page of another, or is out of order: " + segment);
      }
      if (segment.end() > limit || segment.end() < 0) {
        throw bad("it spans more than 1 GiB: " + segment);
      }
      image.contents(segment);
      end = pageBehind(segment.end());
    }
    return loaded;
  }

  private ImmutableList<DynamicSymbol> readSymbols() {
    ImmutableList.Builder<DynamicSymbol> all = ImmutableList.builder();
    for (int i = 0; i < dynamic.symbolCount(); i++) {
      all.add(dynamic.symbol(i));
    }
    return all.build();
  }

  private Optional<String> readSpec() {
    Optional<CodeBytes> section = image.sectionBytes(SPEC);
    if (section.isEmpty()) {
      return Optional.empty();
    }
    byte[] text = section.get().toByteArray();
    int length = text.length;
    // A string in C ends with a NUL, and the linker pads.
    while (length > 0 && text[length - 1] == 0) {
      length--;
    }
    try {
      return Optional.of(
          StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text, 0, length)).toString());
    } catch (CharacterCodingException e) {
      throw bad("section " + SPEC + " is no UTF-8: " + e.getMessage());
    }
  }

  static long pageOf(long address) {
    return address & -LinkedSegment.PAGE;
  }

  static long pageBehind(long address) {
    return (address + LinkedSegment.PAGE - 1) & -LinkedSegment.PAGE;
  }

  /** The name that it was read under. */
  public String name() {
    return image.name();
  }

  /** The linker's name for exactly this object, lower-case hexadecimal digits. */
  public Optional<String> buildId() {
    return image.buildId();
  }

  /**
   * The text of section {@code .textpoke}, without NULs behind it: the description of the patch,
   * which is not interpreted here. Either way it is put there:
   *
   * <pre>{@code
   * __attribute__((section(".textpoke"), used)) static const char spec[] = "{ ... }";
   * objcopy --add-section .textpoke=spec.json --set-section-flags .textpoke=noload,readonly new.so
   * }</pre>
   */
  public Optional<String> spec() {
    return spec;
  }

  /**
   * The names of the objects that it was linked with ({@code DT_NEEDED}). The linker loads none:
   * the target has them, or lacks the symbols.
   */
  public ImmutableList<String> needed() {
    return dynamic.needed();
  }

  /** How much memory it needs from its first page to its last, bytes, whole pages. */
  public long size() {
    return pageBehind(segments.get(segments.size() - 1).end()) - start();
  }

  /** Its first page: 0, as compilers make it. */
  public long start() {
    return pageOf(segments.get(0).address());
  }

  /** All symbols that it defines, local ones too where it was not stripped. */
  public Symbols symbols() {
    return symbols;
  }

  /** The symbols that the loader goes by; the first one is empty. */
  public ImmutableList<DynamicSymbol> dynamicSymbols() {
    return dynamicSymbols;
  }

  /** Its relocations but those of {@link #forEachRelative}. */
  public ImmutableList<Relocation> relocations() {
    return relocations;
  }

  /** Calls {@code action} with each place whose word only needs the base added (DT_RELR). */
  public void forEachRelative(LongConsumer action) {
    dynamic.forEachRelative(action);
  }

  /** The segments to load, by address; no two share a page. */
  public ImmutableList<Segment> segments() {
    return segments;
  }

  ElfImage image() {
    return image;
  }

  DynamicSection dynamic() {
    return dynamic;
  }

  BadObjectException bad(String reason) {
    return new BadObjectException(image.name(), reason);
  }
}
