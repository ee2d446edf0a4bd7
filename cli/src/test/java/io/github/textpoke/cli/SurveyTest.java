package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class SurveyTest {
  /** A program that is there, and is not small: the one that runs this. */
  private static final Path JAVA = Path.of(System.getProperty("java.home"), "lib", "libjava.so");

  private static final Path ZIP = Path.of(System.getProperty("java.home"), "lib", "libzip.so");

  @TempDir private Path folder;

  @Test
  void printsForEachFileHowManyFunctionsCanBeDetouredAndWhyOthersCanNot() {
    String text = Run.of("survey", JAVA, ZIP).assertDone().out();

    assertThat(text)
        .contains(JAVA + ": ", ZIP + ": ")
        .containsPattern("(?m)^of the other [0-9]+, [0-9]+ can be detoured: [0-9]+\\.[0-9] %$")
        .containsPattern("(?m)^rule +functions +why not$")
        .contains("read by table");
  }

  @Test
  void theSameInJsonAddsUp() {
    JsonObject survey = Run.of("survey", JAVA, ZIP, "--json").json();
    JsonArray files = survey.getAsJsonArray("files");

    assertThat(files).hasSize(2);
    assertThat(files.get(0).getAsJsonObject().get("file").getAsString()).isEqualTo(JAVA.toString());
    for (JsonElement element : files) {
      JsonObject file = element.getAsJsonObject();
      long refused = 0;
      long last = Long.MAX_VALUE;
      for (JsonElement obstacle : file.getAsJsonArray("obstacles")) {
        JsonObject row = obstacle.getAsJsonObject();
        long functions = row.get("functions").getAsLong();
        assertThat(row.get("rule").getAsInt()).isBetween(1, 23);
        assertThat(row.get("reason").getAsString()).isNotEmpty().doesNotContain("0x");
        assertThat(functions).isBetween(1L, last);
        last = functions;
        refused += functions;
      }
      long detoured = file.get("detoured").getAsLong();
      long longEnough = file.get("longEnough").getAsLong();
      assertThat(detoured).isPositive();
      assertThat(detoured + refused).isEqualTo(longEnough);
      assertThat(longEnough + file.get("tooShort").getAsLong())
          .isEqualTo(file.get("functions").getAsLong());
      assertThat(file.get("share").getAsDouble()).isEqualTo((double) detoured / longEnough);
    }
  }

  @Test
  void aFileThatIsNotThereOrNoObjectEndsWith2() throws Exception {
    Path text = Files.writeString(folder.resolve("text"), "no object");

    assertThat(Run.of("survey", folder.resolve("nothing")).assertFailed(2).err())
        .contains("nothing");
    assertThat(Run.of("survey", ZIP, text).assertFailed(2).err()).contains("text");
  }
}
