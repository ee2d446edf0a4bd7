package io.github.textpoke.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;

final class MachineLoadTest {
  @Test
  void idleAndWaitingForDisksAreNotBusyAndGuestTimeIsNotCountedTwice() {
    assertThat(MachineLoad.parse("cpu  10 20 30 400 500 6 7 8 99 99"))
        .isEqualTo(new MachineLoad(81, 981));
  }

  @Test
  void theLoadIsThatBetweenTwoReadings() {
    MachineLoad before = new MachineLoad(1000, 5000);

    assertThat(new MachineLoad(1050, 5200).percentSince(before)).isEqualTo(25);
    assertThat(before.percentSince(before)).isZero();
  }

  @Test
  void refusesAnotherLine() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> MachineLoad.parse("cpu0 1 2 3 4 5 6 7 8"))
        .withMessageContaining("cpu0");
  }
}
