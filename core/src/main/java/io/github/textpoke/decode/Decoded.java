package io.github.textpoke.decode;

/**
 * One decoded instruction in a {@code long}: what {@link InstructionDecoder#decode} returns, so
 * that a sweep over millions of instructions allocates nothing. This class packs and reads it;
 * {@link Instruction} is the same as an object.
 *
 * <pre>
 *   bit  0..3   length in bytes, 1 to 15; 0: not decoded, and bits 8..15 hold the {@link Undecodable} reason
 *   bit  4..7   {@link Flow}
 *   bit  8..11  offset of the branch displacement in the instruction, 0 where there is none
 *   bit 12..14  its width in bytes: 1 or 4
 *   bit 16..19  offset of the displacement of an operand relative to the next instruction (RIP-relative), 0 where there is none
 *   bit 20..22  its width in bytes: 4
 *   bit 24      {@link #isBoostable}
 *   bit 25      {@link #hasLock}
 *   bit 26      {@link #hasRepeat}: f2 or f3 as a prefix, mandatory ones of the opcode not counted
 *   bit 27      {@link #hasOperandSize}: 66 prefix, mandatory ones not counted
 *   bit 28      {@link #hasAddressSize}: 67 prefix
 *   bit 29      {@link #hasSegment}: any segment override
 *   bit 30      {@link #blocksInterrupts}: mov ss, pop ss: the next instruction runs before a trap is taken
 * </pre>
 */
public final class Decoded {
  private static final Flow[] FLOWS = Flow.values();
  private static final Undecodable[] REASONS = Undecodable.values();

  /** Flag bit: see {@link #isBoostable}. */
  public static final long BOOSTABLE = 1L << 24;

  /** Flag bit: see {@link #hasLock}. */
  public static final long LOCK = 1L << 25;

  /** Flag bit: see {@link #hasRepeat}. */
  public static final long REPEAT = 1L << 26;

  /** Flag bit: see {@link #hasOperandSize}. */
  public static final long OPERAND_SIZE = 1L << 27;

  /** Flag bit: see {@link #hasAddressSize}. */
  public static final long ADDRESS_SIZE = 1L << 28;

  /** Flag bit: see {@link #hasSegment}. */
  public static final long SEGMENT = 1L << 29;

  /** Flag bit: see {@link #blocksInterrupts}. */
  public static final long BLOCKS_INTERRUPTS = 1L << 30;

  /** What two decoders must agree on: length, flow, branch and RIP-relative fields. */
  public static final long WITNESSED = 0x007f_7fffL;

  private Decoded() {}

  /** Packs an instruction; {@code flags} is an OR of the flag bits of this class. */
  public static long pack(
      int length,
      Flow flow,
      int branchOffset,
      int branchWidth,
      int ripOffset,
      int ripWidth,
      long flags) {
    return length
        | (long) flow.ordinal() << 4
        | (long) branchOffset << 8
        | (long) branchWidth << 12
        | (long) ripOffset << 16
        | (long) ripWidth << 20
        | flags;
  }

  /** Packs a refusal. */
  public static long undecodable(Undecodable reason) {
    return (long) reason.ordinal() << 8;
  }

  /** Whether it is an instruction. */
  public static boolean isDecoded(long decoded) {
    return (decoded & 15) != 0;
  }

  /** Why it is none; only where {@link #isDecoded} is false. */
  public static Undecodable reason(long decoded) {
    return REASONS[(int) (decoded >>> 8) & 0xff];
  }

  /** Length in bytes, 1 to 15; 0 where it was not decoded. */
  public static int length(long decoded) {
    return (int) decoded & 15;
  }

  /** What it does to the flow of control. */
  public static Flow flow(long decoded) {
    return FLOWS[(int) (decoded >>> 4) & 15];
  }

  /** Offset of the direct branch's displacement from the instruction's first byte; 0: none. */
  public static int branchOffset(long decoded) {
    return (int) (decoded >>> 8) & 15;
  }

  /** Width in bytes of the direct branch's displacement: 1 or 4; 0: none. */
  public static int branchWidth(long decoded) {
    return (int) (decoded >>> 12) & 7;
  }

  /** Offset of a RIP-relative operand's displacement from the instruction's first byte; 0: none. */
  public static int ripOffset(long decoded) {
    return (int) (decoded >>> 16) & 15;
  }

  /** Width in bytes of a RIP-relative operand's displacement: 4; 0: none. */
  public static int ripWidth(long decoded) {
    return (int) (decoded >>> 20) & 7;
  }

  /**
   * Whether it may run out of line, followed by a jump back (kernel: {@code can_boost}): it neither
   * branches nor traps nor depends on its own address other than through a RIP-relative operand.
   */
  public static boolean isBoostable(long decoded) {
    return (decoded & BOOSTABLE) != 0;
  }

  /** Whether it has a LOCK prefix. */
  public static boolean hasLock(long decoded) {
    return (decoded & LOCK) != 0;
  }

  /** Whether it has an f2 or f3 prefix that is no part of its opcode. */
  public static boolean hasRepeat(long decoded) {
    return (decoded & REPEAT) != 0;
  }

  /** Whether it has a 66 prefix that is no part of its opcode. */
  public static boolean hasOperandSize(long decoded) {
    return (decoded & OPERAND_SIZE) != 0;
  }

  /** Whether it has a 67 prefix. */
  public static boolean hasAddressSize(long decoded) {
    return (decoded & ADDRESS_SIZE) != 0;
  }

  /** Whether it has a segment override prefix, one that is ignored in 64-bit mode too. */
  public static boolean hasSegment(long decoded) {
    return (decoded & SEGMENT) != 0;
  }

  /** Whether a trap is not taken until the instruction behind it has run (mov ss, pop ss). */
  public static boolean blocksInterrupts(long decoded) {
    return (decoded & BLOCKS_INTERRUPTS) != 0;
  }
}
