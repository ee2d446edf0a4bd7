package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.TrapAction;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Addresses of one instance of a program by names, which are the same in each instance: {@code
 * batch_0+0x40}.
 */
final class Places {
  private static final Pattern ADDRESS = Pattern.compile("0x([0-9a-f]{9,16})");

  /** The names end where the code does that follows the last of them. */
  private static final long FARTHEST = 0x20_0000;

  private final TreeMap<Long, String> names = new TreeMap<>();
  private final Map<String, Long> addresses;

  Places(Fixture fixture, List<String> published) {
    ImmutableMap.Builder<String, Long> builder = ImmutableMap.builder();
    for (String name : published) {
      builder.put(name, fixture.address(name));
      names.put(fixture.address(name), name);
    }
    addresses = builder.buildOrThrow();
  }

  /** The name of an address; in hexadecimal where it is near none. */
  String name(long address) {
    Map.Entry<Long, String> named = names.floorEntry(address);
    if (named == null || address - named.getKey() > FARTHEST) {
      return "0x" + Long.toHexString(address);
    }
    long offset = address - named.getKey();
    return offset == 0 ? named.getValue() : named.getValue() + "+0x" + Long.toHexString(offset);
  }

  /** The address of a name. */
  long address(String place) {
    int plus = place.indexOf('+');
    return plus < 0
        ? addresses.get(place)
        : addresses.get(place.substring(0, plus)) + Long.decode(place.substring(plus + 1));
  }

  /** A trap action, with the name of where it leads. */
  String named(TrapAction action) {
    return action instanceof TrapAction.Redirect redirect
        ? "Redirect " + name(redirect.address())
        : action.toString();
  }

  /** A text with names for the addresses in it. */
  String named(String text) {
    Matcher matcher = ADDRESS.matcher(text);
    StringBuilder named = new StringBuilder();
    while (matcher.find()) {
      matcher.appendReplacement(named, name(Long.parseUnsignedLong(matcher.group(1), 16)));
    }
    return matcher.appendTail(named).toString();
  }

  /** Where {@code after} differs from {@code before}: each stretch of bytes, by its place. */
  ImmutableList<String> differences(long address, CodeBytes before, CodeBytes after) {
    List<String> differences = new ArrayList<>();
    for (int i = 0; i < before.length(); i++) {
      int from = i;
      while (i < before.length() && before.at(i) != after.at(i)) {
        i++;
      }
      if (i > from) {
        differences.add(name(address + from) + ": " + after.slice(from, i).hex());
      }
    }
    return ImmutableList.copyOf(differences);
  }
}
