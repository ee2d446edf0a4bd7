package io.github.textpoke.plan;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;

/**
 * One atomic-looking change of the bytes of one site. Bytes behind the end of the shorter code are
 * padding that no thread reaches.
 *
 * <ul>
 *   <li><b>One for one</b>: one old instruction becomes one new one. A thread may stand at the
 *       site's first byte only.
 *   <li><b>Displacing</b>: several old instructions become one new one. A thread may stand at each
 *       {@linkplain #oldInterior interior boundary} too; whoever does goes on in an out-of-line
 *       copy, which jumps back behind the site and never into it. The copy must stay when the plan
 *       is over, or taken back: a thread may be in it for as long as it likes.
 *   <li><b>Restoring</b>, the inverse of that: one old instruction becomes several. Nobody stands
 *       inside of the old one. The {@linkplain #newInterior boundaries} are needed for the way
 *       back, once threads run the new code.
 * </ul>
 *
 * @param site the address and the whole old bytes
 * @param oldLength length in bytes of the old instruction, or of all old ones together, at most
 *     that of the site; what is behind them is unreachable padding
 * @param replacement the whole new bytes, as many as old ones
 * @param newLength length in bytes of the new instruction, or of all new ones together; what is
 *     behind them is unreachable padding
 * @param trapAction what becomes of a thread that runs the breakpoint on the first byte
 * @param oldInterior where the old instructions but the first begin, ascending; empty where there
 *     is one
 * @param newInterior where the new instructions but the first begin, ascending; empty where there
 *     is one, and where {@code oldInterior} is not
 */
public record Poke(
    Site site,
    int oldLength,
    CodeBytes replacement,
    int newLength,
    TrapAction trapAction,
    ImmutableList<Boundary> oldInterior,
    ImmutableList<Boundary> newInterior) {

  /** Checks the lengths and the boundaries. */
  public Poke {
    checkArgument(
        replacement.length() == site.length(),
        "site %s has %s bytes, its replacement %s",
        site,
        site.length(),
        replacement.length());
    checkArgument(oldLength > 0 && oldLength <= site.length(), "old length %s", oldLength);
    checkArgument(newLength > 0 && newLength <= site.length(), "new length %s", newLength);
    checkInside(oldInterior, oldLength);
    checkInside(newInterior, newLength);
    checkArgument(
        oldInterior.isEmpty() || newInterior.isEmpty(),
        "several instructions at %s would become several: one of the codes must be one",
        site);
  }

  /** One instruction for one. */
  public Poke(
      Site site, int oldLength, CodeBytes replacement, int newLength, TrapAction trapAction) {
    this(
        site,
        oldLength,
        replacement,
        newLength,
        trapAction,
        ImmutableList.of(),
        ImmutableList.of());
  }

  /**
   * One instruction for several. Of the code whose boundaries these are, every instruction must be
   * copied out of line: nobody waits inside of the site.
   *
   * @param oldLength length in bytes of all old instructions together
   * @param oldInterior where the old instructions but the first begin, ascending
   * @param newLength length in bytes of the new instruction
   * @param trapAction what becomes of a thread that runs the breakpoint on the first byte: with a
   *     redirect to the copy's start it need not wait
   */
  public static Poke displacing(
      Site site,
      int oldLength,
      Iterable<Boundary> oldInterior,
      CodeBytes replacement,
      int newLength,
      TrapAction trapAction) {
    return new Poke(
        site,
        oldLength,
        replacement,
        newLength,
        trapAction,
        ImmutableList.copyOf(oldInterior),
        ImmutableList.of());
  }

  private static void checkInside(ImmutableList<Boundary> interior, int length) {
    int before = 0;
    for (Boundary boundary : interior) {
      checkArgument(
          boundary.offset() > before, "boundaries are not ascending: %s", boundary.offset());
      checkArgument(
          boundary.offset() < length,
          "a boundary at offset %s of code of %s bytes",
          boundary.offset(),
          length);
      before = boundary.offset();
    }
  }

  /** The address of the first byte. */
  public long address() {
    return site.address();
  }

  /** The number of bytes of the site. */
  public int length() {
    return site.length();
  }

  /**
   * Whether a breakpoint is what the new bytes begin with, and threads that meet it are led on from
   * there: somebody has to do that for as long as it stands.
   *
   * @param trapByte the one-byte breakpoint instruction, 0 to 255
   */
  public boolean stays(int trapByte) {
    return replacement.at(0) == trapByte && trapAction instanceof TrapAction.Redirect;
  }

  /** Whether several old instructions become one. */
  public boolean displaces() {
    return !oldInterior.isEmpty();
  }

  /** Whether one old instruction becomes several. */
  public boolean restores() {
    return !newInterior.isEmpty();
  }

  /** The boundaries inside of whichever code has several instructions; empty: one for one. */
  public ImmutableList<Boundary> interior() {
    return displaces() ? oldInterior : newInterior;
  }

  /** The length in bytes of the first old instruction. */
  public int firstOldLength() {
    return displaces() ? oldInterior.get(0).offset() : oldLength;
  }

  /** The length in bytes of the first new instruction. */
  public int firstNewLength() {
    return restores() ? newInterior.get(0).offset() : newLength;
  }

  /**
   * The whole bytes of whichever code has several instructions.
   *
   * @throws IllegalStateException if neither has
   */
  public CodeBytes displacedBytes() {
    checkState(!interior().isEmpty(), "one instruction for one at %s", site);
    return displaces() ? site.bytes() : replacement;
  }

  /**
   * The whole instruction that begins at {@code boundary}.
   *
   * @param boundary one of {@link #interior}
   */
  public CodeBytes instructionAt(Boundary boundary) {
    int next = interior().indexOf(boundary) + 1;
    checkArgument(next > 0, "no boundary of %s: %s", site, boundary);
    int end =
        next < interior().size()
            ? interior().get(next).offset()
            : displaces() ? oldLength : newLength;
    return displacedBytes().slice(boundary.offset(), end);
  }

  /** The change back. */
  public Poke inverse() {
    return new Poke(
        new Site(site.address(), replacement),
        newLength,
        site.bytes(),
        oldLength,
        trapAction,
        newInterior,
        oldInterior);
  }
}
