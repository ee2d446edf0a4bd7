package io.github.textpoke.x86.relocate;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.x86.decode.RequiresZydis;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What becomes of displaced code, as listings: the site and what is behind it, and the copy. */
@RequiresZydis
final class RelocationCasesTest {
  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void displacedCodeBecomes(RelocationCase each) {
    String site = each.site();
    CodeBytes displaced = AssemblyListing.bytes(site);
    CodeRegion code =
        CodeRegion.of("f", each.address(), displaced.concat(AssemblyListing.bytes(each.behind())));
    AssemblyListing.assertTrue(each.address(), site + each.behind());

    OutOfLineCopy copy =
        OutOfLineCopy.of(
            WitnessedDecoder.requireZydis(),
            code,
            each.address(),
            displaced.length(),
            each.copyAddress());

    AssemblyListing.assertReads(copy.address(), copy.bytes(), each.copy());
    assertThat(copy.displaced().bytes()).isEqualTo(displaced);
    assertThat(copy.bytes().length())
        .isLessThanOrEqualTo(OutOfLineCopy.maxSize(displaced.length()));
  }

  static ImmutableList<RelocationCase> cases() {
    return RelocationCase.ALL;
  }
}
