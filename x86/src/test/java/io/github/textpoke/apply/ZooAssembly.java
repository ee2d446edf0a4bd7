package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;

/**
 * Functions in assembly whose first bytes are hard to displace. Of each it is known whether it can
 * be, or which rule forbids it.
 */
final class ZooAssembly {
  /** In place of a rule: it can be displaced. */
  static final int MOVES = 0;

  /**
   * One function.
   *
   * @param rule that forbids to displace its first bytes, or {@link #MOVES}
   * @param body between the labels {@code name} and {@code name}'s end; the site is its start, or
   *     the label {@code at} if it has one
   * @param before what stands before it and belongs to no function
   */
  record Beast(String name, int rule, String before, String body) {
    boolean hasSite() {
      return body.contains("at:");
    }

    private String source() {
      return """
      %1$s
      .globl %2$s
      .hidden %2$s
      .type %2$s, @function
      %2$s: .cfi_startproc
      %3$s
      .cfi_endproc
      .size %2$s, .-%2$s
      """
          .formatted(before, name, body.replace("at:", name + ".at:").replace(';', '\n'));
    }
  }

  /** Those that count rcx, or ecx: prefix and opcode. */
  private static final ImmutableList<String> COUNTER_BRANCHES =
      ImmutableList.of("e0", "e1", "e2", "e3", "67 e0", "67 e1", "67 e2", "67 e3");

  /** Operands of each kind at {@code slot(%rip)}, of which no two are alike to a relocator. */
  private static final ImmutableList<String> RIP_RELATIVE =
      ImmutableList.of(
          "lea slot(%rip), %rsi",
          "mov slot(%rip), %rsi",
          "mov slot(%rip), %esi",
          "mov slot(%rip), %si",
          "mov slot(%rip), %sil",
          "mov slot+3(%rip), %r12",
          "mov %rsi, slot(%rip)",
          "mov %r15b, slot(%rip)",
          "movq $-7, slot(%rip)",
          "movw $0x1234, slot(%rip)",
          "movb $9, slot(%rip)",
          "cmpq $3, slot(%rip)",
          "cmpl $0x12345678, slot(%rip)",
          "testl $0x1010, slot(%rip)",
          "test %rsi, slot(%rip)",
          "add slot(%rip), %rsi",
          "adc %rsi, slot(%rip)",
          "subl $0x12345678, slot(%rip)",
          "sbbw $0x1234, slot(%rip)",
          "xorb $0x55, slot(%rip)",
          "lock incl slot(%rip)",
          "decq slot(%rip)",
          "negq slot(%rip)",
          "notl slot(%rip)",
          "shlq $3, slot(%rip)",
          "shrl slot(%rip)",
          "sarq %cl, slot(%rip)",
          "imul slot(%rip), %rsi",
          "imul $5, slot(%rip), %rsi",
          "imul $0x12345, slot(%rip), %rsi",
          "mulq slot(%rip)",
          "movzbl slot(%rip), %esi",
          "movswq slot(%rip), %rsi",
          "movslq slot(%rip), %rsi",
          "cmovb slot(%rip), %rsi",
          "setl slot(%rip)",
          "xchg %rsi, slot(%rip)",
          "lock xadd %rsi, slot(%rip)",
          "lock cmpxchg %rsi, slot(%rip)",
          "btq $5, slot(%rip)",
          "btsl $7, slot(%rip)",
          "shld $4, %rsi, slot(%rip)",
          "bsr slot(%rip), %rsi",
          "popcnt slot(%rip), %rsi",
          "pushq slot(%rip); pop %rsi",
          "call *helper_pointer(%rip)",
          "nopl slot(%rip)",
          "prefetcht0 slot(%rip)",
          "movsd slot(%rip), %xmm0",
          "movss %xmm1, slot(%rip)",
          "addsd slot(%rip), %xmm1",
          "ucomisd slot(%rip), %xmm1",
          "cvtsi2sdq slot(%rip), %xmm0",
          "movups slot(%rip), %xmm2",
          "movaps %xmm3, slot(%rip)",
          "pxor slot(%rip), %xmm1",
          "pshufd $0x1b, slot(%rip), %xmm0",
          "pinsrw $3, slot(%rip), %xmm1");

  private final ImmutableList.Builder<Beast> beasts = ImmutableList.builder();

  private ZooAssembly() {}

  static ImmutableList<Beast> beasts() {
    ZooAssembly zoo = new ZooAssembly();
    zoo.addBranches();
    zoo.addOperands();
    zoo.addLoops();
    zoo.addShortOnes();
    zoo.addCalls();
    zoo.addOthers();
    return zoo.beasts.build();
  }

  static String source(ImmutableList<Beast> beasts) {
    StringBuilder source =
        new StringBuilder(
            """
            .data
            .balign 16
            slot: .quad 0x0123456789abcdef, 0x40091eb851eb851f
            helper_pointer: .quad helper
            .text
            .type helper, @function
            helper: .cfi_startproc
            lea 0x21(%rax,%rcx), %rax
            ret
            .cfi_endproc
            .size helper, .-helper
            """);
    beasts.forEach(beast -> source.append(beast.source()));
    return source.append(".section .note.GNU-stack, \"\", @progbits\n").toString();
  }

