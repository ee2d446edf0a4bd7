package io.github.textpoke.x86.decode;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TableDecoderTest extends InstructionDecoderContract {
  @Override
  InstructionDecoder decoder() {
    return new TableDecoder();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1})
  void classifiesEveryOpcodeOfTheFirstTwoMaps(int map) {
    List<String> rows = OpcodeTable.rows(map);
    assertThat(rows).hasSize(256);
    for (int opcode = 0; opcode < 256; opcode++) {
      assertThat(rows.get(opcode)).startsWith("%02x ".formatted(opcode));
    }
    var table = new OpcodeTable();
    for (int opcode = 0; opcode < 256; opcode++) {
      String kind = rows.get(opcode).split(" +")[1];
      int traits = table.traits[map * 256 + opcode];
      switch (kind) {
        case "invalid", "refused" -> assertThat(traits).as(rows.get(opcode)).isZero();
        case "prefix" -> assertThat(traits).as(rows.get(opcode)).isEqualTo(OpcodeTable.PREFIX);
        case "escape" -> assertThat(traits).as(rows.get(opcode)).isEqualTo(OpcodeTable.ESCAPE);
        default -> {
          assertThat(traits & OpcodeTable.KNOWN).as(rows.get(opcode)).isNotZero();
          assertThat(table.forms[map * 256 + opcode]).as(rows.get(opcode)).isNotZero();
        }
      }
    }
  }

  @Test
  void tellsTheFlowOfEveryGroupAndForm() {
    var table = new OpcodeTable();
    for (int row = 0; row < table.traits.length; row++) {
      if ((table.traits[row] & OpcodeTable.GROUP) == 0) {
        continue;
      }
      for (int column = 0; column < 4; column++) {
        for (int modrm = 0; modrm < 256; modrm++) {
          // fails on a row that nobody classified
          assertThat(Groups.traits(row, column, modrm, false)).isBetween(0, 127);
        }
      }
    }
  }

  @Test
  void hasNoVectorOpcodeTwiceForTheSameForm() {
    for (int map = 1; map <= 3; map++) {
      assertThat(VexTable.rows(map)).doesNotHaveDuplicates();
    }
    for (int map : new int[] {1, 2, 3, 5, 6}) {
      // the table itself refuses a third policy for one form
      assertThat(EvexTable.rows(map)).doesNotHaveDuplicates();
    }
  }

  @Test
  void readsEveryByteOfAnInstructionAndNoneBehind() {
    CodeRegion code = new RandomCode(3).prefixHeavy();
    var whole = new TableDecoder();
    var part = new TableDecoder();
    int decodedOnes = 0;
    for (int at = 0; at < code.bytes().length(); at += RandomCode.STRIDE) {
      long decoded = whole.decode(code, at);
      int length = Decoded.length(decoded);
      if (length == 0) {
        continue;
      }
      decodedOnes++;
      assertThat(part.decode(cut(code, at, length), 0)).isEqualTo(decoded);
      for (int shorter = 1; shorter < length; shorter++) {
        CodeRegion cut = cut(code, at, shorter);
        assertThat(part.decode(cut, 0))
            .as("%s", cut.bytes())
            .isEqualTo(Decoded.undecodable(Undecodable.TRUNCATED));
      }
    }
    assertThat(decodedOnes).isGreaterThan(RandomCode.STRINGS / 4);
  }

  private static CodeRegion cut(CodeRegion code, int at, int length) {
    return CodeRegion.of("cut", code.address() + at, code.bytes().slice(at, at + length));
  }
}
