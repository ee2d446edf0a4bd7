package io.github.textpoke.ledger;

import io.github.textpoke.plan.PatchPlan;
import java.time.Instant;
import java.util.Optional;

/**
 * What a ledger says of a patch that never changes. The words are for people: they are cut off
 * after {@link #LONGEST_TEXT} bytes of UTF-8, and what no terminal should be given is replaced by
 * {@code ?}, since a target may write into its own ledger.
 *
 * @param time when it was applied; whole milliseconds
 * @param who who applied it, such as {@code user 0, process 4711 (java)}
 * @param label the site as the user named it
 * @param engine the name of the engine that applied it
 * @param plan what was applied
 * @param detour the code that it has brought along; empty for one that needs none
 */
public record PatchNote(
    Instant time,
    String who,
    String label,
    String engine,
    PatchPlan plan,
    Optional<DetourNote> detour) {
  /** The most bytes of UTF-8 that a text may have. */
  public static final int LONGEST_TEXT = 512;

  /** Drops what does not fit; see above. */
  public PatchNote {
    time = Instant.ofEpochMilli(time.toEpochMilli());
    who = clean(who);
    label = clean(label);
    engine = clean(engine);
  }

  /** A patch without code of its own. */
  public PatchNote(Instant time, String who, String label, String engine, PatchPlan plan) {
    this(time, who, label, engine, plan, Optional.empty());
  }

  private static String clean(String text) {
    StringBuilder clean = new StringBuilder();
    int bytes = 0;
    for (int i = 0; i < text.length(); ) {
      int point = text.codePointAt(i);
      int printed = isPrintable(point) ? point : '?';
      bytes += utf8Length(printed);
      if (bytes > LONGEST_TEXT) {
        break;
      }
      clean.appendCodePoint(printed);
      i += Character.charCount(point);
    }
    return clean.toString();
  }

  private static boolean isPrintable(int point) {
    return switch (Character.getType(point)) {
      // FORMAT holds those that turn the direction of writing.
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      default -> true;
    };
  }

  private static int utf8Length(int point) {
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x1_0000 ? 3 : 4;
  }
}
