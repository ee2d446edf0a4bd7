package io.github.textpoke.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import java.util.List;
import org.junit.jupiter.api.Test;

class PlanTableTest {
  private static final int INT3 = 0xcc;

  private static PatchPlan plan() {
    CodeBytes nop = CodeBytes.ofHex("0f 1f 44 00 00");
    return PatchPlan.of(
        INT3,
        List.of(
            new Poke(
                new Site(0x401000, nop),
                5,
                CodeBytes.ofHex("eb 10 cc cc cc"),
                2,
                new TrapAction.Rewind()),
            new Poke(
                new Site(0x401ffe, nop),
                5,
                CodeBytes.ofHex("eb 20 cc cc cc"),
                2,
                new TrapAction.Redirect(0x402000)),
            new Poke(
                new Site(0x403000, nop),
                5,
                nop.with(0, CodeBytes.of(INT3)),
                1,
                new TrapAction.PassOn())));
  }

  @Test
  void showsBytesAndReasonsWithoutADecoder() {
    assertThat(PlanTable.of(plan()))
        .isEqualTo(
            """
            step  address    old bytes       new bytes       why
            site  0x401000   0f 1f 44 00 00  eb 10 cc cc cc  who hits the breakpoint waits, then runs the site again
            site  0x401ffe   0f 1f 44 00 00  eb 20 cc cc cc  who hits the breakpoint goes on at 0x402000
            site  0x403000   0f 1f 44 00 00  cc 1f 44 00 00  who hits the breakpoint gets the program's own SIGTRAP
            1     0x401000   0f              cc              breakpoint on the first byte
            2     0x401ffe   0f              cc              breakpoint on the first byte
            3     0x403000   0f              cc              breakpoint on the first byte
            4     core sync                                  no core can miss a breakpoint
            5     0x401001   1f 44 00 00     10 cc cc cc     all but the first byte
            6     0x401fff   1f              20              all but the first byte
            7     0x402000   44 00 00        cc cc cc        all but the first byte
            8     core sync                                  no core can run a stale tail
            9     0x401000   cc              eb              first byte
            10    0x401ffe   cc              eb              first byte
            11    core sync                                  no core can run a stale breakpoint
            """);
  }

  @Test
  void showsWhatTheSiteReadsAsWithADecoder() {
    PatchPlan plan = PatchPlan.of(INT3, plan().pokes().subList(0, 1));

    assertThat(PlanTable.of(plan, new NopAndJump()))
        .isEqualTo(
            """
            step  address    old bytes       new bytes       reads as              why
            site  0x401000   0f 1f 44 00 00  eb 10 cc cc cc  nop => jump 0x401012  who hits the breakpoint waits, then runs the site again
            1     0x401000   0f              cc              breakpoint            breakpoint on the first byte
            2     core sync                                                        no core can miss a breakpoint
            3     0x401001   1f 44 00 00     10 cc cc cc     breakpoint            all but the first byte
            4     core sync                                                        no core can run a stale tail
            5     0x401000   cc              eb              jump 0x401012         first byte
            6     core sync                                                        no core can run a stale breakpoint
            """);
  }

  private static PatchPlan displacing() {
    return PatchPlan.of(
        INT3,
        List.of(
            Poke.displacing(
                new Site(0x401ffe, CodeBytes.ofHex("0f 1f 44 00 00 0f 1f 44 00 00 90")),
                10,
                List.of(Boundary.copiedTo(5, 0x70000005)),
                CodeBytes.ofHex("eb 20 cc cc cc cc cc cc cc cc cc"),
                2,
                new TrapAction.Redirect(0x70000000))));
  }

  @Test
  void showsTheBoundariesInsideAndTheEvacuation() {
    assertThat(PlanTable.of(displacing(), new NopAndJump()))
        .isEqualTo(
            """
            step  address            old bytes                         new bytes                         reads as              why
            site  0x401ffe           0f 1f 44 00 00 0f 1f 44 00 00 90  eb 20 cc cc cc cc cc cc cc cc cc  nop => jump 0x402020  who hits the breakpoint goes on at 0x70000000
                  0x402003           0f 1f 44 00 00                                                      nop                   who stands there goes on in the copy at 0x70000005
            1     0x401ffe           0f                                cc                                breakpoint            breakpoint on the first byte
            2     0x402003           0f                                cc                                breakpoint            breakpoint on a boundary inside
            3     core sync                                                                                                    no core can miss a breakpoint
            4     evacuate 0x401ffe                                                                                            no thread can stand inside
            5     0x401fff           1f                                20                                breakpoint            all but the first byte
            6     0x402000           44 00 00 cc 1f 44 00 00 90        cc cc cc cc cc cc cc cc cc        breakpoint            all but the first byte
            7     core sync                                                                                                    no core can run a stale tail
            8     0x401ffe           cc                                eb                                jump 0x402020         first byte
            9     core sync                                                                                                    no core can run a stale breakpoint
            """);
  }

  @Test
  void showsTheBoundariesOfTheNewCodeOnTheWayBack() {
    assertThat(PlanTable.of(displacing().inverse()))
        .startsWith(
            """
            step  address    old bytes                         new bytes                         why
            site  0x401ffe   eb 20 cc cc cc cc cc cc cc cc cc  0f 1f 44 00 00 0f 1f 44 00 00 90  who hits the breakpoint goes on at 0x70000000
                  0x402003                                     0f 1f 44 00 00                    who stands there goes on in the copy at 0x70000005
            1     0x401ffe   eb                                cc                                breakpoint on the first byte
            2     core sync                                                                      no core can miss a breakpoint
            """);
  }

  /** Knows two instructions. */
  private static final class NopAndJump implements InstructionDecoder {
    @Override
    public String name() {
      return "nop and jump";
    }

    @Override
    public long decode(CodeRegion code, int offset) {
      return switch (code.bytes().at(offset)) {
        case 0x0f -> Decoded.pack(5, Flow.NOP, 0, 0, 0, 0, 0);
        case 0xeb -> Decoded.pack(2, Flow.JUMP, 1, 1, 0, 0, 0);
        default -> Decoded.undecodable(Undecodable.UNKNOWN);
      };
    }
  }
}
