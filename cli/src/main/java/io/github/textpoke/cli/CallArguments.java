package io.github.textpoke.cli;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.probe.Argument;
import io.github.textpoke.x86.probe.CallCondition;
import io.github.textpoke.x86.probe.CallCondition.Comparison;
import io.github.textpoke.x86.probe.IntegerType;
import io.github.textpoke.x86.probe.ProbeAction;
import java.util.Arrays;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** How arguments of calls, and conditions on them, are written. */
final class CallArguments {
  private static final String ARGUMENT = "arg([1-6])(?::([iu](?:8|16|32|64)))?";
  private static final String NUMBER = "(-?[0-9]+|0x[0-9a-fA-F]+)";
  private static final Pattern KEPT = Pattern.compile(ARGUMENT);
  private static final Pattern RETURNED = Pattern.compile("ret(?::([iu](?:8|16|32|64)))?");
  private static final Pattern TEST =
      Pattern.compile(
          ARGUMENT + " *(?:& *" + NUMBER + ")? *(?:(==|!=|<=|>=|<|>) *" + NUMBER + ")?");

  private CallArguments() {}

  /** What is to be kept of a call: {@code arg1,arg2:u32,ret:i32}. */
  static final class Capture implements ITypeConverter<ProbeAction.Capture> {
    @Override
    public ProbeAction.Capture convert(String text) {
      ImmutableList.Builder<Argument> arguments = ImmutableList.builder();
      Optional<IntegerType> returned = Optional.empty();
      for (String word : Splitter.on(',').split(text)) {
        Matcher argument = KEPT.matcher(word);
        Matcher result = RETURNED.matcher(word);
        if (argument.matches()) {
          arguments.add(argument(argument));
        } else if (result.matches() && returned.isEmpty()) {
          returned = Optional.of(type(result.group(1)));
        } else {
          throw new TypeConversionException(
              "'"
                  + text
                  + "' is not what can be kept of a call: write it as arg1,arg2:u32,ret:i32");
        }
      }
      try {
        ProbeAction.Capture capture = ProbeAction.capture(arguments.build());
        return returned.map(capture::withReturned).orElse(capture);
      } catch (IllegalArgumentException bad) {
        throw new TypeConversionException(bad.getMessage());
      }
    }
  }

  /** Which calls are meant: {@code arg1==0 && arg2:u32>=16 && arg3&0x40}. */
  static final class Condition implements ITypeConverter<CallCondition> {
    @Override
    public CallCondition convert(String text) {
      try {
        CallCondition all = CallCondition.ALWAYS;
        for (String test : Splitter.on("&&").trimResults().split(text)) {
          all = all.and(test(test, text));
        }
        return all;
      } catch (IllegalArgumentException bad) {
        throw new TypeConversionException(bad.getMessage());
      }
    }

    private static CallCondition test(String test, String text) {
      Matcher matcher = TEST.matcher(test);
      if (!matcher.matches() || (matcher.group(3) == null && matcher.group(4) == null)) {
        throw new TypeConversionException(
            "'"
                + text
                + "' is no condition: write arg1==0, with ==, !=, <, <=, > or >=, arg1&0x40 if a bit"
                + " is to be set, arg1:u32 for a type, and && between several");
      }
      Argument argument = argument(matcher);
      String mask = matcher.group(3);
      if (mask != null) {
        argument = argument.masked(number(mask));
      }
      String sign = matcher.group(4);
      return sign == null
          ? argument.isNotEqualTo(0)
          : compared(argument, sign, number(matcher.group(5)));
    }

    private static CallCondition compared(Argument argument, String sign, long value) {
      Comparison comparison =
          Arrays.stream(Comparison.values())
              .filter(each -> each.sign().equals(sign))
              .findFirst()
              .orElseThrow();
      return switch (comparison) {
        case EQUAL -> argument.isEqualTo(value);
        case NOT_EQUAL -> argument.isNotEqualTo(value);
        case LESS -> argument.isLessThan(value);
        case AT_MOST -> argument.isAtMost(value);
        case GREATER -> argument.isGreaterThan(value);
        case AT_LEAST -> argument.isAtLeast(value);
      };
    }
  }

  private static Argument argument(Matcher matcher) {
    return Argument.of(Integer.parseInt(matcher.group(1))).as(type(matcher.group(2)));
  }

  private static IntegerType type(@Nullable String name) {
    return name == null
        ? IntegerType.INT64
        : IntegerType.valueOf((name.startsWith("u") ? "UINT" : "INT") + name.substring(1));
  }

  private static long number(String text) {
    try {
      if (text.startsWith("0x")) {
        return Long.parseUnsignedLong(text.substring(2), 16);
      }
      return text.startsWith("-") ? Long.parseLong(text) : Long.parseUnsignedLong(text);
    } catch (NumberFormatException bad) {
      throw new TypeConversionException("'" + text + "' is no number of 64 bits");
    }
  }
}
