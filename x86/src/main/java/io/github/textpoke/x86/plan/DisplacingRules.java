package io.github.textpoke.x86.plan;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.util.Map;

/** The rules that instructions and their copy must keep before a jump displaces them. */
final class DisplacingRules {
  private static final int INT3 = 0xcc;

  private final Reading reading;
  private final SiteRules siteRules;
  private final boolean shadowStacks;

  DisplacingRules(Reading reading, SiteRules siteRules, boolean shadowStacks) {
    this.reading = reading;
    this.siteRules = siteRules;
    this.shadowStacks = shadowStacks;
  }

  /**
   * The copy of what a jump displaces.
   *
   * @param first what the site begins with
   * @param needed bytes of the jump, or of all that is to be displaced
   * @param address absolute address where the copy will stand
   * @param copied as for {@link OutOfLineCopy#of}
   * @throws PlanRefusedException by rule 22 if the copy can't be there, by rule 8 if it would not
   *     work with shadow stacks, and as {@link OutOfLineCopy#of} says
   */
  OutOfLineCopy copy(OldCode first, int needed, long address, Map<Long, Long> copied) {
    checkPlace(first, needed, address);
    OutOfLineCopy copy =
        OutOfLineCopy.of(
            reading.decoder(), reading.code(), first.site().address(), needed, address, copied);
    if (shadowStacks && copy.pushesReturnAddress()) {
      long call = copy.boundaries().lastKey();
      throw Rules.DISPLACED_CALL.refusal(
          call,
          reading.text(reading.code().offsetOf(call)),
          "its copy pushes the return address and jumps, and with a shadow stack the return faults",
          "choose a site that does not displace it");
    }
    return copy;
  }

  /**
   * The poke that puts {@code jump} over all instructions of {@code copy}: at least two, or as many
   * as there are before padding that it needs too.
   *
   * @throws PlanRefusedException by rule 16 if one of them is in a restartable sequence, by rule 15
   *     if the first can be interrupted half done, by rule 1 or 11 if the jump leads into the
   *     middle of an instruction
   */
  Poke poke(OldCode first, OutOfLineCopy copy, Assembly jump, int needed) {
    Site site = site(copy.displaced(), needed);
    OldCode run = new OldCode(site, first.now(), first.before(), first.previous());
    siteRules.checkRseq(run);
    CodeBytes bytes =
        jump.at(run.site().address(), needed).concat(CodeBytes.filled(run.length() - needed, INT3));
    Instruction fresh = new ReplacementRules(reading).check(run, bytes, false);
    checkTarget(fresh, copy);
    ImmutableList<Boundary> inside =
        copy.boundaries().tailMap(run.site().address(), false).entrySet().stream()
            .map(
                entry ->
                    Boundary.copiedTo(
                        (int) (entry.getKey() - run.site().address()), entry.getValue()))
            .collect(ImmutableList.toImmutableList());
    return Poke.displacing(
        site,
        copy.displacedLength(),
        inside,
        bytes,
        fresh.length(),
        new TrapAction.Redirect(copy.address()));
  }

  /** What is displaced, and so much of the padding behind it as the jump needs. */
  private Site site(Site displaced, int needed) {
    if (displaced.length() >= needed) {
      return displaced;
    }
    CodeRegion code = reading.code();
    int at = code.offsetOf(displaced.address());
    return new Site(displaced.address(), code.bytes().slice(at, at + needed));
  }

  private void checkPlace(OldCode first, int needed, long address) {
    long site = first.site().address();
    CodeRegion code = reading.code();
    long distance = address - site;
    if (distance != (int) distance) {
      throw misplaced(first, address, "is more than 2 GiB from the site", "put it nearer");
    }
    int size = OutOfLineCopy.maxSize(needed);
    if (Long.compareUnsigned(address + size, address) < 0) {
      throw misplaced(
          first, address, "has no room below the end of the address space", "put it lower");
    }
    Site room = new Site(address, CodeBytes.filled(size, 0));
    if (room.overlaps(new Site(code.address(), code.bytes()))) {
      throw misplaced(
          first,
          address,
          "may have %d bytes and would overwrite %s (0x%x to 0x%x)"
              .formatted(size, code.name(), code.address(), code.end()),
          "reserve memory that nobody uses");
    }
  }

  private PlanRefusedException misplaced(OldCode first, long address, String why, String remedy) {
    return siteRules.refusal(
        Rules.TRAMPOLINES, first, "the copy at 0x%x %s".formatted(address, why), remedy);
  }

  private static void checkTarget(Instruction fresh, OutOfLineCopy copy) {
    long target = fresh.directTarget().orElseThrow();
    boolean isInCopy =
        copy.stretchAt(target).isPresent() && !copy.boundaries().containsValue(target);
    if (isInCopy) {
      throw Rules.BOUNDARY.refusal(
          fresh.address(),
          "jmp 0x%x".formatted(target),
          "it leads into the copy, and no displaced instruction begins there",
          "choose 0x%x, the copy's start, or another target".formatted(copy.address()));
    }
  }
}
