package io.github.textpoke.x86.plan;

import io.github.textpoke.PatchException.PlanRefusedException;
import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * The planner's rules. A refusal names one by its number. The README's table is {@link #table}.
 * Sources: SDM is Intel's Software Developer's Manual, APM is AMD's Architecture Programmer's
 * Manual, file names are of the Linux kernel.
 */
public enum Rules {
  /** The site is a boundary. */
  BOUNDARY(
      1,
      "The site is an instruction boundary, found by decoding from the start of the function with"
          + " our own patches taken back; no byte before it is unknown or a foreign breakpoint, and"
          + " no known branch or entry point leads inside it.",
      "kprobes/core.c can_probe; kprobes/opt.c can_optimize",
      "X86Planner"),
  /** Same length, exact bytes. */
  SAME_LENGTH(
      2,
      "The plan holds the exact old bytes and as many new ones, and they differ: one instruction"
          + " for one, or one jump for several.",
      "alternative.c __smp_text_poke_batch_add",
      "X86Planner, Poke"),
  /** How a short replacement is filled up. */
  PADDING(
      3,
      "A short replacement is padded inside the instruction, or by int3 behind one that never goes"
          + " on.",
      "alternative.c __smp_text_poke_batch_add; SDM vol. 2 2.1.1",
      "Assembly, X86Planner"),
  /** What a thread does while the breakpoint stands. */
  WINDOW(
      4,
      "A thread that meets the breakpoint waits and then runs the site again, or goes on in the copy"
          + " of what is displaced, so nothing is emulated; the new bytes must still decode.",
      "alternative.c smp_text_poke_int3_handler, which emulates instead",
      "X86Planner"),
  /** NOPs by decoding. */
  NOP_BY_DECODING(
      5,
      "A NOP is recognised by decoding, whatever its encoding.",
      "uprobes.c, nop5 review (0f 1f /0 of any form)",
      "InstructionDecoder"),
  /** Batches. */
  BATCH(
      6,
      "Sites of a batch are sorted, and no two share a byte; a new branch of the batch leads inside"
          + " none of them, and no copy lies there.",
      "alternative.c, which accepts equal addresses",
      "X86Planner, PokeProtocol"),
  /** Several instructions. */
  DISPLACING(
      7,
      "Several instructions are displaced by a jump alone, and only where nobody enters them behind"
          + " the first byte: in the whole object no branch, jump table, pointer, landing pad or"
          + " symbol leads there, and no patch of ours stands there; a function that leads there by a"
          + " jump near its entry is displaced with it. Any other replacement is no longer than the"
          + " instruction.",
      "kprobes/opt.c can_optimize",
      "X86Planner, Entrances"),
  /** Displaced calls. */
  DISPLACED_CALL(
      8,
      "What is displaced can run elsewhere. A call is the last of it, since its return address would"
          + " lead into the site; its copy pushes that address and jumps, so it stays where there are"
          + " shadow stacks.",
      "kprobes/opt.c copy_optimized_instructions; kprobes/core.c can_boost; SDM vol. 1 17.1",
      "OutOfLineCopy, Entrances; X86Planner, told of shadow stacks"),
  /** Room. */
  ROOM(
      9,
      "The site ends where the function does, or before, and no thread is made to run over the end.",
      "kprobes/opt.c can_optimize",
      "X86Planner, OutOfLineCopy"),
  /** Quiescence. */
  QUIESCENCE(
      10,
      "No thread stands inside of a site of several instructions when its tail is written: each"
          + " boundary has a breakpoint and an address in the copy, and the site is evacuated.",
      "kprobes/opt.c kprobe_optimizer, synchronize_rcu_tasks",
      "X86Planner, PokeProtocol, Verifier"),
  /** No boundaries in the new code. */
  INTERIOR(
      11,
      "The new bytes have no boundary behind the first byte at which a thread could stand when they"
          + " are taken back; where displaced instructions are put back, each has its copy.",
      "uprobes.c, nop10 (commit 554ba38456da)",
      "Assembly, X86Planner, PokeProtocol"),
  /** The red zone. */
  RED_ZONE(
      12,
      "A call stands only where a call stood, or at the function's entry: elsewhere its return"
          + " address would overwrite the red zone.",
      "System V ABI 3.2.2; uprobes.c, nop10 (commit 554ba38456da)",
      "X86Planner"),
  /** Displacements. */
  REACH(
      13,
      "Displacements fit 32 bits, signed, counted from where the instruction stands.",
      "kprobes/core.c __copy_instruction",
      "Assembly, OutOfLineCopy"),
  /** ENDBR64. */
  LANDING_PAD(
      14,
      "ENDBR64 is never overwritten, nor displaced; the site is behind it.",
      "kprobes/core.c arch_adjust_kprobe_addr",
      "X86Planner, OutOfLineCopy"),
  /** Instructions that can't be replaced, or placed. */
  SPECIAL(
      15,
      "Neither old nor new is a system call or software interrupt (a restarted call begins two"
          + " bytes before its end), XBEGIN, or one that can be interrupted half done (rep, gather);"
          + " the site is not in the shadow of mov ss or pop ss, and no far branch is placed."
          + " Nothing displaced is any of these, but for one behind the first that can be interrupted"
          + " half done; nor does it load ss, always fault, do input or output, or name its own"
          + " bytes.",
      "uprobes.c; kprobes/core.c prepare_emulation; signal.c arch_do_signal_or_restart;"
          + " SDM vol. 3 6.8.3",
      "X86Planner, OutOfLineCopy"),
  /** Restartable sequences. */
  RSEQ(
      16,
      "No byte of the site is in a restartable sequence or in the 4 bytes before an abort handler.",
      "rseq.c rseq_get_rseq_cs, rseq_ip_fixup",
      "X86Planner, given RseqSections; Entrances"),
  /** Classes of site. */
  SITE_CLASS(
      17,
      "A site may cross a line or a page: all are poked by int3 and core syncs, never by a single"
          + " store, and a write never crosses a page.",
      "APM vol. 2 7.6.1",
      "SiteClass, PokeProtocol"),
  /** Private mappings only. */
  PRIVATE_ONLY(
      18,
      "The code is mapped private: a write to a shared mapping would change the file and other"
          + " processes.",
      "mm/gup.c check_vma_flags",
      "X86Planner, and the applier's preflight"),
  /** Breakpoints. */
  BREAKPOINTS(
      19,
      "A breakpoint that is not ours is never overwritten; one of ours is placed by arming, with an"
          + " explicit trap action.",
      "alternative.c smp_text_poke_batch_finish",
      "X86Planner"),
  /** Symbols. */
  SYMBOLS(
      20,
      "A symbol is named by build-id, name and position among equals, and is unique.",
      "Documentation/livepatch",
      "the symbol resolver"),
  /** Return override. */
  RETURN_OVERRIDE(
      21,
      "A return address is not edited while there is a shadow stack.",
      "uprobes.c",
      "nothing overrides returns yet"),
  /** Trampolines. */
  TRAMPOLINES(
      22,
      "An out-of-line copy lies within 2 GiB of the site and outside of the function, and is never"
          + " freed without proof that no thread is in it.",
      "uprobes.c, nop5",
      "X86Planner; CodeMemory, by the ledger"),
  /** Undo. */
  UNDO(
      23,
      "A plan holds what undoes it, from every step.",
      "uprobes.c, error path of int3_update",
      "PatchPlan, PokeProtocol");

  private final int number;
  private final String sentence;
  private final String source;
  private final String enforcedBy;

  Rules(int number, String sentence, String source, String enforcedBy) {
    this.number = number;
    this.sentence = sentence;
    this.source = source;
    this.enforcedBy = enforcedBy;
  }

  /** The number that a refusal names. */
  public int number() {
    return number;
  }

  /** The rule. */
  public String sentence() {
    return sentence;
  }

  /** Where it comes from. */
  public String source() {
    return source;
  }

  /** Who enforces it. */
  public String enforcedBy() {
    return enforcedBy;
  }

  /** All rules as a table in Markdown. */
  public static String table() {
    return Arrays.stream(values())
        .map(
            rule ->
                "| %d | %s | %s | %s |%n"
                    .formatted(rule.number, rule.sentence, rule.source, rule.enforcedBy)
                    .replace(System.lineSeparator(), "\n"))
        .collect(
            Collectors.joining(
                "", "| rule | what | source | enforced by |\n|---|---|---|---|\n", ""));
  }

  /**
   * A refusal by this rule.
   *
   * @param address absolute address of the offending instruction
   * @param text its disassembly or bytes
   * @param reason how the rule is broken
   * @param remedy what the user can do
   */
  PlanRefusedException refusal(long address, String text, String reason, String remedy) {
    return new PlanRefusedException(number, address, text, reason, remedy);
  }
}
