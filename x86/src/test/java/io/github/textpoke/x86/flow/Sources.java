package io.github.textpoke.x86.flow;

/** Assembly of functions that lead into each other. */
final class Sources {
  /** All that leads behind the start of {@code entered}; labels without type are hidden. */
  static final String LINKS =
      """
      .text
      .type entered, @function
      entered: .cfi_startproc
        nop
      inside: nop
        xor %eax, %eax
      0: jmp 0b
        .cfi_endproc
      .size entered, .-entered

      .type jumper, @function
      jumper: .cfi_startproc
        test %edi, %edi
      by_jump: .byte 0x0f, 0x85
        .long inside-.-4
      by_short_jump: .byte 0xeb
        .byte inside-.-1
        .cfi_endproc
      .size jumper, .-jumper
        .byte 0xcc
      gap_branch: .byte 0xe9
        .long inside-.-4
        .byte 0xcc

      .type caller, @function
      caller:
      by_call: .byte 0xe8
        .long inside-.-4
      by_lea: lea inside(%rip), %rax
        call entered
        ret
      .size caller, .-caller

      .type switcher, @function
      switcher: .cfi_startproc
        cmp $1, %edi
        ja 8f
        lea table(%rip), %rdx
        movslq (%rdx,%rdi,4), %rax
        add %rdx, %rax
      by_table: jmp *%rax
      8: ret
        .cfi_endproc
      .size switcher, .-switcher

      .type tail, @function
      tail: .cfi_startproc
        nop
      by_tail: jmp *8(%rdi)
        .cfi_endproc
      .size tail, .-tail

      .section .rodata
      table: .long 8b-table, inside-table
      """;

  private Sources() {}
}
