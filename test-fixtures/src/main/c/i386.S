/*
 * i386: a 32-bit target, which is to be refused. Says that it is ready, then waits in pause.
 */
        .text
        .globl  _start
_start:
        movl    $4, %eax                /* write(1, line, length) */
        movl    $1, %ebx
        movl    $line, %ecx
        movl    $length, %edx
        int     $0x80
1:      movl    $29, %eax               /* pause() */
        int     $0x80
        jmp     1b

        .section .rodata
line:   .ascii  "ready\n"
        .set    length, . - line
        .section .note.GNU-stack, "", @progbits
