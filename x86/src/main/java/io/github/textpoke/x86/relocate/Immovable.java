package io.github.textpoke.x86.relocate;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Instruction;

/** Says why an instruction that can't be moved can't be moved. */
final class Immovable {
  private static final int LISTED = 15;
  private static final int NOT_BOOSTABLE = 8;

  private Immovable() {}

  /** The refusal of {@code old}, which {@link Relocator} does not move. */
  static PlanRefusedException refusal(DisplacedCode code, Instruction old) {
    String remedy = "choose a site that does not displace it";
    return switch (old.flow()) {
      case SYSTEM_CALL ->
          code.refusal(
              LISTED,
              old,
              "a thread that sleeps in this system call is sent back to its start when the kernel"
                  + " restarts it, and a system call is known by its address",
              remedy);
      case INTERRUPT ->
          code.refusal(
              LISTED, old, "a software interrupt: its handler reads the address behind it", remedy);
      case BREAKPOINT ->
          code.refusal(
              19,
              old,
              "a breakpoint stands there that is not ours: what is below it is not known",
              "remove it with the debugger or probe that set it, if it is not the program's own");
      case FAR -> code.refusal(LISTED, old, "a far branch, or a return from an interrupt", remedy);
      case TRANSACTION ->
          code.refusal(LISTED, old, "xbegin starts a transaction that other code ends", remedy);
      case FAULT ->
          code.refusal(LISTED, old, "it always faults, and its handler reads its address", remedy);
      case NEXT -> next(code, old, remedy);
      case NOP,
          LANDING_PAD,
          JUMP,
          CONDITIONAL_JUMP,
          COUNTER_JUMP,
          CALL,
          INDIRECT_JUMP,
          INDIRECT_CALL,
          RETURN ->
          throw new IllegalArgumentException("can be moved: " + old);
    };
  }

  private static PlanRefusedException next(DisplacedCode code, Instruction old, String remedy) {
    if (Decoded.blocksInterrupts(old.decoded())) {
      return code.refusal(
          LISTED, old, "it loads ss and delays traps until the next instruction has run", remedy);
    }
    if (Decoded.hasAddressSize(old.decoded())) {
      return code.refusal(
          NOT_BOOSTABLE, old, "it has a 67 prefix, and is not boosted (kernel: can_boost)", remedy);
    }
    String listed = listed(old);
    return listed.isEmpty()
        ? code.refusal(
            NOT_BOOSTABLE,
            old,
            "it is not among the instructions that may run elsewhere (kernel: can_boost)",
            remedy)
        : code.refusal(LISTED, old, listed, remedy);
  }

  /** What rule 15 lists, by opcode; empty where it is something else that is not boosted. */
  private static String listed(Instruction old) {
    CodeBytes bytes = old.bytes();
    int at = Opcode.at(old);
    return switch (bytes.at(at)) {
      case 0x6c, 0x6d, 0x6e, 0x6f, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef ->
          "input or output";
      case 0xfa, 0xfb -> "it switches interrupts";
      case 0xc6 -> "xabort ends a transaction";
      case 0x0f ->
          switch (bytes.at(at + 1)) {
            case 0x01 -> "a system instruction, or one that ends a transaction";
            case 0x1e, 0xae -> "it reads or changes the shadow stack";
            case 0x38 ->
                bytes.at(at + 2) == 0xf5 || bytes.at(at + 2) == 0xf6
                    ? "it changes the shadow stack"
                    : "";
            default -> "";
          };
      default -> "";
    };
  }
}
