package io.github.textpoke.x86.relocate;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSortedMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import java.util.Map;
import java.util.Optional;

/**
 * Displaced instructions, relocated so that they do at another address what they did at the site,
 * and behind them the jump back to the first byte that was not displaced. Immutable and
 * thread-safe; made without a process.
 *
 * <p>A thread that stands on a boundary of the site may be moved to the boundary's copy, and
 * nothing but its instruction pointer differs. Registers, flags and memory are as the site would
 * leave them; the exceptions are these:
 *
 * <ul>
 *   <li>A displaced jump to a displaced instruction leads to its copy, so a loop over the site's
 *       first byte stays in the copy and does not meet the patch. A displaced call of the site's
 *       first byte, a recursion, leads to the site, as other calls do.
 *   <li>A displaced call pushes its old return address and jumps, so that unwinding finds the old
 *       code. The return is then predicted wrongly, and with a shadow stack it faults: see {@link
 *       #pushesReturnAddress}.
 *   <li>Who looks at the address of a fault, as a handler of SIGSEGV may, finds the copy: see
 *       {@link #stretchAt}.
 * </ul>
 *
 * <p>What the code around can tell of the site is the planner's business: whether a branch, an
 * entry point or a restartable sequence leads into it or covers it (rules 7 and 16), whether the
 * instruction before it delays traps, and whether the first displaced one can be interrupted half
 * done.
 *
 * @param address absolute address of the copy's first byte
 * @param bytes the copy, for exactly that address
 * @param displaced the site: address and bytes of the instructions displaced
 * @param boundaries absolute address of each displaced instruction, and of its copy; the first is
 *     the site's
 * @param stretches from the first byte of the copy to the last, what unwinding needs to know
 */
