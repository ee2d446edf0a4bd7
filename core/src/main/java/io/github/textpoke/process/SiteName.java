package io.github.textpoke.process;

import io.github.textpoke.PatchException.BadSiteException;
import java.util.Optional;

/**
 * A site as people write it: {@code 0xADDR} or {@code [object:]symbol[#n][+offset]}. {@code
 * toString} writes it so that {@link #parse} reads an equal one back.
 */
public sealed interface SiteName {
  /** An absolute address. */
  record Address(long address) implements SiteName {
    @Override
    public String toString() {
      return "0x" + Long.toHexString(address);
    }
  }

  /**
   * A place in a function.
   *
   * @param object base name of the file, with or without what is behind the name proper ({@code
   *     libc}, {@code libc.so}, {@code libc.so.6}), its whole path, or {@code [vdso]}; empty: any
   * @param symbol mangled; with or without version ({@code memcpy@GLIBC_2.2.5})
   * @param sympos position among the functions of that name in the object, from 1; 0: there must be
   *     one only
   * @param offset from the function's first byte, bytes, not negative
   */
  record InFunction(Optional<String> object, String symbol, int sympos, int offset)
      implements SiteName {
    @Override
    public String toString() {
      return object.map(name -> name + ":").orElse("")
          + symbol
          + (sympos == 0 ? "" : "#" + sympos)
          + (offset == 0 ? "" : "+0x" + Integer.toHexString(offset));
    }
  }

  /**
   * Reads a site.
   *
   * @param text {@code 0xADDR} or {@code [object:]symbol[#n][+offset]}; the offset is decimal, or
   *     hexadecimal behind {@code 0x}
   * @throws BadSiteException if it is neither
   */
  static SiteName parse(String text) {
    return text.startsWith("0x") && text.indexOf(':') < 0
        ? SiteSyntax.address(text)
        : SiteSyntax.inFunction(text);
  }
}
