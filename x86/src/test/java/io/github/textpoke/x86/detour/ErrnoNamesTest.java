package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Compares our names with those of the C headers, as a C compiler sees them. */
final class ErrnoNamesTest {
  /** A second name is defined as the first one. */
  private static final Pattern MACRO = Pattern.compile("#define (E[A-Z0-9]+) (\\w+)");

  @Test
  void everyNameOfTheHeaderHasItsNumberAndNoNumberIsAnothers() throws Exception {
    Map<String, String> macros = macros();
    assertThat(macros).hasSizeGreaterThan(130).containsEntry("EIO", "5");

    macros.forEach(
        (name, value) -> {
          int number = Integer.parseInt(macros.getOrDefault(value, value));
          assertThat(ErrnoNames.number(name)).as(name).isEqualTo(number);
          assertThat(ErrnoNames.text(number))
              .as(name)
              .isEqualTo(macros.containsKey(value) ? value : name);
        });
  }

  @Test
  void aNumberThatTheHeaderDoesNotNameHasNoName() throws Exception {
    Map<String, String> macros = macros();
    for (int number = 0; number < 5000; number++) {
      String text = Integer.toString(number);
      if (!macros.containsValue(text)) {
        assertThat(ErrnoNames.text(number)).isEqualTo(text);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "5", "eio", "EWRONG", "EIO "})
  void anotherNameIsRefused(String name) {
    assertThatExceptionOfType(IllegalArgumentException.class)
        .isThrownBy(() -> ErrnoNames.number(name))
        .withMessageContaining("no error of the name " + name);
  }

  private Map<String, String> macros() throws Exception {
    Process compiler =
        new ProcessBuilder("gcc", "-dM", "-E", "-include", "errno.h", "-x", "c", "/dev/null")
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    Map<String, String> macros = new TreeMap<>();
    new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
        .lines()
        .map(MACRO::matcher)
        .filter(matcher -> matcher.matches())
        .forEach(matcher -> macros.put(matcher.group(1), matcher.group(2)));
    assertThat(compiler.waitFor()).isZero();
    return macros;
  }
}
