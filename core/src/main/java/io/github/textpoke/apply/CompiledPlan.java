package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.TrapAction;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * A plan laid out so that applying it allocates nothing: addresses and lengths in arrays, bytes in
 * native memory. Made before the window.
 */
final class CompiledPlan {
  private static final long PAGE = 4096;

  final PatchPlan plan;

  /** What is done, in order. */
  final ImmutableList<Step> steps;

  /** Per step: length of the write, 0 for a core sync or an evacuation. */
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

  /** Where breakpoints of ours may stand: absolute addresses, sorted as signed. */
  final long[] trapSites;

  /**
   * For each boundary inside of a site, absolute, the absolute address in the out-of-line copy;
   * empty where each poke is one instruction for one.
   */
  final AddressMap interior;

  /**
   * As {@link #interior}, and for those sites' first bytes, where a thread need not wait there
   * either; and for sites at which a breakpoint stays.
   */
  final AddressMap redirects;

  /** The boundaries that the steps evacuate, as in {@link #interior}. */
  final AddressMap evacuated;

  /** For each page that is written, the address of a byte of a site in it. */
  final long[] pages;

  /** The longest write in bytes. */
  final int longest;

  private @Nullable WaysBack waysBack;

  /**
   * @param steps those of the plan, or of its rollback
   */
  CompiledPlan(PatchPlan plan, ImmutableList<Step> steps) {
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
            .flatMapToLong(CompiledPlan::breakpoints)
            .sorted()
            .toArray();
    Map<Long, Long> inside = new HashMap<>();
    Map<Long, Long> all = new HashMap<>();
    for (Poke poke : plan.pokes()) {
      for (Boundary boundary : poke.interior()) {
        note(inside, poke.address() + boundary.offset(), boundary.trapAction());
        note(all, poke.address(), poke.trapAction());
      }
      if (poke.stays(plan.trapByte())) {
        note(all, poke.address(), poke.trapAction());
      }
    }
    all.putAll(inside);
    interior = new AddressMap(inside);
    redirects = new AddressMap(all);
    Map<Long, Long> left = new HashMap<>();
    for (Step step : steps) {
      if (step instanceof Step.Evacuate evacuate) {
        left.putAll(evacuate.mapping());
      }
    }
    evacuated = new AddressMap(left);
    Map<Long, Long> firstOfPage = new LinkedHashMap<>();
    for (int i = 0; i < address.length; i++) {
      if (length[i] > 0) {
        firstOfPage.putIfAbsent(address[i] & -PAGE, address[i]);
      }
    }
    pages = firstOfPage.values().stream().mapToLong(at -> at).toArray();
  }

  /** The steps back from each phase; made once, by the thread that uses this. */
  WaysBack waysBack() {
    WaysBack known = waysBack;
    if (known == null) {
      known = WaysBack.of(plan);
      waysBack = known;
    }
    return known;
  }

  private static LongStream breakpoints(Poke poke) {
    return LongStream.concat(
        LongStream.of(poke.address()),
        poke.interior().stream().mapToLong(boundary -> poke.address() + boundary.offset()));
  }

  private static void note(Map<Long, Long> redirects, long site, TrapAction action) {
    if (action instanceof TrapAction.Redirect redirect) {
      redirects.put(site, redirect.address());
    }
  }

  /** Whether some poke puts a breakpoint that {@linkplain Poke#stays stays}. */
  boolean stays() {
    return stays(plan);
  }

  static boolean stays(PatchPlan plan) {
    return plan.pokes().stream().anyMatch(poke -> poke.stays(plan.trapByte()));
  }

  /** Whether some poke takes such a breakpoint back. */
  boolean endsStay() {
    return plan.pokes().stream()
        .anyMatch(
            poke ->
                poke.site().bytes().at(0) == plan.trapByte()
                    && poke.trapAction() instanceof TrapAction.Redirect);
  }

  /** Whether several instructions become one, or one becomes several. */
  boolean displaces() {
    return !interior.isEmpty();
  }

  /** Absolute address of the first site where it {@link #displaces}. */
  long displacedSite() {
    return plan.pokes().stream()
        .filter(poke -> !poke.interior().isEmpty())
        .findFirst()
        .orElseThrow()
        .address();
  }

  boolean isEvacuation(int step) {
    return steps.get(step) instanceof Step.Evacuate;
  }

  boolean isSync(int step) {
    return steps.get(step) instanceof Step.SyncCores;
  }

  boolean takesTrapAt(long site) {
    return Arrays.binarySearch(trapSites, site) >= 0;
  }
}
