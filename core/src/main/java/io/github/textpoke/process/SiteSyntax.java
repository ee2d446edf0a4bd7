package io.github.textpoke.process;

import io.github.textpoke.PatchException.BadSiteException;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** How sites are written. */
final class SiteSyntax {
  private static final Pattern ADDRESS = Pattern.compile("0x([0-9a-fA-F]{1,16})");
  private static final Pattern IN_FUNCTION =
      Pattern.compile(
          "(?:(?<object>/.+|[^/:]+):)?(?<symbol>[^:#+/\\s]+)(?:#(?<sympos>[0-9]{1,9}))?"
              + "(?:\\+(?<offset>0x[0-9a-fA-F]{1,7}|[0-9]{1,9}))?");

  private SiteSyntax() {}

  static SiteName address(String text) {
    Matcher matcher = ADDRESS.matcher(text);
    if (!matcher.matches()) {
      throw new BadSiteException(text, "an address is 0x and 1 to 16 hexadecimal digits");
    }
    return new SiteName.Address(Long.parseUnsignedLong(matcher.group(1), 16));
  }

  static SiteName inFunction(String text) {
    Matcher matcher = IN_FUNCTION.matcher(text);
    if (!matcher.matches()) {
      throw new BadSiteException(text, text.isEmpty() ? "it is empty" : "it has another form");
    }
    return new SiteName.InFunction(
        Optional.ofNullable(matcher.group("object")),
        matcher.group("symbol"),
        number(matcher.group("sympos")),
        number(matcher.group("offset")));
  }

  private static int number(@Nullable String digits) {
    return digits == null ? 0 : Integer.decode(withoutLeadingZeros(digits));
  }

  /** {@link Integer#decode} would read octal. */
  private static String withoutLeadingZeros(String digits) {
    return digits.startsWith("0x") ? digits : digits.replaceFirst("^0+(?=.)", "");
  }
}
