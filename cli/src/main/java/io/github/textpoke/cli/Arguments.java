package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.process.SiteName;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.x86.detour.ReturnOverride;
import io.github.textpoke.x86.encode.Assembly;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
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

  /** What is to stand at the site: an instruction, or an override. */
  static final class Change {
    @ArgGroup(exclusive = true, multiplicity = "1")
    @Nullable Replacement replacement;

    @ArgGroup(exclusive = false, multiplicity = "1")
    @Nullable Returning returning;
  }

  /** {@code --return VALUE} and its conditions. */
  static final class Returning {
    @Option(
        names = "--return",
        paramLabel = "VALUE",
        required = true,
        split = ",",
        converter = Value.class,
        description =
            "The function returns VALUE and does not run; of VALUE,VALUE,... one after the other,"
                + " then it runs again.")
    private List<Long> values = ImmutableList.of();

    @Option(
        names = "--errno",
        paramLabel = "NAME",
        description = "And sets errno, as EIO, where it is overridden.")
    private @Nullable String errno;

    @Option(names = "--every", paramLabel = "N", description = "Only every N-th call.")
    private long every = 1;

    @Option(
        names = "--probability",
        paramLabel = "P",
        description = "Only calls at random, with this probability, as 0.01.")
    private @Nullable Double probability;

    @Option(
        names = "--seed",
        paramLabel = "NUMBER",
        description = "Which calls those are (default: others each time).")
    private @Nullable Long seed;

    @Option(names = "--times", paramLabel = "N", description = "At most N calls.")
    private @Nullable Long times;

    @Option(
        names = "--for",
        paramLabel = "DURATION",
        converter = Time.class,
        description =
            "For a time, as 500ms or 5s; then it is taken back. It ends also if this command is"
                + " killed before.")
    @Nullable Duration duration;

    /**
     * The same as an object.
     *
     * @throws IllegalArgumentException if a number is out of range, or there is no such error
     */
    ReturnOverride override() {
      long[] more = values.stream().skip(1).mapToLong(Long::longValue).toArray();
      ReturnOverride override =
          more.length == 0
              ? ReturnOverride.returning(values.get(0))
              : ReturnOverride.returningInOrder(values.get(0), more);
      override = override.everyNth(every);
      if (errno != null) {
        override = override.withErrno(errno);
      }
      if (probability != null) {
        override =
            override.withProbability(probability, seed != null ? seed : new Random().nextLong());
      } else if (seed != null) {
        throw new IllegalArgumentException("--seed needs --probability");
      }
      if (times != null) {
        override = override.atMost(times);
      }
      return duration == null ? override : override.lasting(duration);
    }
  }

  /** A 64-bit value: decimal, or {@code 0x} and hexadecimal digits. */
  static final class Value implements ITypeConverter<Long> {
    @Override
    public Long convert(String text) {
      try {
        return text.startsWith("0x")
            ? Long.parseUnsignedLong(text.substring(2), 16)
            : Long.valueOf(text);
      } catch (NumberFormatException bad) {
        throw new TypeConversionException("'" + text + "' is no number of 64 bits");
      }
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