  private void add(String name, int rule, String body) {
    beasts.add(new Beast(name, rule, "", body));
  }

  private void addBranches() {
    for (int condition = 0; condition < 16; condition++) {
      addBranch("%02x".formatted(0x70 | condition));
      addNear(condition);
    }
    COUNTER_BRANCHES.forEach(this::addBranch);
    addBranch("2e 74"); // not taken, says the prefix
    addBranch("3e 75"); // taken
    addBranch("f2 72"); // bnd
    String jump = "lea 5(%rax), %rax; .byte 0xeb, ";
    add("eb_forward", MOVES, jump + "2f-.-1; int3; 2: lea 7(%rax), %rax; ret");
    beasts.add(new Beast("eb_backward", MOVES, "2: lea 7(%rax), %rax\nret", jump + "2b-.-1; int3"));
    add("eb_first", 9, ".byte 0xeb, 2f-.-1; nop; nop; nop; 2: ret");
    add("eb_into", 7, ".byte 0xeb, 0; lea 5(%rax), %rax; ret");
  }

  private void addBranch(String hex) {
    String name = "short_" + hex.replace(' ', '_');
    String opcode = ".byte 0x" + hex.replace(" ", ", 0x") + ", ";
    String step = "lea 3(%rax), %rax";
    String there = "2: lea 7(%rax), %rax; ret";
    String out = there.replace(';', '\n');
    add(name + "_forward", MOVES, opcode + "2f-.-1; " + step + "; ret; " + there);
    add(name + "_forward_2", MOVES, step + "; " + opcode + "2f-.-1; ret; " + there);
    beasts.add(new Beast(name + "_backward", MOVES, out, opcode + "2b-.-1; " + step + "; ret"));
    beasts.add(new Beast(name + "_backward_2", MOVES, out, step + "; " + opcode + "2b-.-1; ret"));
    add(name + "_into_next", 7, opcode + "0; " + step + "; ret");
    add(name + "_into", 7, opcode + "2f-.-1; xchg %eax, %ebx; 2: " + step + "; ret");
  }

  private void addNear(int condition) {
    String opcode = ".byte 0x0f, 0x%02x; .long ".formatted(0x80 | condition);
    String there = "; ret; 2: lea 7(%rax), %rax; ret";
    add("near_%x".formatted(condition), MOVES, opcode + "2f-.-4" + there);
    add("near_%x_2".formatted(condition), MOVES, "xchg %eax, %ebx; " + opcode + "2f-.-4" + there);
  }

  private void addOperands() {
    // What the slots hold at the end is in registers, and they are as they were.
    String end =
        """
        ; mov slot(%rip), %r9
        mov slot+8(%rip), %r11
        movabs $0x0123456789abcdef, %r10
        mov %r10, slot(%rip)
        movabs $0x40091eb851eb851f, %r10
        mov %r10, slot+8(%rip)
        ret
        """;
    for (int i = 0; i < RIP_RELATIVE.size(); i++) {
      String form = RIP_RELATIVE.get(i);
      String name = "rip_%d_%s".formatted(i, form.replace("lock ", "lock_").replaceAll(" .*", ""));
      add(name, MOVES, form + end);
      add(name + "_2", MOVES, "xchg %eax, %ebx; " + form + end);
    }
    add("rip_x87", 8, "nop; fldl slot(%rip); fstpl -8(%rsp); ret");
    add("rip_jump", MOVES, "nop; jmp *helper_pointer(%rip)");
    add("register_jump", 7, "nop; nop; nop; nop; nop; jmp *%rdi");
    add("rip_own_code", 15, "nop; lea .+2(%rip), %rsi; ret");
    add("rip_own_code_first", 15, "nop; 2: lea 2b(%rip), %rsi; ret");
    add("rip_behind", MOVES, "nop; mov 2f(%rip), %esi; 2: ret; nop; nop; nop");
  }

  private void addLoops() {
    add("loop_0_inside", MOVES, "shr $1, %ecx; jnz loop_0_inside; nop; ret");
    add("loop_0", MOVES, "shr $1, %ecx; lea 1(%rax), %rax; jrcxz 2f; jmp loop_0; 2: ret");
    add("loop_1", 7, "cld; 1: shr $1, %ecx; lea 1(%rax), %rax; jrcxz 2f; jmp 1b; 2: ret");
    add("loop_2", 7, "xor %eax, %eax; 1: add %rdi, %rax; shr $1, %ecx; jnz 1b; ret");
    add("loop_3", 7, "xor %rax, %rax; 1: add %rdi, %rax; shr $1, %ecx; jnz 1b; ret");
    add("loop_4", 7, "lea 1(%rdi), %rax; 1: add %rdi, %rax; shr $1, %ecx; jnz 1b; ret");
    add("loop_4_at_1", 7, "lea 1(%rdi), %rax; 1: shr $1, %ecx; jnz 1b; ret");
    add(
        "loop_5",
        MOVES,
        "xor %eax, %eax; and $7, %ecx; 1: add %rdi, %rax; shr $1, %ecx; jnz 1b; ret");
    add("loop_e2", 7, "and $7, %ecx; 1: loop 1b; ret");
    add("loop_entered_by_jump", 9, "jmp 2f; 1: add %rdi, %rax; 2: shr $1, %ecx; jnz 1b; ret");
  }

