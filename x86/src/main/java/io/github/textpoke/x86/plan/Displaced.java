package io.github.textpoke.x86.plan;

import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.LongPredicate;

/** Says which instructions a replacement would displace, and where there is room for it. */
final class Displaced {
  /** How far, in bytes, a place is worth naming. */
  private static final int NEAR = 256;

  private final Reading reading;
  private final LongPredicate isPossible;

  /**
   * @param isPossible whether the replacement could stand at an absolute address
   */
  Displaced(Reading reading, LongPredicate isPossible) {
    this.reading = reading;
    this.isPossible = isPossible;
  }

  /** The refusal of a replacement that needs {@code needed} bytes. */
  PlanRefusedException refusal(OldCode old, String replacement, int needed) {
    CodeRegion code = reading.recovered();
    int at = code.offsetOf(old.site().address());
    int end = at + needed;
    List<String> covered = new ArrayList<>();
    int next = at;
    while (next < end && next < code.bytes().length()) {
      covered.add(reading.text(next));
      next += Math.max(1, Decoded.length(reading.decoder().decode(code, next)));
    }
    String reason =
        "%s needs %d bytes and the instruction has %d: it would displace %s"
            .formatted(replacement, needed, old.length(), String.join("; ", covered));
    return next < end
        ? Rules.ROOM.refusal(
            old.site().address(),
            reading.text(at),
            reason + ", and %s ends at 0x%x".formatted(code.name(), code.end()),
            remedy(at, needed))
        : Rules.DISPLACING.refusal(
            old.site().address(),
            reading.text(at),
            reason + ", and one instruction is replaced by one",
            remedy(at, needed));
  }

  private String remedy(int at, int needed) {
    String general =
        "choose a site whose one instruction has at least %d bytes, such as a NOP, call or jmp"
            .formatted(needed);
    return candidates(at, needed).stream()
        .filter(candidate -> isPossible.test(reading.code().address() + candidate))
        .findFirst()
        .map(
            nearest ->
                general
                    + "; the nearest is 0x%x (%s)"
                        .formatted(reading.code().address() + nearest, reading.text(nearest)))
        .orElse(general);
  }

  /** Offsets of instructions of at least {@code needed} bytes, the nearest first. */
  private List<Integer> candidates(int site, int needed) {
    CodeRegion code = reading.recovered();
    List<Integer> candidates = new ArrayList<>();
    for (int at = 0; at < code.bytes().length() && at <= site + NEAR; ) {
      int length = Decoded.length(reading.decoder().decode(code, at));
      if (length == 0) {
        break;
      }
      if (length >= needed && at >= site - NEAR) {
        candidates.add(at);
      }
      at += length;
    }
    candidates.sort(Comparator.comparingInt(at -> Math.abs(at - site)));
    return candidates;
  }
}
