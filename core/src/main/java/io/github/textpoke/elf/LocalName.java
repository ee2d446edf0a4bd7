package io.github.textpoke.elf;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * An undefined symbol that means one of the target's symbols which its loader does not know, a
 * static function for example: {@code textpoke$OBJECT$NAME$POS}. What {@code
 * .klp.sym.objname.symname,sympos} is to the kernel (Documentation/livepatch/module-elf-format.rst,
 * section 3), spelled with no character that an assembler takes for its own:
 *
 * <pre>{@code
 * extern int helper(void) __asm__("textpoke$libserver.so$helper$2");
 * extern int counter __asm__("textpoke$$counter$0");
 * }</pre>
 *
 * @param object base name of the target's object, with or without what is behind the name proper
 *     ({@code libc}, {@code libc.so.6}), where {@code _} may stand for a character that no
 *     assembler takes ({@code libstdc__.so.6}); empty: the executable
 * @param symbol mangled; it may contain {@code $}
 * @param position among the symbols of that name in the object, code and data alike, in the order
 *     of its symbol table, from 1; 0: there must be one only
 */
public record LocalName(String object, String symbol, int position) {
  private static final String PREFIX = "textpoke$";

  // A position beyond nine digits would be no int.
  private static final Pattern NAME =
      Pattern.compile("textpoke\\$([^$]*)\\$(.+)\\$([0-9]{1,9})", Pattern.DOTALL);

  /** Whether {@code symbol} is meant to be such a name, well written or not. */
  public static boolean isMeantBy(String symbol) {
    return symbol.startsWith(PREFIX);
  }

  /** What {@code symbol} says; empty where it is no such name. */
  public static Optional<LocalName> parse(String symbol) {
    Matcher name = NAME.matcher(symbol);
    return name.matches()
        ? Optional.of(new LocalName(name.group(1), name.group(2), Integer.parseInt(name.group(3))))
        : Optional.empty();
  }

  /** The same symbol asked for by its position. */
  public LocalName at(int newPosition) {
    return new LocalName(object, symbol, newPosition);
  }

  @Override
  public String toString() {
    return PREFIX + object + "$" + symbol + "$" + position;
  }
}
