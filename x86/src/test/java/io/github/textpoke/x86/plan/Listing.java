package io.github.textpoke.x86.plan;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.CodeRegion.Backing;

/** Code for tests, written as a listing: bytes left of the bar, assembly right of it. */
final class Listing {
  static final long START = 0x40_1000;

  private Listing() {}

  /** The code of a function {@code f} at {@link #START}. */
  static CodeRegion code(String listing) {
    return at(START, listing);
  }

  static CodeRegion at(long address, String listing) {
    CodeBytes bytes =
        listing
            .lines()
            .filter(line -> !line.isBlank())
            .map(line -> CodeBytes.ofHex(line.split("\\|")[0]))
            .reduce(CodeBytes.EMPTY, CodeBytes::concat);
    return CodeRegion.of("f", address, bytes);
  }

  static CodeRegion withEntryPoint(CodeRegion code, long entry) {
    return new CodeRegion(
        code.name(),
        code.address(),
        code.bytes(),
        ImmutableSet.of(entry),
        code.originals(),
        code.backing());
  }

  static CodeRegion mapped(CodeRegion code, Backing backing) {
    return new CodeRegion(
        code.name(), code.address(), code.bytes(), code.entryPoints(), code.originals(), backing);
  }

  /** {@code code} after we wrote {@code bytes} at {@code address}. */
  static CodeRegion patched(CodeRegion code, long address, CodeBytes bytes) {
    int offset = code.offsetOf(address);
    Site original = new Site(address, code.bytes().slice(offset, offset + bytes.length()));
    return new CodeRegion(
        code.name(),
        code.address(),
        code.bytes().with(offset, bytes),
        code.entryPoints(),
        ImmutableList.<Site>builder().addAll(code.originals()).add(original).build(),
        code.backing());
  }
}
