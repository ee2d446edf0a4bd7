package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.internal.Uninterruptibly;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.Charset;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Strings of a program's environment, as bytes: a Java string may have lost some. Immutable. */
final class ProgramEnvironment {
  private static final Path OURS = Path.of("/proc/self/environ");

  private final ImmutableList<byte[]> strings;

  private ProgramEnvironment(ImmutableList<byte[]> strings) {
    this.strings = strings;
  }

  /** That which this JVM was started with. */
  static ProgramEnvironment ofThisJvm() {
    byte[] all;
    try {
      all = Uninterruptibly.call(() -> Files.readAllBytes(OURS));
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
    List<byte[]> strings = new ArrayList<>();
    int from = 0;
    for (int at = 0; at < all.length; at++) {
      if (all[at] == 0) {
        strings.add(Arrays.copyOfRange(all, from, at));
        from = at + 1;
      }
    }
    return new ProgramEnvironment(ImmutableList.copyOf(strings));
  }

  /** An empty one. */
  static ProgramEnvironment empty() {
    return new ProgramEnvironment(ImmutableList.of());
  }

  /** With another value of a variable. */
  ProgramEnvironment with(String name, String value) {
    if (name.isEmpty() || name.indexOf('=') >= 0) {
      throw new IllegalArgumentException("'" + name + "' is no name of a variable");
    }
    return new ProgramEnvironment(
        ImmutableList.<byte[]>builder()
            .addAll(without(name).strings)
            .add(bytes(name + "=" + value))
            .build());
  }

  /** Without a variable. */
  ProgramEnvironment without(String name) {
    byte[] start = bytes(name + "=");
    return new ProgramEnvironment(
        strings.stream()
            .filter(
                text ->
                    text.length < start.length
                        || !Arrays.equals(text, 0, start.length, start, 0, start.length))
            .collect(ImmutableList.toImmutableList()));
  }

  ImmutableList<byte[]> strings() {
    return strings;
  }

  /**
   * A string as this system's programs read it.
   *
   * @throws IllegalArgumentException if it can't be written so, or holds a zero
   */
  static byte[] bytes(String text) {
    if (text.indexOf('\0') >= 0) {
      throw new IllegalArgumentException("a zero in '" + text.replace('\0', '?') + "'");
    }
    Charset charset = Charset.forName(System.getProperty("sun.jnu.encoding", "UTF-8"));
    try {
      ByteBuffer encoded = charset.newEncoder().encode(CharBuffer.wrap(text));
      byte[] bytes = new byte[encoded.remaining()];
      encoded.get(bytes);
      return bytes;
    } catch (CharacterCodingException impossible) {
      throw new IllegalArgumentException(
          "'" + text + "' can't be written in " + charset + ", which this JVM was started with",
          impossible);
    }
  }
}
