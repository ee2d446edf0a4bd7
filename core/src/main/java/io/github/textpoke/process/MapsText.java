package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;

/**
 * Parses {@code /proc/PID/maps}, character by character: a process with thousands of threads has
 * thousands of lines, and they are read several times in a visit.
 */
final class MapsText {
  private static final String DELETED = " (deleted)";
  private static final String NO_DEVICE = "00:00";
  private static final int MOST_HEX_DIGITS = 16;
  private static final int MOST_DECIMAL_DIGITS = 20;

  private final String text;
  private int lineStart;
  private int at;

  MapsText(String text) {
    this.text = text;
  }

  /**
   * All lines.
   *
   * @throws IllegalArgumentException if one is none of that file
   */
  MemoryMap parse() {
    ImmutableList.Builder<Mapping> mappings = ImmutableList.builder();
    while (at < text.length()) {
      lineStart = at;
      mappings.add(line());
    }
    return new MemoryMap(mappings.build());
  }

  private Mapping line() {
    long start = hex('-');
    long end = hex(' ');
    boolean readable = flag('r', '-');
    boolean writable = flag('w', '-');
    boolean executable = flag('x', '-');
    boolean shared = flag('s', 'p');
    expect(' ');
    long offset = hex(' ');
    String device = device();
    long inode = inode();
    while (peek() == ' ') {
      at++;
    }
    String path = restOfLine();
    boolean deleted = path.endsWith(DELETED);
    if (deleted) {
      path = path.substring(0, path.length() - DELETED.length());
    }
    // The kernel escapes line feeds in names, and nothing else.
    return new Mapping(
        start,
        end,
        readable,
        writable,
        executable,
        shared,
        offset,
        device,
        inode,
        path.replace("\\012", "\n"),
        deleted);
  }

  /** The next character; a line feed at the end of the text. */
  private char peek() {
    return at < text.length() ? text.charAt(at) : '\n';
  }

  private void expect(char wanted) {
    if (peek() != wanted) {
      throw refused();
    }
    at++;
  }

  private boolean flag(char yes, char no) {
    char found = peek();
    if (found != yes && found != no) {
      throw refused();
    }
    at++;
    return found == yes;
  }

  private static int hexDigit(char digit) {
    if (digit >= '0' && digit <= '9') {
      return digit - '0';
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
  }

  private int skipHexDigits() {
    int from = at;
    while (hexDigit(peek()) >= 0) {
      at++;
    }
    return at - from;
  }

  private long hex(char end) {
    long value = 0;
    int from = at;
    for (int digit = hexDigit(peek()); digit >= 0; digit = hexDigit(peek())) {
      value = value << 4 | digit;
      at++;
    }
    if (at == from || at - from > MOST_HEX_DIGITS) {
      throw refused();
    }
    expect(end);
    return value;
  }

  private String device() {
    int from = at;
    if (skipHexDigits() == 0) {
      throw refused();
    }
    expect(':');
    if (skipHexDigits() == 0) {
      throw refused();
    }
    int end = at;
    expect(' ');
    return text.startsWith(NO_DEVICE, from) && end - from == NO_DEVICE.length()
        ? NO_DEVICE
        : text.substring(from, end);
  }

  private long inode() {
    int from = at;
    while (peek() >= '0' && peek() <= '9') {
      at++;
    }
    if (at == from || at - from > MOST_DECIMAL_DIGITS) {
      throw refused();
    }
    // More than 64 bits are a NumberFormatException, which is an IllegalArgumentException.
    return Long.parseUnsignedLong(text, from, at, 10);
  }

  private String restOfLine() {
    int from = at;
    int end = endOfLine();
    at = end + 1;
    return text.substring(from, end);
  }

  private int endOfLine() {
    int end = text.indexOf('\n', at);
    return end < 0 ? text.length() : end;
  }

  private IllegalArgumentException refused() {
    return new IllegalArgumentException(
        "no line of /proc/PID/maps: " + text.substring(lineStart, endOfLine()));
  }
}