public record OutOfLineCopy(
    long address,
    CodeBytes bytes,
    Site displaced,
    ImmutableSortedMap<Long, Long> boundaries,
    ImmutableList<Stretch> stretches) {

  /** A displaced loop becomes three jumps: SDM has no loop with 32 bits. */
  private static final int LOOP_GROWTH = Opcode.SHORT_JUMP + Opcode.NEAR_JUMP;

  /** Push, move of the high half, and an operand whose displacement grows from 8 to 32 bits. */
  private static final int CALL_GROWTH = 5 + 8 + 3;

  /** Code that is put into a copy. */
  @FunctionalInterface
  public interface Insertion {
    /** It, for an absolute address. */
    CodeBytes at(long address);
  }

  /**
   * A run of the copy's bytes of which the same is true. While a thread stands in it, its frame is
   * that of the old code at {@code old}, but for {@code pushed} bytes more on the stack.
   *
   * @param address absolute address of the first byte
   * @param length in bytes
   * @param old absolute address of the displaced instruction that it belongs to; behind the site
   *     for the jump back
   * @param pushed bytes: 0, or 8 while the return address of a displaced call is on the stack
   */
  public record Stretch(long address, int length, long old, int pushed) {
    /** The address behind the last byte. */
    public long end() {
      return address + length;
    }

    boolean isContinuedBy(Stretch next) {
      return next.address == end() && next.old == old && next.pushed == pushed;
    }

    Stretch and(Stretch next) {
      return new Stretch(address, length + next.length, old, pushed);
    }
  }

  /** Checks that stretches cover the bytes and that boundaries lead into them. */
  public OutOfLineCopy {
    long next = address;
    for (Stretch stretch : stretches) {
      checkArgument(stretch.address() == next && stretch.length() > 0, "a gap before %s", stretch);
      next = stretch.end();
    }
    checkArgument(next == address + bytes.length(), "stretches end at %s", next);
    checkArgument(
        boundaries.containsKey(displaced.address()), "no boundary at the site %s", displaced);
    for (var boundary : boundaries.entrySet()) {
      checkArgument(
          boundary.getKey() - displaced.address() >= 0
              && boundary.getKey() - displaced.address() < displaced.length()
              && boundary.getValue() - address >= 0
              && boundary.getValue() - address < bytes.length(),
          "no boundary: %s",
          boundary);
    }
  }

  /**
   * The copy of the instructions at {@code site}, for {@code address}.
   *
   * @param decoder reads the code
   * @param code the function that holds the site, as it stands now
   * @param site absolute address of the first instruction
   * @param minimum how many bytes are needed, 5 for a jump; whole instructions are displaced until
   *     they have as many
   * @param address absolute address where the copy will stand
   * @throws PlanRefusedException by rule 1 if the site is no boundary; by rule 7 if a patch of ours
   *     is in the way or a branch leads between boundaries; by rule 8 if a call is not the last, or
   *     an instruction may not run elsewhere; by rule 9 if the code ends before; by rule 13 if
   *     something is out of reach of the copy; by rule 14, 15 or 19 if an instruction must stay
   */
  public static OutOfLineCopy of(
      InstructionDecoder decoder, CodeRegion code, long site, int minimum, long address) {
    return of(decoder, code, site, minimum, address, ImmutableMap.of());
  }

  /**
   * As {@link #of(InstructionDecoder, CodeRegion, long, int, long)}, beside copies of other sites
   * that are displaced together with this one.
   *
   * @param copied absolute addresses in those sites, and for each that of its copy: a displaced
   *     jump that leads to the one leads to the other
   */
  public static OutOfLineCopy of(
      InstructionDecoder decoder,
      CodeRegion code,
      long site,
      int minimum,
      long address,
      Map<Long, Long> copied) {
    return of(decoder, code, site, minimum, address, copied, ImmutableMap.of());
  }

  /**
   * As {@link #of(InstructionDecoder, CodeRegion, long, int, long, Map)}, with code of somebody
   * else in it.
   *
   * @param inserted absolute addresses of displaced instructions by which control leaves, and for
   *     each what is run in the copy before it; where that is a conditional jump, only if it is
   *     taken. The code may change flags, and falls through at its end
   */
  public static OutOfLineCopy of(
      InstructionDecoder decoder,
      CodeRegion code,
      long site,
      int minimum,
      long address,
      Map<Long, Long> copied,
      Map<Long, Insertion> inserted) {
    DisplacedCode displaced = DisplacedCode.of(decoder, code, site, minimum);
    Layout layout = Layout.of(displaced, address, copied, inserted);
    checkArgument(
        Long.compareUnsigned(layout.end() - 1, address) >= 0,
        "the copy at 0x%s wraps around",
        Long.toHexString(address));
    checkArgument(
        Long.compareUnsigned(layout.end(), displaced.start()) <= 0
            || Long.compareUnsigned(displaced.end(), address) <= 0,
        "the copy at 0x%s overlaps the site",
        Long.toHexString(address));
    return new OutOfLineCopy(
        address, layout.bytes(), displaced.site(), layout.boundaries(), layout.stretches());
  }

  /**
   * No copy is longer, in bytes: what to reserve before it is known what is displaced.
   *
   * @param minimum as for {@link #of}
   */
  public static int maxSize(int minimum) {
    checkArgument(minimum > 0, "no bytes to displace: %s", minimum);
    // All but the last instruction end before the minimum. A loop has at least two bytes.
    int before = minimum - 1;
    int grown = before / 2 * LOOP_GROWTH;
    return before + grown + Instruction.MAX_LENGTH + CALL_GROWTH;
  }

  /** How many bytes of the site are displaced, at least the minimum asked for. */
  public int displacedLength() {
    return displaced.length();
  }

  /** The address behind the copy's last byte. */
  public long end() {
    return address + bytes.length();
  }

  /**
   * Whether a call was displaced. Its callee returns to an address that no call has pushed, which a
   * shadow stack (CET, SDM vol. 1, 17.1) does not allow.
   */
  public boolean pushesReturnAddress() {
    return stretches.stream().anyMatch(stretch -> stretch.pushed() > 0);
  }

  /** The stretch that holds the byte at {@code at}; empty outside of the copy. */
  public Optional<Stretch> stretchAt(long at) {
    return stretches.stream()
        .filter(stretch -> at - stretch.address() >= 0 && at - stretch.address() < stretch.length())
        .findFirst();
  }
}
