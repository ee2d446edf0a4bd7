package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.TrapAction;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A plan laid out so that applying it allocates nothing: addresses and lengths in arrays, bytes in
 * native memory. Made before the window.
 */
final class CompiledPlan {
  private static final long PAGE = 4096;

  final PatchPlan plan;

  /** What is done, in order. */
  final ImmutableList<Step> steps;

  /** Per step: length of the write, 0 for a core sync. */
  final int[] length;

  /** Per step: absolute address of the write. */
  final long[] address;

  /** Per step: offset in {@link #bytes} of the expected bytes; the new ones lie behind them. */
  final int[] offset;

  final NativeBytes bytes;

  /** Per poke: the absolute address of its site. */
  final long[] siteAddress;

  /** Per poke: the length of its site in bytes. */
  final int[] siteLength;

  /** Per poke: offset in {@link #bytes} of the old bytes. */
  final int[] siteOffset;

  /** The sites whose breakpoint we take: absolute addresses, sorted as signed. */
  final long[] trapSites;

  /** For each page that is written, the address of a byte of a site in it. */
  final long[] pages;

  /** The longest write in bytes. */
  final int longest;

  /**
   * @param steps those of the plan, or of its rollback
   * @throws UnsupportedPlanException if a poke displaces instructions, or restores them: no engine
   *     can evacuate a site yet, and the way back from either may need it
   */
  CompiledPlan(PatchPlan plan, ImmutableList<Step> steps) {
    checkOneForOne(plan, steps);
    this.plan = plan;
    this.steps = steps;
    length = new int[steps.size()];
    address = new long[steps.size()];
    offset = new int[steps.size()];
    int total = 0;
    int most = 1;
    for (int i = 0; i < steps.size(); i++) {
      if (steps.get(i) instanceof Step.Write write) {
        address[i] = write.address();
        length[i] = write.bytes().length();
        offset[i] = total;
        total += 2 * length[i];
        most = Math.max(most, length[i]);
      }
    }
    int sites = plan.pokes().size();
    siteAddress = new long[sites];
    siteLength = new int[sites];
    siteOffset = new int[sites];
    for (int i = 0; i < sites; i++) {
      siteAddress[i] = plan.pokes().get(i).address();
      siteLength[i] = plan.pokes().get(i).length();
      siteOffset[i] = total;
      total += siteLength[i];
      most = Math.max(most, siteLength[i]);
    }
    longest = most;
    bytes = new NativeBytes(total);
    for (int i = 0; i < sites; i++) {
      bytes.put(siteOffset[i], plan.pokes().get(i).site().bytes());
    }
    for (int i = 0; i < steps.size(); i++) {
      if (steps.get(i) instanceof Step.Write write) {
        bytes.put(offset[i], write.expected());
        bytes.put(offset[i] + length[i], write.bytes());
      }
    }
    trapSites =
        plan.pokes().stream()
            .filter(poke -> !(poke.trapAction() instanceof TrapAction.PassOn))
            .mapToLong(Poke::address)
            .sorted()
            .toArray();
    Map<Long, Long> firstOfPage = new LinkedHashMap<>();
    for (int i = 0; i < address.length; i++) {
      if (length[i] > 0) {
        firstOfPage.putIfAbsent(address[i] & -PAGE, address[i]);
      }
    }
    pages = firstOfPage.values().stream().mapToLong(at -> at).toArray();
  }

  private static void checkOneForOne(PatchPlan plan, ImmutableList<Step> steps) {
    for (Poke poke : plan.pokes()) {
      if (!poke.interior().isEmpty()) {
        throw unsupported(poke.address());
      }
    }
    for (Step step : steps) {
      if (step instanceof Step.Evacuate evacuate) {
        throw unsupported(evacuate.address());
      }
    }
  }

  private static UnsupportedPlanException unsupported(long site) {
    return new UnsupportedPlanException(
        "several instructions at 0x"
            + Long.toHexString(site)
            + " can't be displaced in a process yet: no engine can evacuate threads",
        "choose a site whose one instruction is long enough");
  }

  boolean isSync(int step) {
    return length[step] == 0;
  }

  boolean takesTrapAt(long site) {
    return Arrays.binarySearch(trapSites, site) >= 0;
  }
}
