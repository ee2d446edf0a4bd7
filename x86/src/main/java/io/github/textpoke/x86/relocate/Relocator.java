package io.github.textpoke.x86.relocate;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.x86.relocate.OutOfLineCopy.Insertion;
import java.util.Map;

/**
 * Makes of one displaced instruction those that do the same elsewhere. What has the same effect
 * from any address is copied; what counts from its own end counts from the new one; a direct branch
 * becomes one with 32 bits, however short it was, so that the length of a copy does not depend on
 * where it stands. Everything else is refused by a rule.
 *
 * <p>Repeated string instructions, gathers and scatters are copied though they can be interrupted
 * half done: all that they have done so far is in registers (SDM vol. 2B, REP), so whoever is
 * interrupted in the copy goes on there, and whoever was interrupted at the old boundary may go on
 * at the new one. A site that <em>begins</em> with one is the planner's to refuse: there a new
 * instruction runs first.
 */
final class Relocator {
  private static final String ELSEWHERE = "choose a site that does not displace it";

  private static final CodeBytes JUMP = CodeBytes.of(0xe9);

  private final DisplacedCode code;
  private final Map<Long, Long> copied;

  /**
   * @param copied for what other copies hold, its absolute address, and that of its copy: jumps
   *     that lead there lead to the copy
   */
  Relocator(DisplacedCode code, Map<Long, Long> copied) {
    this.code = code;
    this.copied = copied;
  }

  /**
   * What stands for an instruction in the copy.
   *
   * @param parts one behind the other, at least one
   * @param goesOn whether control may come to what stands behind them
   */
  record Moved(ImmutableList<Part> parts, boolean goesOn) {}

  /**
   * Moves {@code old}, one of the displaced instructions.
   *
   * @throws PlanRefusedException by rule 7, 8, 14, 15 or 19 if it must stay where it is
   */
  Moved move(Instruction old) {
    return switch (old.flow()) {
      case NOP -> new Moved(ImmutableList.of(new Part.Fixed(old.bytes(), 0)), true);
      case NEXT -> {
        if (!Decoded.isBoostable(old.decoded())) {
          throw Immovable.refusal(code, old);
        }
        yield new Moved(ImmutableList.of(withOperand(old, old.bytes(), 0)), true);
      }
      case JUMP -> new Moved(ImmutableList.of(branch(old, prefixes(old).concat(JUMP))), false);
      case CONDITIONAL_JUMP -> {
        // 7x and 0f 8x name the condition by the same four bits.
        int condition = old.bytes().at(Decoded.branchOffset(old.decoded()) - 1) & 0x0f;
        CodeBytes opcode = CodeBytes.of(0x0f, 0x80 | condition);
        yield new Moved(ImmutableList.of(branch(old, prefixes(old).concat(opcode))), true);
      }
      case COUNTER_JUMP -> new Moved(counterJump(old), true);
      case INDIRECT_JUMP, RETURN -> {
        checkOperandSize(old);
        yield new Moved(ImmutableList.of(withOperand(old, old.bytes(), 0)), false);
      }
      case CALL -> call(old, callee(old));
      case INDIRECT_CALL -> {
        checkOperandSize(old);
        CodeBytes jump = new IndirectCall(code, old).asJump();
        yield call(old, withOperand(old, jump, Return.WIDTH));
      }
      case LANDING_PAD ->
          throw code.refusal(
              14,
              old,
              "endbr64 must stay: an indirect branch that leads there faults on anything else where"
                  + " indirect branch tracking is on",
              old.address() == code.start()
                  ? "use the instruction behind it, at 0x%x (+%d)"
                      .formatted(old.end(), old.length())
                  : ELSEWHERE);
      case SYSTEM_CALL, INTERRUPT, FAR, TRANSACTION, FAULT, BREAKPOINT ->
          throw Immovable.refusal(code, old);
    };
  }

  /**
   * Moves {@code old}, by which control leaves the function, and puts code before it; before a
   * conditional jump so that it is run if that is taken:
   *
   * <pre>
   *         jcc  behind, on the opposite condition
   *         the code
   *         jmp  target
   * behind:
   * </pre>
   *
   * @param address absolute address of the copy
   */
  Moved moveBehind(Instruction old, Insertion insertion, long address) {
    Moved alone = move(old);
    switch (old.flow()) {
      case RETURN, JUMP, INDIRECT_JUMP -> {
        return new Moved(
            ImmutableList.<Part>builder()
                .add(new Part.Fixed(insertion.at(address), 0))
                .addAll(alone.parts())
                .build(),
            false);
      }
      case CONDITIONAL_JUMP -> {
        CodeBytes inserted = insertion.at(address + Opcode.NEAR_CONDITIONAL_JUMP);
        // The lowest of the four bits that name a condition turns it round (SDM vol. 2A, Jcc).
        int opposite = (old.bytes().at(Decoded.branchOffset(old.decoded()) - 1) & 0x0f) ^ 1;
        CodeBytes over =
            CodeBytes.of(0x0f, 0x80 | opposite)
                .concat(Return.dword(inserted.length() + Opcode.NEAR_JUMP));
        return new Moved(
            ImmutableList.of(
                new Part.Fixed(over, 0), new Part.Fixed(inserted, 0), branch(old, JUMP)),
            true);
      }
      case NEXT,
          NOP,
          LANDING_PAD,
          COUNTER_JUMP,
          CALL,
          INDIRECT_CALL,
          FAR,
          SYSTEM_CALL,
          INTERRUPT,
          BREAKPOINT,
          TRANSACTION,
          FAULT ->
          throw new IllegalArgumentException("control does not leave by " + old);
    }
    throw new AssertionError(old.flow());
  }

