package io.github.textpoke.x86.detour;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.CodeChangedException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.apply.CodePatch;
import io.github.textpoke.apply.TurnSwitch;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.DisplacingPlan;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.util.Arrays;
import java.util.List;

/**
 * Functions of one object whose calls are led through gates, where a {@link
 * io.github.textpoke.apply.Turn} chooses between what was there before and a replacement. Applying
 * the plan alone changes nothing but the way; what runs changes with the turn, for all at once.
 * Immutable and thread-safe.
 *
 * @param plan leads each function's entry to its gate
 * @param bypass makes the entries lead on to what the plan replaces, past the gates
 * @param code of the gates, for the address that was asked for; to be written before the plan is
 *     applied
 * @param functions in the order that was asked for
 */
public record Gates(
    PatchPlan plan, PatchPlan bypass, CodeBytes code, ImmutableList<Function> functions) {
  private static final int COPY = EntryStub.SIZE;
  private static final int GATE = align(COPY + OutOfLineCopy.maxSize(Entry.JUMP_LENGTH));

  /** Bytes of code that each function needs. */
  public static final int SIZE = align(GATE + GateCode.SIZE);

  /**
   * What is asked for.
   *
   * @param site {@code 0xADDR} or {@code [object:]symbol[#n]}
   * @param replacement absolute address of the code that runs in its place
   */
  public record Way(String site, long replacement) {}

  /**
   * A function that is led.
   *
   * @param name the function's, with its object's
   * @param address absolute, of its entry
   * @param code the function, as it stood when this was planned
   * @param object that holds it
   * @param original absolute address at which it runs as it was before
   * @param replacement absolute address of the code that runs in its place
   * @param gate the code that chooses
   */
  public record Function(
      String name,
      long address,
      CodeRegion code,
      ImageInMemory object,
      long original,
      long replacement,
      TurnSwitch.Gate gate) {}

  private static int align(int size) {
    return size + CodePatch.ALIGNMENT - 1 & -CodePatch.ALIGNMENT;
  }

  /**
   * What of a function runs out of line, with the byte before, which nobody runs: who goes on at
   * the copy's start is in the function.
   *
   * @param at absolute address of the {@link #SIZE} bytes that are the function's
   */
  public static Extent copy(long at) {
    return new Extent(at + COPY - 1, GATE - COPY + 1);
  }

  /**
   * A gate that stands.
   *
   * @param at absolute address of the {@link #SIZE} bytes that are the function's
   * @param code that stands there
   * @param turn absolute address of the turn
   * @param original absolute address of what runs while the turn is old
   * @param replacement absolute address of what runs while it is new
   */
  public static TurnSwitch.Gate gate(
      long at, CodeBytes code, long turn, long original, long replacement) {
    CodeBytes found = code.slice(GATE, GATE + GateCode.SIZE);
    for (boolean sleeps : new boolean[] {true, false}) {
      GateCode gate = GateCode.of(at + GATE, turn, original, replacement, sleeps);
      if (gate.bytes().equals(found)) {
        return gate.gate();
      }
    }
    throw new CodeChangedException(
        at + GATE,
        GateCode.of(at + GATE, turn, original, replacement, true).bytes(),
        found,
        Outcome.UNTOUCHED);
  }

  /**
   * Makes them.
   *
   * @param at absolute address of {@link #SIZE} bytes for each, in reach of all
   * @throws PlanRefusedException if one can't be led
   */
  static Gates of(
      X86Planner planner, List<Entry> entries, List<Way> ways, long at, long turn, boolean sleeps) {
    ImmutableList.Builder<PatchPlan> plans = ImmutableList.builder();
    ImmutableList.Builder<Poke> bypasses = ImmutableList.builder();
    ImmutableList.Builder<Function> functions = ImmutableList.builder();
    byte[] code = new byte[entries.size() * SIZE];
    Arrays.fill(code, (byte) X86Planner.INT3);
    for (int i = 0; i < entries.size(); i++) {
      Entry entry = entries.get(i);
      long stub = at + (long) i * SIZE;
      CodeBytes copy = CodeBytes.EMPTY;
      long original;
      if (entry.jump().isPresent()) {
        Entry.OwnJump jump = entry.jump().get();
        original = jump.target();
        plans.add(planner.replace(jump.code(), jump.code().address(), Assembly.jmp(stub)));
      } else {
        DisplacingPlan displacing =
            planner.displace(entry.code(), entry.site(), stub, stub + COPY, entry.entrances());
        original = stub + COPY;
        copy = displacing.copy().bytes();
        plans.add(displacing.plan());
      }
      long replacement = ways.get(i).replacement();
      GateCode gate = GateCode.of(stub + GATE, turn, original, replacement, sleeps);
      CodeBytes entryStub = EntryStub.bytes(stub, stub + GATE);
      bypasses.addAll(EntryStub.bypass(planner, stub, entryStub, original).pokes());
      entryStub.concat(copy).copyTo(0, code, i * SIZE, COPY + copy.length());
      gate.bytes().copyTo(0, code, i * SIZE + GATE, GateCode.SIZE);
      functions.add(
          new Function(
              entry.code().name(),
              entry.code().address(),
              entry.code(),
              entry.object(),
              original,
              replacement,
              gate.gate()));
    }
    return new Gates(
        planner.batch(plans.build()),
        PatchPlan.of(X86Planner.INT3, bypasses.build()),
        CodeBytes.copyOf(code, 0, code.length),
        functions.build());
  }
}