  /** They stand next to each other. */
  private void addShortOnes() {
    add("size_1", 9, "ret");
    add("size_2", 9, "nop; ret");
    add("size_2_rep_ret", 9, ".byte 0xf3, 0xc3");
    add("size_3", 9, "xor %eax, %eax; ret");
    add("size_3_ret", 9, "ret $8");
    add("size_4", 9, "mov %rdi, %rax; ret");
    add("size_5", MOVES, "lea 1(%rdi), %rax; ret");
    add("size_5_tail", MOVES, "jmp helper + 0x0");
    add("size_5_nops", MOVES, "nop; nop; nop; nop; ret");
    add("size_6", MOVES, "mov $1, %eax; ret");
    add("size_6_small", MOVES, "xor %eax, %eax; mov %rdi, %rax; ret");
    add("size_7_ret_first", 9, "ret; mov %rdi, %rax; mov %rsi, %rax");
    add("endbr64_alone", 9, "endbr64; ret");
    add("endbr64_8", 9, "endbr64; mov %rdi, %rax; ret");
    add("endbr64_9", MOVES, "endbr64; lea 1(%rdi), %rax; ret");
    add("endbr64_behind", 14, "nop; endbr64; ret");
  }

  private void addCalls() {
    add("call_last", MOVES, "push %rbx; call helper; pop %rbx; ret");
    add("call_last_of_three", MOVES, "push %rbx; mov %edi, %edi; call helper; pop %rbx; ret");
    add("call_pointer", MOVES, "push %rbx; call *helper_pointer(%rip); pop %rbx; ret");
    add("call_first", MOVES, "call helper; ret");
    add("call_register_first", 8, "call *%rdi; nop; nop; nop; ret");
    add("call_next_to_pop", 15, "nop; call 2f; 2: pop %rsi; sub %rsi, %rsi; ret");
    add("call_itself", MOVES, "shr $1, %ecx; jz 2f; call call_itself; 2: lea 1(%rax), %rax; ret");
  }

  private void addOthers() {
    add("system_call", 15, "nop; syscall; nop; nop; ret");
    add(
        "system_call_behind",
        MOVES,
        "mov $39, %eax; syscall; xor %ecx, %ecx; xor %r11d, %r11d; ret");
    add("breakpoint", 19, "nop; int3; nop; nop; nop; ret");
    add("undefined", 15, "nop; nop; ud2; nop; ret");
    add("string_first", 15, "rep movsb; nop; nop; nop; ret");
    add("string_second", MOVES, "xor %ecx, %ecx; rep movsb; mov %rdi, %rax; ret");
    add("flags", MOVES, "cmc; setc %sil; pushfq; pop %rdi; ret");
    add(
        "stack",
        MOVES,
        "push %rbx; sub $16, %rsp; mov %rdi, (%rsp); pop %rax; pop %rcx; pop %rbx; ret");
    add("enter_and_leave", MOVES, "push %rbp; mov %rsp, %rbp; sub $0x20, %rsp; leave; ret");
    StringBuilder zone = new StringBuilder();
    StringBuilder check = new StringBuilder();
    for (int at = 8; at <= 128; at += 8) {
      zone.append("lea %d(%%rdi), %%r9; mov %%r9, -%d(%%rsp); ".formatted(at, at));
      check.append("; rol $5, %%rax; xor -%d(%%rsp), %%rax".formatted(at));
    }
    add(
        "red_zone",
        MOVES,
        zone + "at: inc %ecx; lea 3(%rsi), %rax; cmp %edi, %esi" + check + "; ret");
    add("entered_by_other", 7, "nop; xor %eax, %eax; nop; nop; nop; ret");
    add("other", MOVES, "test %rdi, %rdi; lea 1(%rdi), %rax; jne entered_by_other+1; ret");
    add("entered_by_table", 7, "nop; nop; xor %eax, %eax; nop; nop; ret");
    add(
        "other_by_table",
        MOVES,
        """
        cmp $1, %edi
        ja 8f
        lea 7f(%rip), %rdx
        movslq (%rdx,%rdi,4), %rax
        add %rdx, %rax
        jmp *%rax
        8: ret
        .pushsection .rodata
        .balign 4
        7: .long 8b-7b, entered_by_table+2-7b
        .popsection
        """);
    add("named_inside", 7, "nop; nop; .hidden inner; .globl inner; inner: nop; nop; nop; ret");
  }
}