  /**
   * loop, loope, loopne, jrcxz and jecxz have no form with 32 bits. The processor still counts and
   * decides (SDM vol. 2A, LOOP), with the prefixes it had, among them 67 for ecx:
   *
   * <pre>
   *         loop taken
   *         jmp  behind
   * taken:  jmp  target
   * behind:
   * </pre>
   */
  private ImmutableList<Part> counterJump(Instruction old) {
    CodeBytes shortened =
        old.bytes().with(Decoded.branchOffset(old.decoded()), CodeBytes.of(Opcode.SHORT_JUMP));
    return ImmutableList.of(
        new Part.Fixed(shortened, 0),
        new Part.Fixed(CodeBytes.of(0xeb, Opcode.NEAR_JUMP), 0),
        branch(old, JUMP));
  }

  /** A jump to where {@code old} leads; {@code opcode} goes before its displacement. */
  private Part branch(Instruction old, CodeBytes opcode) {
    checkOperandSize(old);
    long target = old.directTarget().orElseThrow();
    CodeBytes bytes = checkLength(old, opcode.concat(CodeBytes.filled(Integer.BYTES, 0)));
    if (!code.contains(target)) {
      return new Part.ToAddress(bytes, opcode.length(), copied.getOrDefault(target, target), 0);
    }
    if (!code.isBoundary(target)) {
      throw code.refusal(
          7, old, "it leads to 0x%x, inside a displaced instruction".formatted(target), ELSEWHERE);
    }
    return new Part.ToCopy(bytes, opcode.length(), target, 0);
  }

  /** The jump to what {@code old} calls. */
  private Part callee(Instruction old) {
    checkOperandSize(old);
    long target = old.directTarget().orElseThrow();
    if (target == old.end()) {
      throw code.refusal(15, old, "it calls what is behind it, to read its own address", ELSEWHERE);
    }
    // A call of the first byte is a recursion; other calls of it lead to the site as well.
    if (code.contains(target) && target != code.start()) {
      throw code.refusal(
          7, old, "it calls 0x%x, inside the displaced code".formatted(target), ELSEWHERE);
    }
    CodeBytes opcode = prefixes(old).concat(JUMP);
    CodeBytes bytes = checkLength(old, opcode.concat(CodeBytes.filled(Integer.BYTES, 0)));
    return new Part.ToAddress(bytes, opcode.length(), target, Return.WIDTH);
  }

  /** The return address that {@code old} pushes, and a jump to the callee. */
  private Moved call(Instruction old, Part callee) {
    if (!old.equals(code.last())) {
      throw code.refusal(
          8,
          old,
          "its return address 0x%x would lead into the displaced code".formatted(old.end()),
          "choose a site that the call is not in the middle of");
    }
    return new Moved(
        ImmutableList.<Part>builder().addAll(Return.push(old.end())).add(callee).build(), false);
  }

  /** {@code bytes}, which have the operand of {@code old} where {@code old} has it. */
  private Part withOperand(Instruction old, CodeBytes bytes, int pushed) {
    checkLength(old, bytes);
    if (old.ripTarget().isEmpty()) {
      return new Part.Fixed(bytes, pushed);
    }
    long target = old.ripTarget().getAsLong();
    if (code.contains(target)) {
      throw code.refusal(
          15,
          old,
          "its operand is 0x%x, in the displaced code, which changes".formatted(target),
          ELSEWHERE);
    }
    int hole = Decoded.ripOffset(old.decoded());
    CodeBytes zeroed = bytes.with(hole, CodeBytes.filled(Integer.BYTES, 0));
    return new Part.ToAddress(zeroed, hole, target, pushed);
  }

  private static CodeBytes prefixes(Instruction old) {
    return old.bytes().slice(0, Opcode.at(old));
  }

  /** 66 changes the width of the target on one vendor's processors: APM vol. 3, 1.2.7. */
  private void checkOperandSize(Instruction old) {
    if (Decoded.hasOperandSize(old.decoded())) {
      throw code.refusal(
          15, old, "a branch with a 66 prefix: what it does depends on the vendor", ELSEWHERE);
    }
  }

  private CodeBytes checkLength(Instruction old, CodeBytes moved) {
    if (moved.length() > Instruction.MAX_LENGTH) {
      throw code.refusal(
          8,
          old,
          "with its prefixes the copy would have %d bytes, and no instruction has more than 15"
              .formatted(moved.length()),
          ELSEWHERE);
    }
    return moved;
  }
}
