package io.github.textpoke.x86.relocate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSortedMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.relocate.OutOfLineCopy.Stretch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a copy says of itself. */
final class OutOfLineCopyTest {
  private static final long SITE = 0x7f12_b456_7000L;
  private static final long COPY = 0x7f12_f456_7000L;

  private static OutOfLineCopy copy(String hex, int minimum) {
    CodeRegion code = CodeRegion.of("f", SITE, CodeBytes.ofHex(hex));
    return OutOfLineCopy.of(new TableDecoder(), code, SITE, minimum, COPY);
  }

  @Test
  void displacesWholeInstructionsUntilThereAreEnough() {
    // push rbp; mov rbp, rsp; sub rsp, 16; nop
    OutOfLineCopy copy = copy("55 48 89 e5 48 83 ec 10 90", 5);

    assertThat(copy.displaced()).isEqualTo(new Site(SITE, CodeBytes.ofHex("5548 89e5 4883ec10")));
    assertThat(copy.displacedLength()).isEqualTo(8);
    assertThat(copy.boundaries())
        .isEqualTo(ImmutableMap.of(SITE, COPY, SITE + 1, COPY + 1, SITE + 4, COPY + 4));
    assertThat(copy.stretches())
        .containsExactly(
            new Stretch(COPY, 1, SITE, 0),
            new Stretch(COPY + 1, 3, SITE + 1, 0),
            new Stretch(COPY + 4, 4, SITE + 4, 0),
            new Stretch(COPY + 8, 5, SITE + 8, 0));
    assertThat(copy.pushesReturnAddress()).isFalse();
    assertThat(copy.end()).isEqualTo(COPY + 13);
  }

  @Test
  void boundariesMoveApartWhereAnInstructionGrows() {
    // jz +16; loop +16; nop
    OutOfLineCopy copy = copy("74 10 e2 10 90", 5);

    assertThat(copy.boundaries())
        .isEqualTo(ImmutableMap.of(SITE, COPY, SITE + 2, COPY + 6, SITE + 4, COPY + 15));
    assertThat(copy.stretchAt(COPY + 8)).contains(new Stretch(COPY + 6, 9, SITE + 2, 0));
    assertThat(copy.stretchAt(COPY - 1)).isEmpty();
    assertThat(copy.stretchAt(copy.end())).isEmpty();
  }

  @Test
  void saysWhereTheReturnAddressOfACallIsOnTheStack() {
    // push rbp; call +0x100
    OutOfLineCopy copy = copy("55 e8 00 01 00 00", 5);

    assertThat(copy.pushesReturnAddress()).isTrue();
    assertThat(copy.stretches())
        .containsExactly(
            new Stretch(COPY, 1, SITE, 0),
            new Stretch(COPY + 1, 5, SITE + 1, 0),
            new Stretch(COPY + 6, 13, SITE + 1, 8));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5, 6, 14, 16})
  void theLongestCopiesThatThereAreFitIntoTheMaximum(int minimum) {
    String before = "e2 70 ".repeat((minimum - 1) / 2) + "90 ".repeat((minimum - 1) % 2);
    for (String last :
        ImmutableList.of(
            "36 ".repeat(10) + "e8 00 01 00 00",
            "36 ".repeat(8) + "ff 54 24 78",
            "36 ".repeat(8) + "ff 94 24 00 01 00 00",
            "36 ".repeat(8) + "e2 70",
            "36 ".repeat(9) + "74 70",
            "66 ".repeat(7) + "0f 1f 84 00 00 00 00 00")) {
      OutOfLineCopy copy = copy(before + last, minimum);
      assertThat(copy.bytes().length()).isLessThanOrEqualTo(OutOfLineCopy.maxSize(minimum));
    }
  }

  @Test
  void refusesNoBytes() {
    assertThatIllegalArgumentException().isThrownBy(() -> copy("90 90", 0));
    assertThatIllegalArgumentException().isThrownBy(() -> OutOfLineCopy.maxSize(0));
  }

  @Test
  void isOnlyMadeOfPartsThatFitTogether() {
    Site displaced = new Site(SITE, CodeBytes.ofHex("90"));
    CodeBytes bytes = CodeBytes.ofHex("90 c3");
    ImmutableSortedMap<Long, Long> boundaries = ImmutableSortedMap.of(SITE, COPY);
    Stretch whole = new Stretch(COPY, 2, SITE, 0);
    assertThat(
            new OutOfLineCopy(COPY, bytes, displaced, boundaries, ImmutableList.of(whole)).bytes())
        .isEqualTo(bytes);

    Stretch part = new Stretch(COPY, 1, SITE, 0);
    Stretch late = new Stretch(COPY + 1, 1, SITE, 0);
    for (var stretches :
        ImmutableList.of(
            ImmutableList.<Stretch>of(), ImmutableList.of(part), ImmutableList.of(late))) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> new OutOfLineCopy(COPY, bytes, displaced, boundaries, stretches));
    }
    for (var wrong :
        ImmutableList.of(
            ImmutableSortedMap.<Long, Long>of(),
            ImmutableSortedMap.of(SITE, COPY + 2),
            ImmutableSortedMap.of(SITE, COPY, SITE + 1, COPY + 1))) {
      assertThatIllegalArgumentException()
          .isThrownBy(
              () -> new OutOfLineCopy(COPY, bytes, displaced, wrong, ImmutableList.of(whole)));
    }
  }
}
