package io.github.textpoke.verify;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
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
    return new BruteForce(plan, model == MemoryModel.PROGRAM_ORDER)
        .safeFrom(0, List.of(plan.pokes().get(0).site().bytes()));
  }

  /** {@code past}: every memory since the last sync, oldest first. */
  private boolean safeFrom(int step, List<CodeBytes> past) {
    boolean atEnd = step == plan.steps().size();
    if (!safeViews(past, 0, 0, CodeBytes.EMPTY, atEnd)) {
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
      return landing(step, past, write.bytes(), at, offsets);
    }
    return safeFrom(step + 1, List.of(past.get(past.size() - 1)));
  }

  private boolean landing(
      int step, List<CodeBytes> past, CodeBytes bytes, int at, List<Integer> left) {
    if (left.isEmpty()) {
      return safeFrom(step + 1, past);
    }
    for (Integer offset : left) {
      List<CodeBytes> longer = new ArrayList<>(past);
      longer.add(past.get(past.size() - 1).with(at + offset, CodeBytes.of(bytes.at(offset))));
      List<Integer> rest = new ArrayList<>(left);
      rest.remove(offset);
      if (!safeViews(longer, 0, 0, CodeBytes.EMPTY, false)
          || !landing(step, longer, bytes, at, rest)) {
        return false;
      }
    }
    return true;
  }

  private boolean safeViews(
      List<CodeBytes> past, int offset, int earliest, CodeBytes seen, boolean atEnd) {
    if (offset == poke.length()) {
      return mayRun(seen, atEnd);
    }
    for (int t = ordered ? earliest : 0; t < past.size(); t++) {
      CodeBytes more = seen.concat(CodeBytes.of(past.get(t).at(offset)));
      if (!safeViews(past, offset + 1, t, more, atEnd)) {
        return false;
      }
    }
    return true;
  }

  private boolean mayRun(CodeBytes seen, boolean atEnd) {
    boolean armsOrDisarms =
        poke.replacement().at(0) == plan.trapByte() || poke.site().bytes().at(0) == plan.trapByte();
    if (seen.at(0) == plan.trapByte()) {
      return atEnd
          ? poke.replacement().at(0) == plan.trapByte()
          : armsOrDisarms || !(poke.trapAction() instanceof TrapAction.PassOn);
    }
    boolean old = starts(seen, poke.site().bytes(), poke.oldLength());
    boolean fresh = starts(seen, poke.replacement(), poke.newLength());
    return fresh || (old && !atEnd);
  }

  private static boolean starts(CodeBytes seen, CodeBytes code, int length) {
    return seen.slice(0, length).equals(code.slice(0, length));
  }
}
