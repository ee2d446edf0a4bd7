package io.github.textpoke.x86.target;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.target.EmittedCode.Line;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/**
 * Emitted code, as people read it, is a file: a change of who emits it shows there instruction by
 * instruction. {@code -Dtextpoke.writeListing=true} writes the files anew, and ends as aborted.
 */
public final class Listings {
  private static final String PROPERTY = "textpoke.writeListing";
  private static final String HEADER =
      """
      # The code of one program: offset, bytes, instruction as Zydis writes it.
      # Written by %1$s; after a change that is meant, write it anew:
      #   mvn -pl core,test-fixtures,x86 test -Dtest=%1$s -D%2$s=true \\
      #     -Dsurefire.failIfNoSpecifiedTests=false
      """;

  private Listings() {}

  /**
   * Compares code with its listing.
   *
   * @param test whose package the file is in
   * @param name of the file
   * @param notes what stands before an instruction, by its offset
   */
  public static void compare(
      Class<?> test, String name, CodeBytes code, ImmutableMap<Integer, String> notes)
      throws IOException {
    String listing = listing(test, code, notes);
    if (Boolean.getBoolean(PROPERTY)) {
      String folder = "src/test/resources/" + test.getPackageName().replace('.', '/');
      Files.createDirectories(Path.of(folder));
      Files.writeString(Path.of(folder, name), listing);
      Assumptions.abort(name + " was written anew: look at what has changed, and commit it");
    }
    try (InputStream file = test.getResourceAsStream(name)) {
      String golden = new String(file.readAllBytes(), StandardCharsets.UTF_8);
      assertThat(listing)
          .as("the code has changed; if that is meant: -D%s=true writes %s anew", PROPERTY, name)
          .isEqualTo(golden);
    }
  }

  private static String listing(
      Class<?> test, CodeBytes code, ImmutableMap<Integer, String> notes) {
    StringBuilder listing = new StringBuilder(HEADER.formatted(test.getSimpleName(), PROPERTY));
    for (Line line : EmittedCode.of(code)) {
      String note = notes.get(line.offset());
      if (note != null) {
        listing.append(note.startsWith(" ") ? "" : "\n");
        note.lines().forEach(text -> listing.append("# ").append(text).append('\n'));
      }
      listing.append(
          "%04x  %-30s %s\n".formatted(line.offset(), line.instruction().bytes(), line.text()));
    }
    return listing.toString();
  }
}
