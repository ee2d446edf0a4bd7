package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.CodeChangedException;
import io.github.textpoke.PatchException.Outcome;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class ExitCodeTest {
  @Test
  void everyFailureOfTheCatalogueHasACode() {
    assertThat(Arrays.<Class<?>>asList(PatchException.class.getPermittedSubclasses()))
        .containsExactlyInAnyOrderElementsOf(ExitCode.OF.keySet());
  }

  @Test
  void whatBecameOfTheTargetGoesBeforeTheCause() {
    assertThat(ExitCode.of(changed(Outcome.UNTOUCHED))).isEqualTo(3);
    assertThat(ExitCode.of(changed(Outcome.ROLLED_BACK))).isEqualTo(6);
    assertThat(ExitCode.of(changed(Outcome.GONE))).isEqualTo(5);
    assertThat(ExitCode.of(changed(Outcome.UNKNOWN))).isEqualTo(1);
    assertThat(ExitCode.of(changed(Outcome.FINISHED))).isEqualTo(1);
  }

  @Test
  void whatIsNoFailureOfTheCatalogueIsUnexpected() {
    assertThat(ExitCode.of(new IllegalStateException())).isEqualTo(1);
  }

  private static PatchException changed(Outcome outcome) {
    return new CodeChangedException(0x1000, CodeBytes.of(1), CodeBytes.of(2), outcome);
  }
}
