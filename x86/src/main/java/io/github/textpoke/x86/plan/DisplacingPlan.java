package io.github.textpoke.x86.plan;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Strings;
import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Disassembly;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.PlanTable;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import io.github.textpoke.x86.relocate.OutOfLineCopy.Stretch;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A jump over displaced instructions, or a breakpoint that stays on one, and the out-of-line copy
 * in which they go on to be run; with it, jumps over the entries of its {@linkplain Companion
 * companions}, each with a copy of its own. Immutable and thread-safe.
 *
 * <ol>
 *   <li>Assumes that the copy's bytes stand, executable, at the copy's address before the plan is
 *       applied. The plan does not write them: it sends threads there.
 *   <li>Assumes that they stay there as long as the process does, also when the plan is taken back:
 *       a thread may be in the copy for as long as it likes (rule 22).
 *   <li>Guarantees that who calls the copy, or jumps to it, runs the old code from the site on.
 * </ol>
 *
 * @param plan of one poke, and one more for each companion; they displace, unless the site's first
 *     instruction has room for the jump: then it is that of {@link X86Planner#replace}
 * @param copy of all the instructions that the jump overwrites
 * @param unentered that nobody enters them behind the first byte, but companions; empty where there
 *     is one instruction
 * @param companions whose entries the plan displaces as well; their copies stand behind the first
 */
public record DisplacingPlan(
    PatchPlan plan,
    OutOfLineCopy copy,
    Optional<Entrances.Unentered> unentered,
    ImmutableList<Companion> companions) {
  private static final String GAP = "  ";
  private static final int ALIGNMENT = 16;

  /** Checks that the plan sends threads to the copies of what it displaces. */
  public DisplacingPlan {
    checkArgument(
        plan.pokes().size() == 1 + companions.size(),
        "a plan of %s pokes, with %s companions",
        plan.pokes().size(),
        companions.size());
    checkLeadsTo(copy, plan, unentered);
    for (Companion companion : companions) {
      checkLeadsTo(companion.copy(), plan, Optional.of(companion.unentered()));
    }
  }

  /** One without companions. */
  public DisplacingPlan(
      PatchPlan plan, OutOfLineCopy copy, Optional<Entrances.Unentered> unentered) {
    this(plan, copy, unentered, ImmutableList.of());
  }

  private static void checkLeadsTo(
      OutOfLineCopy copy, PatchPlan plan, Optional<Entrances.Unentered> unentered) {
    Optional<Poke> found =
        plan.pokes().stream().filter(poke -> isOf(poke, copy.displaced())).findFirst();
    checkArgument(
        found.isPresent(), "a plan for %s and a copy of %s", plan.pokes(), copy.displaced());
    Poke poke = found.orElseThrow();
    checkArgument(
        poke.oldInterior().size() == copy.boundaries().size() - 1
            && poke.displaces() == unentered.isPresent(),
        "%s boundaries inside, and a copy of %s instructions",
        poke.oldInterior().size(),
        copy.boundaries().size());
    for (Boundary boundary : poke.oldInterior()) {
      Long there = copy.boundaries().get(poke.address() + boundary.offset());
      checkArgument(
          there != null && boundary.trapAction().equals(new TrapAction.Redirect(there)),
          "%s does not lead to its copy",
          boundary);
    }
  }

  /** The jump may stand in padding too that is behind the displaced instructions. */
  private static boolean isOf(Poke poke, Site displaced) {
    return poke.address() == displaced.address()
        && poke.length() >= displaced.length()
        && poke.site().bytes().slice(0, displaced.length()).equals(displaced.bytes())
        && (poke.length() == displaced.length() || poke.oldLength() == displaced.length());
  }

  /**
   * How many bytes copies may take, from the address of the first on.
   *
   * @param jump bytes of the jump over the site, 5 at most
   * @param companions how many there are, at most
   */
  public static int room(int jump, int companions) {
    return aligned(OutOfLineCopy.maxSize(jump)) + companions * Companion.ROOM;
  }

  static int aligned(int size) {
    return size + ALIGNMENT - 1 & -ALIGNMENT;
  }

  /**
   * All copies, one behind the other, from the address of the first on: what must stand there
   * before the plan is applied.
   */
  public CodeBytes copies() {
    CodeBytes bytes = copy.bytes();
    for (Companion companion : companions) {
      long gap = companion.copy().address() - copy.address() - bytes.length();
      bytes =
          bytes
              .concat(CodeBytes.filled(Math.toIntExact(gap), X86Planner.INT3))
              .concat(companion.copy().bytes());
    }
    return bytes;
  }

  /**
   * The plan and the copies as a table of text: the plan's rows, and behind them one for each
   * instruction of the copy, with the displaced one that it stands for.
   *
   * @param decoder reads both, and is not kept
   */
  public String table(InstructionDecoder decoder) {
    List<ImmutableList<String>> rows = new ArrayList<>();
    rows.add(ImmutableList.of("copy", "bytes", "reads as", "why"));
    addRows(rows, decoder, copy);
    companions.forEach(companion -> addRows(rows, decoder, companion.copy()));
    return PlanTable.of(plan, decoder) + "\n" + text(rows);
  }

  private static void addRows(
      List<ImmutableList<String>> rows, InstructionDecoder decoder, OutOfLineCopy copy) {
    CodeRegion region = CodeRegion.of("copy", copy.address(), copy.bytes());
    for (int at = 0; at < copy.bytes().length(); ) {
      int length = Math.max(1, Decoded.length(decoder.decode(region, at)));
      CodeBytes bytes = copy.bytes().slice(at, at + length);
      long address = copy.address() + at;
      rows.add(
          ImmutableList.of(
              "0x%x".formatted(address),
              bytes.hex(),
              Disassembly.of(decoder, address, bytes),
              why(copy, copy.stretchAt(address).orElseThrow())));
      at += length;
    }
  }

  private static String why(OutOfLineCopy copy, Stretch stretch) {
    if (stretch.old() == copy.displaced().end()) {
      return "back behind the site";
    }
    String old = "does what stood at 0x%x".formatted(stretch.old());
    return stretch.pushed() == 0 ? old : old + ", its return address pushed";
  }

  private static String text(List<ImmutableList<String>> rows) {
    StringBuilder text = new StringBuilder();
    for (ImmutableList<String> row : rows) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < row.size(); i++) {
        int column = i;
        int width = rows.stream().mapToInt(cells -> cells.get(column).length()).max().orElse(0);
        line.append(Strings.padEnd(row.get(i), width, ' ')).append(GAP);
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
    return text.toString();
  }
}
