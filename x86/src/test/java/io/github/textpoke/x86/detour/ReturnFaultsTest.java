package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.Fault;
import io.github.textpoke.apply.FaultInjector;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class ReturnFaultsTest {
  private static Fault fault(ImmutableList<Long> values, String errno) {
    return new Fault("f", values, Optional.of(errno), 1, OptionalLong.empty(), Optional.empty());
  }

  @Test
  void areTheInjectorOnTheClassPath() {
    assertThat(FaultInjector.find(FaultInjector.class.getClassLoader()))
        .containsInstanceOf(ReturnFaults.class);
  }

  @Test
  void oneValueIsReturnedInEachCall() {
    Fault fault =
        new Fault(
            "libc:fsync",
            ImmutableList.of(-1L),
            Optional.empty(),
            1,
            OptionalLong.empty(),
            Optional.empty());
    assertThat(ReturnFaults.override(fault)).isEqualTo(ReturnOverride.returning(-1));
  }

  @Test
  void severalValuesAreReturnedInOrderAndEachConditionIsKept() {
    Fault fault =
        new Fault(
            "libc:fsync",
            ImmutableList.of(3L, -5L, 7L),
            Optional.of("EIO"),
            2,
            OptionalLong.of(9),
            Optional.of(Duration.ofMillis(80)));
    assertThat(ReturnFaults.override(fault))
        .isEqualTo(
            ReturnOverride.returningInOrder(3, -5, 7)
                .withErrno(5)
                .everyNth(2)
                .atMost(9)
                .lasting(Duration.ofMillis(80)));
  }

  @Test
  void anErrorThatX86DoesNotHaveIsRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> ReturnFaults.override(fault(ImmutableList.of(1L), "EFOO")))
        .withMessageContaining("EFOO");
  }

  @Test
  void aFaultHasAFunctionAndAValue() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> fault(ImmutableList.of(), "EIO"))
        .withMessage("f has no value to return");
    assertThatIllegalArgumentException()
        .isThrownBy(
            () ->
                new Fault(
                    "",
                    ImmutableList.of(1L),
                    Optional.empty(),
                    1,
                    OptionalLong.empty(),
                    Optional.empty()));
  }
}
