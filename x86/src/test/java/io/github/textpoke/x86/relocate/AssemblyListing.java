package io.github.textpoke.x86.relocate;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.base.Splitter;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import io.github.textpoke.x86.decode.ZydisDecoder;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;

/** Code as people write it: bytes left of the bar, assembly right of it; neither is trusted. */
final class AssemblyListing {
  private AssemblyListing() {}

  /** The bytes of a listing. */
  static CodeBytes bytes(String listing) {
    return lines(listing).stream()
        .map(line -> CodeBytes.ofHex(line.substring(0, line.indexOf('|'))))
        .reduce(CodeBytes.EMPTY, CodeBytes::concat);
  }

  /** Fails unless the code at {@code address} reads as {@code listing} says, for two decoders. */
  static void assertReads(long address, CodeBytes code, String listing) {
    assertThat(of(address, code)).isEqualTo(normalised(listing));
  }

  /** Fails unless the bytes of {@code listing} read as the assembly beside them. */
  static void assertTrue(long address, String listing) {
    assertReads(address, bytes(listing), listing);
  }

  private static String of(long address, CodeBytes code) {
    CodeRegion region = CodeRegion.of("listing", address, code);
    ZydisDecoder zydis = new ZydisDecoder();
    WitnessedDecoder decoder = new WitnessedDecoder(new TableDecoder(), zydis);
    StringBuilder text = new StringBuilder();
    for (int at = 0; at < code.length(); ) {
      int length = Decoded.length(decoder.decode(region, at));
      if (length == 0) {
        return text + "no instruction: " + code.slice(at, code.length()).hex();
      }
      text.append(code.slice(at, at + length).hex())
          .append(" | ")
          .append(Objects.requireNonNull(zydis.format(region, at)))
          .append('\n');
      at += length;
    }
    return text.toString();
  }

  private static String normalised(String listing) {
    return lines(listing).stream()
        .map(line -> line.replaceAll(" *\\| *", " | ").strip() + "\n")
        .collect(Collectors.joining());
  }

  private static List<String> lines(String listing) {
    return Splitter.on('\n').omitEmptyStrings().trimResults().splitToList(listing);
  }
}
