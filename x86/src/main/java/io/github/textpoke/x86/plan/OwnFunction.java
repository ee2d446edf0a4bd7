package io.github.textpoke.x86.plan;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.x86.flow.FunctionCode;
import io.github.textpoke.x86.flow.JumpTables;
import java.util.OptionalLong;
import java.util.function.LongPredicate;

/** What the instructions of a function itself do to a run of some of them. */
final class OwnFunction {
  private final EnteredRun run;
  private final FunctionCode function;
  private final JumpTables tables;
  private final LongPredicate isStart;
  private int tableEntries;

  /** Index of the first jump to a pointer in memory; -1 where there is none. */
  private int pointerJump = -1;

  /**
   * @param isStart whether a function begins at a link-time address
   */
  OwnFunction(EnteredRun run, JumpTables tables, LongPredicate isStart) {
    this.isStart = isStart;
    this.run = run;
    this.function = run.function();
    this.tables = tables;
  }

  /** Entries of jump tables that were looked at. */
  int tableEntries() {
    return tableEntries;
  }

  /**
   * Refuses a run that the function may enter behind its first byte.
   *
   * @throws PlanRefusedException by rule 7 or 8
   */
  void check() {
    for (int i = 0; i < function.count(); i++) {
      checkFlow(i);
      if (Decoded.branchWidth(function.decoded(i)) != 0) {
        checkTarget(i, function.branchTarget(i), "in the same function");
        checkNoRetpoline(i);
      }
      if (Decoded.ripWidth(function.decoded(i)) != 0 && run.isInside(function.ripTarget(i))) {
        throw run.entered(
            function.address(i),
            text(i),
            function.ripTarget(i),
            "as an operand: it takes an address there, or reads what is there");
      }
    }
    for (Site ours : run.reading().code().originals()) {
      checkPatchOfOurs(ours);
    }
  }

  private void checkTarget(int index, long target, String how) {
    if (run.isEnteredFrom(target)) {
      throw run.entered(function.address(index), text(index), target, how);
    }
  }

  /** One stands in the function itself, or is jumped to; calling one is calling a function. */
  private void checkNoRetpoline(int index) {
    boolean inside = Decoded.flow(function.decoded(index)) == Flow.CALL;
    long place = inside ? function.address(index) : function.branchTarget(index);
    if (tables.isRetpoline(place)) {
      throw run.unknown(
          function.address(index), text(index), "a retpoline jumps to where a register says");
    }
  }

  private void checkFlow(int index) {
    Flow flow = Decoded.flow(function.decoded(index));
    switch (flow) {
      case INDIRECT_JUMP -> checkIndirect(index);
      case FAR ->
          throw run.unknown(
              function.address(index), text(index), "a far branch leads where code can't show");
      case LANDING_PAD -> {
        if (run.isInside(function.address(index))) {
          throw run.enteredAt(
              function.address(index), "it marks a target of indirect branches (endbr64)");
        }
      }
      case CALL, INDIRECT_CALL -> checkReturn(index);
      case NEXT,
          NOP,
          JUMP,
          CONDITIONAL_JUMP,
          COUNTER_JUMP,
          RETURN,
          SYSTEM_CALL,
          INTERRUPT,
          BREAKPOINT,
          TRANSACTION,
          FAULT -> {}
    }
  }

  private void checkIndirect(int index) {
    if (tables.isToPointer(function, index)) {
      checkPointers(index);
      return;
    }
    tables
        .resolve(
            function,
            index,
            target -> {
              tableEntries++;
              checkTarget(index, target, "by its jump table");
            })
        .ifPresent(
            reason -> {
              throw run.unknown(
                  function.address(index), text(index), "an indirect jump: " + reason);
            });
  }

  /**
   * A jump to a pointer in memory: a call at the tail, most often. Pointers that the loader writes,
   * and addresses that code takes, are looked at anyway; so what is left is a pointer that this
   * function has computed.
   */
  private void checkPointers(int index) {
    if (pointerJump >= 0) {
      return;
    }
    pointerJump = index;
    tables
        .ownPointers(
            function,
            isStart,
            target -> {
              tableEntries++;
              checkTarget(index, target, "if it goes by a table whose address the function takes");
            })
        .ifPresent(
            reason -> {
              throw run.unknown(
                  function.address(index),
                  text(index),
                  "an indirect jump to a pointer in memory, which the function may have computed: "
                      + reason);
            });
  }

  /**
   * Refuses a function that jumps to a pointer in memory and that the code at {@code source} jumps
   * into: they may be parts of one function, and one compute where the other jumps to.
   *
   * @param source absolute address
   * @throws PlanRefusedException by rule 7
   */
  void checkIsNoPart(long source) {
    if (pointerJump >= 0) {
      throw run.unknown(
          function.address(pointerJump),
          text(pointerJump),
          "an indirect jump to a pointer in memory, which the code at 0x%x may have computed, since it"
                  .formatted(source)
              + " jumps behind the start of "
              + run.name());
    }
  }

  private void checkReturn(int index) {
    long behind = function.address(index) + Decoded.length(function.decoded(index));
    if (run.isInside(behind)) {
      throw Rules.DISPLACED_CALL.refusal(
          function.address(index) + run.bias(),
          text(index),
          "it would return to 0x%x, behind the first byte of the instructions that would be"
                  .formatted(behind + run.bias())
              + " displaced",
          "choose a site from 0x%x on".formatted(behind + run.bias()));
    }
  }

  /** A patch that stands in the function: its own branch counts as well as that of the old code. */
  private void checkPatchOfOurs(Site ours) {
    CodeRegion code = run.reading().code();
    int at = code.offsetOf(ours.address());
    CodeBytes now = code.bytes().slice(at, at + ours.length());
    CodeRegion patch = CodeRegion.of("patch", ours.address(), now);
    long decoded = run.decoder().decode(patch, 0);
    OptionalLong target =
        Decoded.isDecoded(decoded)
            ? Instruction.of(patch, 0, decoded).directTarget()
            : OptionalLong.empty();
    if (target.isPresent() && run.isEnteredFrom(target.getAsLong() - run.bias())) {
      throw run.entered(
          ours.address() - run.bias(),
          Reading.text(run.decoder(), patch, 0),
          target.getAsLong() - run.bias(),
          "by our own patch");
    }
    boolean inside =
        Long.compareUnsigned(ours.address(), run.absoluteEnd()) < 0
            && Long.compareUnsigned(ours.end(), run.from() + run.bias()) > 0;
    if (inside && ours.address() != run.from() + run.bias()) {
      throw run.enteredAt(ours.address() - run.bias(), "a patch of ours stands there");
    }
  }

  private String text(int index) {
    return run.textAt(function.address(index));
  }
}
