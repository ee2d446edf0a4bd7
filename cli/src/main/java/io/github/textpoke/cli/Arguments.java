package io.github.textpoke.cli;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.process.SiteName;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.x86.encode.Assembly;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.TypeConversionException;

/** Arguments that several commands share, and how they are written. */
final class Arguments {
  private Arguments() {}

  /** {@code PID SITE}. */
  static final class Place {
    @Parameters(index = "0", paramLabel = "PID", converter = Pid.class, description = "The target.")
    int pid;

    @Parameters(
        index = "1",
        paramLabel = "SITE",
        converter = Site.class,
        description = "0xADDR or [object:]symbol[#n][+offset].")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    SiteName site;

    @Option(
        names = "--was",
        paramLabel = "HEX",
        converter = Hex.class,
        description = "The site is patched already, and these bytes stood there before.")
    @Nullable CodeBytes was;
  }

  /** {@code REPLACEMENT}: exactly one of these. */
  static final class Replacement {
    @Option(
        names = "--bytes",
        paramLabel = "HEX",
        required = true,
        converter = Hex.class,
        description = "One instruction, as it stands at SITE.")
    @Nullable CodeBytes bytes;

    @Option(names = "--nop", required = true, description = "One NOP as long as the instruction.")
    boolean nop;

    @Option(
        names = "--jump",
        paramLabel = "SITE",
        required = true,
        converter = Site.class,
        description = "A jump there.")
    @Nullable SiteName jump;

    @Option(
        names = "--call",
        paramLabel = "SITE",
        required = true,
        converter = Site.class,
        description = "A call of what is there.")
    @Nullable SiteName call;

    /** The new instruction, with its target's address in a process. */
    Assembly assembly(SiteResolver resolver) {
      if (bytes != null) {
        return Assembly.bytes(bytes);
      }
      if (jump != null) {
        return Assembly.jmp(resolver.resolve(jump).address());
      }
      return call != null ? Assembly.call(resolver.resolve(call).address()) : Assembly.nop();
    }
  }

  /** How to print. */
  static final class Format {
    @Option(names = "--json", description = "Print one JSON object.")
    boolean json;
  }

  /** How code is read. */
  static final class Decoders {
    @Option(
        names = "--require-zydis",
        description = "Fail where libZydis is not there as a second reader of the code.")
    boolean requireZydis;
  }

  /** A process id. */
  static final class Pid implements ITypeConverter<Integer> {
    @Override
    public Integer convert(String text) {
      if (!text.matches("[1-9][0-9]{0,8}")) {
        throw new TypeConversionException("'" + text + "' is no process id");
      }
      return Integer.valueOf(text);
    }
  }

  /** The number of a patch. */
  static final class Id implements ITypeConverter<Long> {
    @Override
    public Long convert(String text) {
      if (!text.matches("[1-9][0-9]{0,17}")) {
        throw new TypeConversionException("'" + text + "' is no number of a patch");
      }
      return Long.valueOf(text);
    }
  }

  /** A site. */
  static final class Site implements ITypeConverter<SiteName> {
    @Override
    public SiteName convert(String text) {
      try {
        return SiteName.parse(text);
      } catch (BadSiteException bad) {
        throw new TypeConversionException(bad.getMessage());
      }
    }
  }

  /** Machine code. */
  static final class Hex implements ITypeConverter<CodeBytes> {
    @Override
    public CodeBytes convert(String text) {
      try {
        CodeBytes bytes = CodeBytes.ofHex(text);
        if (bytes.length() > 0) {
          return bytes;
        }
      } catch (IllegalArgumentException bad) {
        throw new TypeConversionException(
            "'" + text + "' is no code: write pairs of hexadecimal digits, as 0f1f440000");
      }
      throw new TypeConversionException("no bytes were given");
    }
  }

  /** {@code 500us}, {@code 10ms}, {@code 2s}; {@code 0} is none. */
  static final class Time implements ITypeConverter<Duration> {
    private static final Pattern FORM = Pattern.compile("([0-9]{1,9})(ns|us|ms|s|m)");

    @Override
    public Duration convert(String text) {
      if (text.equals("0")) {
        return Duration.ZERO;
      }
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw new TypeConversionException(
            "'" + text + "' is no duration: write a number and ns, us, ms, s or m, as 500us");
      }
      long value = Long.parseLong(matcher.group(1));
      return switch (matcher.group(2)) {
        case "ns" -> Duration.ofNanos(value);
        case "us" -> Duration.ofNanos(value * 1_000);
        case "ms" -> Duration.ofMillis(value);
        case "s" -> Duration.ofSeconds(value);
        case "m" -> Duration.ofMinutes(value);
        default -> throw new IllegalStateException("the pattern has no other unit: " + text);
      };
    }
  }
}
