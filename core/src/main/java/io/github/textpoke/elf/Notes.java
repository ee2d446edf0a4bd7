package io.github.textpoke.elf;

import com.google.common.io.BaseEncoding;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/** Reads notes (ELF specification, "Note Section"). */
final class Notes {
  private static final long NT_GNU_BUILD_ID = 3;
  private static final int LONGEST_BUILD_ID = 64;
  private static final byte[] GNU = "GNU\0".getBytes(StandardCharsets.US_ASCII);

  private Notes() {}

  /** The build-id in lower-case hexadecimal digits, if one of the notes is it. */
  static Optional<String> buildId(ElfBytes notes) {
    long at = 0;
    while (at + 12 <= notes.size()) {
      long nameSize = notes.u32(at);
      long valueSize = notes.u32(at + 4);
      long value = at + 12 + aligned(nameSize);
      if (notes.u32(at + 8) == NT_GNU_BUILD_ID
          && nameSize == GNU.length
          && notes.startsWith(at + 12, GNU)) {
        if (valueSize == 0 || valueSize > LONGEST_BUILD_ID) {
          throw notes.bad("a build-id of " + valueSize + " bytes");
        }
        byte[] id = notes.part(value, valueSize, "build-id").copy();
        return Optional.of(BaseEncoding.base16().lowerCase().encode(id));
      }
      at = value + aligned(valueSize);
    }
    return Optional.empty();
  }

  /**
   * To the next multiple of 4. Notes of 8-byte aligned segments hold values of a multiple of 8
   * bytes behind the name GNU, so that both alignments read them alike.
   */
  private static long aligned(long size) {
    return (size + 3) & ~3L;
  }
}
