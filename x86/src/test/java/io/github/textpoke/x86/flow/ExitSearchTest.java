package io.github.textpoke.x86.flow;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Relocations;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.flow.FunctionExits.Exit;
import io.github.textpoke.x86.flow.FunctionExits.Kind;
import io.github.textpoke.x86.flow.FunctionExits.Obstacle;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class ExitSearchTest {
  /** Exits are labels: NAME_exit_N. */
  private static final String SOURCE =
      """
      .macro begin name
      .globl \\name
      .hidden \\name
      .type \\name, @function
      \\name: .cfi_startproc
      .endm
      .macro finish name
      .cfi_endproc
      .size \\name, .-\\name
      .endm
      .text
      begin called
        nop
      called_exit_0: ret
      finish called

      begin returns
        test %edi, %edi
        je 1f
        mov %edi, %eax
      returns_exit_0: ret
      1: call called
      returns_exit_1: ret $16
        nop
      finish returns

      begin tail
        test %edi, %edi
      tail_exit_0: je called
      tail_exit_1: jmp called
      finish tail

      begin linkage
        nop
      linkage_exit_0: jmp stub
      finish linkage
      stub: endbr64
        jmp *pointer(%rip)

      begin splits
        test %edi, %edi
        jne piece
      back: mov %edi, %eax
      splits_exit_0: ret
      finish splits
      piece: .cfi_startproc
        inc %edi
        js back
        test %edi, %edi
        nop
      splits_exit_1: ret
        .cfi_endproc
      piece_end:

      begin switches
        cmp $1, %edi
        ja 8f
        lea table(%rip), %rdx
        movslq (%rdx,%rdi,4), %rax
        add %rdx, %rax
        jmp *%rax
      7: inc %edi
      8: mov %edi, %eax
      switches_exit_0: ret
      finish switches

      begin through_pointer
        mov (%rdi), %rax
      through_pointer_exit_0: jmp *8(%rax)
      finish through_pointer

      begin aborts
        test %edi, %edi
        je 1f
      aborts_exit_0: ret
      1: call called
      finish aborts

      begin labels
        lea 1f(%rip), %rax
        mov %rax, -8(%rsp)
        jmp *-8(%rsp)
      1: ret
      finish labels

      begin loops
        dec %edi
        jne loops
        ret
      finish loops

      begin runs_on
        nop
      finish runs_on

      begin entered
        nop
      into: nop
        ret
      finish entered

      begin enters
        nop
        jmp into
      finish enters

      begin shares_one
        nop
        jmp shared
      finish shares_one
      begin shares_other
        nop
        jmp shared
      finish shares_other
      shared: .cfi_startproc
        nop
        ret
        .cfi_endproc
      shared_end:

      begin counts
        .byte 0xe2
        .byte shared-.-1
        ret
      finish counts

      .section .rodata
      .balign 4
      table: .long 7b-table, 8b-table
      .data
      .balign 8
      pointer: .quad 0
      """;

  private Compiled object;
  private ExitSearch search;

  @BeforeAll
  void compile(@TempDir Path directory) throws IOException, InterruptedException {
    object = Compiled.of(directory, "exits.s", SOURCE, "-shared -fPIC");
    search =
        new ExitSearch(
            object.image(),
            LoadedBytes.of(object.image()),
            object.symbols(),
            Relocations.pointersToCode(object.image()),
            ObjectSweep.sweep(object.image()));
  }

  private FunctionExits of(String function) {
    return search.of(new TableDecoder(), object.function(function, 0));
  }

  @ParameterizedTest
  @CsvSource({
    "called, RETURN",
    "returns, RETURN RETURN",
    "tail, CONDITIONAL_JUMP JUMP",
    "linkage, JUMP",
    "splits, RETURN RETURN",
    "switches, RETURN",
    "through_pointer, INDIRECT_JUMP",
    "aborts, RETURN"
  })
  void findsAllWaysOut(String function, String kinds) {
    FunctionExits exits = of(function);
    assertThat(exits.obstacle()).isEmpty();
    String[] expected = kinds.split(" ");
    assertThat(exits.exits()).extracting(Exit::kind).containsExactly(kindsOf(expected));
    for (int i = 0; i < expected.length; i++) {
      assertThat(exits.exits().get(i).address()).isEqualTo(object.address(function + "_exit_" + i));
    }
  }

  private static Kind[] kindsOf(String[] names) {
    Kind[] kinds = new Kind[names.length];
    for (int i = 0; i < names.length; i++) {
      kinds[i] = Kind.valueOf(names[i]);
    }
    return kinds;
  }

  @Test
  void aPieceThatOnlyTheFunctionJumpsToIsItsOwn() {
    FunctionExits exits = of("splits");
    assertThat(exits.parts()).hasSize(2);
    assertThat(exits.parts().get(1).start()).isEqualTo(object.address("piece"));
    assertThat(exits.parts().get(1).end()).isEqualTo(object.address("piece_end"));
    assertThat(exits.exits()).extracting(Exit::part).containsExactly(0, 1);
  }

  @ParameterizedTest
  @CsvSource({
    "labels, an indirect jump that may lead into the function itself",
    "loops, where a turn of a loop looks like a call",
    "runs_on, control goes on behind its end",
    "entered, it is entered behind its start from",
    "enters, where no function begins",
    "shares_one, whether that is a function or a part of this one is not known",
    "shares_other, whether that is a function or a part of this one is not known",
    "counts, it may leave the function"
  })
  void saysWhyItDoesNotKnow(String function, String reason) {
    assertThat(of(function).obstacle().map(Obstacle::reason).orElse("")).contains(reason);
  }
}
