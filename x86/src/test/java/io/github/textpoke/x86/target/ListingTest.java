package io.github.textpoke.x86.target;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.decode.RequiresZydis;
import io.github.textpoke.x86.target.EmittedCode.Line;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/**
 * The whole code, as people read it, is a file: a change of the emitter or of a routine shows there
 * instruction by instruction. {@code -Dtextpoke.writeListing=true} writes the file anew, and ends
 * as aborted.
 */
@RequiresZydis
final class ListingTest {
  private static final String POKER = "poker_tasks.txt";
  private static final String BORROWER = "borrow_task.txt";
  private static final String LAUNCHER = "launch_task.txt";
  private static final String PROPERTY = "textpoke.writeListing";
  private static final String HEADER =
      """
      # The code of one program: offset, bytes, instruction as Zydis writes it.
      # Written by ListingTest; after a change that is meant, write it anew:
      #   mvn -pl core,test-fixtures,x86 test -Dtest=ListingTest -D%s=true \\
      #     -Dsurefire.failIfNoSpecifiedTests=false
      """
          .formatted(PROPERTY);

  @Test
  void theCodeOfHelperAndPokerIsThatOfTheListing() throws IOException {
    PokerTasks tasks = new PokerTasks();
    compare(POKER, listing(tasks.code(), tasks.notes()));
  }

  @Test
  void theCodeOfTheBorrowerIsThatOfTheListing() throws IOException {
    Assembler assembler = new Assembler();
    BorrowTask.emit(assembler);
    compare(BORROWER, listing(new PokerTasks().borrower(), assembler.notes()));
  }

  @Test
  void theCodeOfTheLauncherIsThatOfTheListing() throws IOException {
    Assembler assembler = new Assembler();
    LaunchTask.emit(assembler);
    compare(LAUNCHER, listing(new PokerTasks().launcher(), assembler.notes()));
  }

  private static void compare(String name, String listing) throws IOException {
    if (Boolean.getBoolean(PROPERTY)) {
      String folder = "src/test/resources/" + ListingTest.class.getPackageName().replace('.', '/');
      Files.createDirectories(Path.of(folder));
      Files.writeString(Path.of(folder, name), listing);
      Assumptions.abort(name + " was written anew: look at what has changed, and commit it");
    }
    try (InputStream file = ListingTest.class.getResourceAsStream(name)) {
      String golden = new String(file.readAllBytes(), StandardCharsets.UTF_8);
      assertThat(listing)
          .as("the code has changed; if that is meant: -D%s=true writes %s anew", PROPERTY, name)
          .isEqualTo(golden);
    }
  }

  private static String listing(CodeBytes code, ImmutableMap<Integer, String> notes) {
    StringBuilder listing = new StringBuilder(HEADER);
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
