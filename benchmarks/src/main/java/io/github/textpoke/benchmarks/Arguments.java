package io.github.textpoke.benchmarks;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.Streams;
import com.google.common.primitives.Ints;
import java.util.Iterator;
import java.util.List;

/** The words of a command line, from first to last. Whatever is wrong is said in words. */
final class Arguments {
  private final Iterator<String> rest;
  private String option = "";

  Arguments(List<String> words) {
    rest = words.iterator();
  }

  /** Whether there is another option. */
  boolean hasNext() {
    return rest.hasNext();
  }

  /** The next option. */
  String next() {
    option = rest.next();
    return option;
  }

  /** The option's value. */
  String value() {
    checkArgument(rest.hasNext(), "%s needs a value", option);
    return rest.next();
  }

  /** The option's value, a number. */
  int number(int least, int most) {
    return number(value(), least, most);
  }

  /** The option's value, numbers with commas between them. */
  ImmutableList<Integer> numbers(int least, int most) {
    return Streams.stream(Splitter.on(',').omitEmptyStrings().split(value()))
        .map(text -> number(text, least, most))
        .collect(ImmutableList.toImmutableList());
  }

  /** For an option that nobody knows. */
  IllegalArgumentException unknown() {
    return new IllegalArgumentException("unknown option " + option);
  }

  private int number(String text, int least, int most) {
    Integer value = Ints.tryParse(text);
    checkArgument(
        value != null && value >= least && value <= most,
        "%s needs a number from %s to %s, not '%s'",
        option,
        least,
        most,
        text);
    return value;
  }
}
