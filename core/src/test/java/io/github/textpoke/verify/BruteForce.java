package io.github.textpoke.verify;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.Evacuate;
import io.github.textpoke.plan.Step.Write;
import io.github.textpoke.plan.TrapAction;
import java.util.ArrayList;
import java.util.List;

/**
 * The verifier's question answered by brute force, for plans of one small site: all orders in which
 * the bytes of each write may land, all moments, all combinations of what each byte was. Shares no
 * code with the verifier.
 */
final class BruteForce {
  private final PatchPlan plan;
  private final Poke poke;
  private final boolean ordered;

  private BruteForce(PatchPlan plan, boolean ordered) {
    this.plan = plan;
    this.poke = plan.pokes().get(0);
    this.ordered = ordered;
  }

  static boolean isSafe(PatchPlan plan, MemoryModel model) {
    Poke poke = plan.pokes().get(0);
    return new BruteForce(plan, model == MemoryModel.PROGRAM_ORDER)
        .safeFrom(0, List.of(poke.site().bytes()), !poke.oldInterior().isEmpty());
  }

  /**
   * @param past every memory since the last sync, oldest first
   * @param inside whether a thread may stand on a boundary inside
   */
  private boolean safeFrom(int step, List<CodeBytes> past, boolean inside) {
    boolean atEnd = step == plan.steps().size();
    if (!safeNow(past, inside, atEnd)) {
      return false;
    }
    if (atEnd) {
      return past.get(past.size() - 1).equals(poke.replacement());
    }
    Step next = plan.steps().get(step);
    if (next instanceof Write write) {
      int at = (int) (write.address() - poke.address());
      List<Integer> offsets = new ArrayList<>();
      for (int i = 0; i < write.bytes().length(); i++) {
        offsets.add(i);
      }
      return landing(step, past, inside, write.bytes(), at, offsets);
    }
    if (next instanceof Evacuate) {
      boolean trapsEverywhere =
          starts().stream()
              .allMatch(
                  start -> past.stream().allMatch(memory -> memory.at(start) == plan.trapByte()));
      return safeFrom(step + 1, past, inside && !trapsEverywhere);
    }
    return safeFrom(step + 1, List.of(past.get(past.size() - 1)), inside);
  }

  private boolean landing(
      int step, List<CodeBytes> past, boolean inside, CodeBytes bytes, int at, List<Integer> left) {
    if (left.isEmpty()) {
      return safeFrom(step + 1, past, inside);
    }
    for (Integer offset : left) {
      List<CodeBytes> longer = new ArrayList<>(past);
      longer.add(past.get(past.size() - 1).with(at + offset, CodeBytes.of(bytes.at(offset))));
      List<Integer> rest = new ArrayList<>(left);
      rest.remove(offset);
      boolean now = inside || mayEnter(longer);
      if (!safeNow(longer, now, false) || !landing(step, longer, now, bytes, at, rest)) {
        return false;
      }
    }
    return true;
  }

  /** Whether each byte of the first of several instructions may be seen. */
  private boolean mayEnter(List<CodeBytes> past) {
    if (poke.interior().isEmpty()) {
      return false;
    }
    for (int i = 0; i < starts().get(1); i++) {
      int offset = i;
      if (past.stream().noneMatch(memory -> memory.at(offset) == several().at(offset))) {
        return false;
      }
    }
    return true;
  }

  private CodeBytes several() {
    return poke.oldInterior().isEmpty() ? poke.replacement() : poke.site().bytes();
  }

  /** Where instructions begin. */
  private List<Integer> starts() {
    List<Integer> starts = new ArrayList<>(List.of(0));
    poke.interior().forEach(boundary -> starts.add(boundary.offset()));
    return starts;
  }

  private boolean safeNow(List<CodeBytes> past, boolean inside, boolean atEnd) {
    for (int start : inside ? starts() : List.of(0)) {
      if (!safeViews(past, start, start, 0, CodeBytes.EMPTY, atEnd)) {
        return false;
      }
    }
    return true;
  }

  private boolean safeViews(
      List<CodeBytes> past, int start, int offset, int earliest, CodeBytes seen, boolean atEnd) {
    if (offset == poke.length()) {
      return start == 0 ? mayRun(seen, atEnd) : mayRunInside(start, seen, atEnd);
    }
    for (int t = ordered ? earliest : 0; t < past.size(); t++) {
      CodeBytes more = seen.concat(CodeBytes.of(past.get(t).at(offset)));
      if (!safeViews(past, start, offset + 1, t, more, atEnd)) {
        return false;
      }
    }
    return true;
  }

  private boolean mayRunInside(int start, CodeBytes seen, boolean atEnd) {
    int next = starts().indexOf(start) + 1;
    int length = poke.oldInterior().isEmpty() ? poke.newLength() : poke.oldLength();
    int end = next < starts().size() ? starts().get(next) : length;
    if (seen.at(0) == plan.trapByte()) {
      return !atEnd && poke.interior().get(next - 2).trapAction() instanceof TrapAction.Redirect;
    }
    return starts(seen, several().slice(start, end), end - start)
        && (!atEnd || poke.oldInterior().isEmpty());
  }

  private boolean mayRun(CodeBytes seen, boolean atEnd) {
    boolean armsOrDisarms =
        poke.replacement().at(0) == plan.trapByte() || poke.site().bytes().at(0) == plan.trapByte();
    if (seen.at(0) == plan.trapByte()) {
      return atEnd
          ? poke.replacement().at(0) == plan.trapByte()
          : armsOrDisarms || !(poke.trapAction() instanceof TrapAction.PassOn);
    }
    boolean old = starts(seen, poke.site().bytes(), poke.firstOldLength());
    boolean fresh = starts(seen, poke.replacement(), poke.firstNewLength());
    return fresh || (old && !atEnd);
  }

  private static boolean starts(CodeBytes seen, CodeBytes code, int length) {
    return seen.slice(0, length).equals(code.slice(0, length));
  }
}
