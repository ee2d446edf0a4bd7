package io.github.textpoke.x86.flow;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import java.util.Arrays;
import java.util.BitSet;

/**
 * One function, decoded from its start to its end: its boundaries, and where its instructions lead.
 * It can be loaded with one function after another and then allocates nothing. Not thread-safe.
 */
public final class FunctionCode {
  private final InstructionDecoder decoder;
  private CodeRegion code;
  private int from;
  private int end;
  private int[] starts = new int[256];
  private long[] decoded = new long[256];
  private int count;
  private final BitSet targets = new BitSet();
  private boolean knowsTargets;

  /**
   * All of {@code code}.
   *
   * @param decoder reads it; stays yours
   */
  public FunctionCode(InstructionDecoder decoder, CodeRegion code) {
    this(decoder, code, 0, code.bytes().length());
  }

  /** The bytes of {@code code} from {@code from} to {@code end}, exclusive. */
  FunctionCode(InstructionDecoder decoder, CodeRegion code, int from, int end) {
    this.decoder = decoder;
    this.code = code;
    load(code, from, end);
  }

  /** Goes to the bytes from {@code from} to {@code end}, exclusive, both offsets in the region. */
  void load(CodeRegion region, int from, int end) {
    code = region;
    this.from = from;
    this.end = end;
    count = 0;
    knowsTargets = false;
    int at = from;
    while (at < end) {
      long instruction = decoder.decode(region, at);
      if (!Decoded.isDecoded(instruction) || at + Decoded.length(instruction) > end) {
        break;
      }
      if (count == starts.length) {
        starts = Arrays.copyOf(starts, 2 * count);
        decoded = Arrays.copyOf(decoded, 2 * count);
      }
      starts[count] = at;
      decoded[count++] = instruction;
      at += Decoded.length(instruction);
    }
  }

  /** The region that holds it. */
  public CodeRegion code() {
    return code;
  }

  /** The number of instructions. */
  public int count() {
    return count;
  }

  /** Offset in the region of instruction {@code index}. */
  public int offset(int index) {
    return starts[index];
  }

  /** Address of instruction {@code index}. */
  public long address(int index) {
    return code.address() + starts[index];
  }

  /** Instruction {@code index}, packed. */
  public long decoded(int index) {
    return decoded[index];
  }

  /** Offset in the region behind the last instruction that could be read. */
  public int readTo() {
    return count == 0 ? from : starts[count - 1] + Decoded.length(decoded[count - 1]);
  }

  /** Whether all of it could be read. */
  public boolean isWhole() {
    return readTo() == end;
  }

  /** Whether {@code address} lies in the function. */
  public boolean contains(long address) {
    return address - code.address() >= from && address - code.address() < end;
  }

  /** Whether an instruction of the function begins at {@code address}. */
  public boolean isBoundary(long address) {
    return contains(address) && indexOf(address) >= 0;
  }

  /** Index of the instruction at {@code address}; negative where none begins there. */
  public int indexOf(long address) {
    return Arrays.binarySearch(starts, 0, count, (int) (address - code.address()));
  }

  /** Where the direct branch {@code index} leads; it must be one ({@link Decoded#branchWidth}). */
  public long branchTarget(int index) {
    long instruction = decoded[index];
    return target(code, starts[index], instruction);
  }

  /** The address that the RIP-relative operand of instruction {@code index} names. */
  public long ripTarget(int index) {
    long instruction = decoded[index];
    int at = starts[index];
    return code.address()
        + at
        + Decoded.length(instruction)
        + signed(code, at + Decoded.ripOffset(instruction), 4);
  }

  /** Where a direct branch leads. */
  static long target(CodeRegion code, int offset, long branch) {
    return code.address()
        + offset
        + Decoded.length(branch)
        + signed(code, offset + Decoded.branchOffset(branch), Decoded.branchWidth(branch));
  }

  private static int signed(CodeRegion code, int at, int width) {
    var bytes = code.bytes();
    return width == 1
        ? (byte) bytes.at(at)
        : bytes.at(at) | bytes.at(at + 1) << 8 | bytes.at(at + 2) << 16 | bytes.at(at + 3) << 24;
  }

  /**
   * Index of the first instruction from which control runs straight to instruction {@code index}:
   * no branch of the function leads in between, and no instruction before it ends the flow.
   *
   * @param most instructions to go back
   */
  int straightStart(int index, int most) {
    findTargets();
    int first = index;
    while (first > 0
        && index - first < most
        && !targets.get(starts[first] - from)
        && !Decoded.flow(decoded[first - 1]).endsFlow()
        && Decoded.flow(decoded[first - 1]) != Flow.BREAKPOINT) {
      first--;
    }
    return first;
  }

  private void findTargets() {
    if (knowsTargets) {
      return;
    }
    targets.clear();
    for (int i = 0; i < count; i++) {
      if (Decoded.branchWidth(decoded[i]) != 0) {
        long target = branchTarget(i);
        if (contains(target)) {
          targets.set((int) (target - code.address()) - from);
        }
      }
    }
    knowsTargets = true;
  }
}
