package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Arrays;

/** One run of the command line, in this JVM. */
record Run(int exitCode, String out, String err) {
  static Run of(Object... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int exitCode =
        Main.run(
            new PrintWriter(out),
            new PrintWriter(err),
            Arrays.stream(arguments).map(String::valueOf).toArray(String[]::new));
    return new Run(exitCode, out.toString(), err.toString());
  }

  /** As a shell would run it: words apart by spaces, the first is the program. */
  static Run ofLine(String line) {
    String[] words = line.split(" ");
    return of((Object[]) Arrays.copyOfRange(words, 1, words.length));
  }

  Run assertDone() {
    assertThat(err).isEmpty();
    assertThat(exitCode).isEqualTo(ExitCode.DONE);
    return this;
  }

  /** It failed with this code, said why in one line, and printed nothing else. */
  Run assertFailed(int code) {
    assertThat(exitCode).as(err).isEqualTo(code);
    assertThat(err).startsWith("textpoke: ").hasLineCount(1);
    assertThat(out).isEmpty();
    return this;
  }

  JsonObject json() {
    return JsonParser.parseString(assertDone().out()).getAsJsonObject();
  }
}
