/*
 * The sites of `workers`, each a function of its own, entered at the site. Between functions stands
 * int3, so that a torn jump or call faults.
 *
 *   nop_K    5-byte NOP; lea 1(%rdi),%rax; ret      K: offset of the site in its 64-byte line
 *   call_K   call target_a; ret
 *   nop_page_B, call_page_B                         B: bytes of the site before the page boundary
 *   batch_site_0 + 64 * I, I below 1000             as nop_K
 *
 * target_a returns x + 1, target_b and repl x + 2. They lie in segments of their own, far away (see
 * build.sh), so that the displacements to target_a and target_b differ in every byte, and a mix of
 * both leads to int3 or to unmapped memory. `workers` checks this when it starts.
 */
        .macro function name
        .globl  \name
        .type   \name, @function
\name:
        .endm

        .macro nop_site name
        function \name
        .byte   0x0f, 0x1f, 0x44, 0x00, 0x00
        lea     1(%rdi), %rax
        ret
        .size   \name, . - \name
        .endm

        .macro call_site name
        function \name
        .byte   0xe8
        .long   target_a - . - 4
        ret
        .size   \name, . - \name
        .endm

        .section fixture_sites, "ax", @progbits
        .balign 4096, 0xcc

        .altmacro
        .macro at_line kind, prefix, offset
        .balign 128, 0xcc
        .if     \offset
        .skip   \offset, 0xcc
        .endif
        \kind\()_site \prefix\()_\offset
        .endm
        .macro at_page kind, before
        .balign 4096, 0xcc
        .skip   4096 - \before, 0xcc
        \kind\()_site \kind\()_page_\before
        .endm

        .set    offset, 0
        .rept   64
        at_line nop, nop, %offset
        .set    offset, offset + 1
        .endr
        .set    offset, 0
        .rept   64
        at_line call, call, %offset
        .set    offset, offset + 1
        .endr
        at_page nop, 1
        at_page nop, 2
        at_page nop, 3
        at_page nop, 4
        at_page call, 1
        at_page call, 2
        at_page call, 3
        at_page call, 4

        .balign 4096, 0xcc
        .globl  batch_site_0
        .type   batch_site_0, @function
batch_site_0:
        .rept   1000
        .balign 64, 0xcc
        .byte   0x0f, 0x1f, 0x44, 0x00, 0x00
        lea     1(%rdi), %rax
        ret
        .endr
        .size   batch_site_0, . - batch_site_0
        .balign 4096, 0xcc

        .section fixture_target_a, "ax", @progbits
        .balign 4096, 0xcc
        .skip   0x567, 0xcc
        function target_a
        lea     1(%rdi), %rax
        ret
        .size   target_a, . - target_a
        .balign 256, 0xcc
        .skip   0x75, 0xcc
        function repl
        lea     2(%rdi), %rax
        ret
        .size   repl, . - repl
        .balign 4096, 0xcc

        .section fixture_target_b, "ax", @progbits
        .balign 4096, 0xcc
        .skip   0xcbb, 0xcc
        function target_b
        lea     2(%rdi), %rax
        ret
        .size   target_b, . - target_b
        .balign 4096, 0xcc

        .section .note.GNU-stack, "", @progbits
