package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import io.github.textpoke.x86.decode.ZydisDecoder;

/** Emitted code, read back by both decoders. */
public final class EmittedCode {
  private EmittedCode() {}

  /**
   * An instruction and what it reads as.
   *
   * @param instruction at its offset from the code's start
   */
  public record Line(Instruction instruction, String text) {
    /** From the code's start. */
    public int offset() {
      return (int) instruction.address();
    }
  }

  /** One instruction behind the other, from the first byte to the last. */
  public static ImmutableList<Line> of(CodeBytes bytes) {
    CodeRegion code = CodeRegion.of("emitted", 0, bytes);
    ZydisDecoder zydis = new ZydisDecoder();
    WitnessedDecoder both = new WitnessedDecoder(new TableDecoder(), zydis);
    ImmutableList.Builder<Line> lines = ImmutableList.builder();
    for (int offset = 0; offset < bytes.length(); ) {
      Instruction instruction = both.instruction(code, offset);
      lines.add(new Line(instruction, zydis.format(code, offset)));
      offset += instruction.length();
    }
    return lines.build();
  }
}
