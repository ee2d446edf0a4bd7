/*
 * The one site of the programs that need no more:
 *
 *   site   5-byte NOP over the end of a cache line; lea 1(%rdi),%rax; ret
 *   repl   lea 2(%rdi),%rax; ret       far away, so that a torn jump faults
 */
        .text
        .balign 4096, 0xcc
        .skip   62, 0xcc
        .globl  site
        .type   site, @function
site:
        .byte   0x0f, 0x1f, 0x44, 0x00, 0x00
        lea     1(%rdi), %rax
        ret
        .size   site, . - site
        .balign 4096, 0xcc

        .section fixture_repl, "ax", @progbits
        .balign 4096, 0xcc
        .skip   0x567, 0xcc
        .globl  repl
        .type   repl, @function
repl:
        lea     2(%rdi), %rax
        ret
        .size   repl, . - repl
        .balign 4096, 0xcc

        .section .note.GNU-stack, "", @progbits
