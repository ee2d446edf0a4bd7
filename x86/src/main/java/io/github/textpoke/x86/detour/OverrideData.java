package io.github.textpoke.x86.detour;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.detour.ReturnOverride.Chance;
import io.github.textpoke.x86.detour.ReturnOverride.InOrder;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.OptionalLong;

/**
 * The data block of a return override, drawn. It lies in memory of the target that its threads
 * write; each counter has a cache line of its own, and is only ever added to, at once ({@code lock
 * xadd}).
 *
 * <pre>
 *   0  ended      1 when the deadline has been seen to pass, else 0; never back
 *  64  calls      how many calls came to the test of every n-th
 * 128  generator  the seed, and for each call drawn for {@link #STEP} more
 * 192  taken      how many calls came to the test of times
 * 256  values     those that are returned in order
 * </pre>
 */
final class OverrideData {
  static final int ENDED = 0;
  static final int CALLS = 64;
  static final int GENERATOR = 128;
  static final int TAKEN = 192;
  static final int VALUES = 256;

  /** In bytes: the block's address is a multiple of it. */
  static final int ALIGNMENT = 64;

  /** What the generator steps by: the golden ratio's fraction in 64 bits, as SplittableRandom. */
  static final long STEP = 0x9e37_79b9_7f4a_7c15L;

  private OverrideData() {}

  /** Size of the block in bytes; 0 where none is needed. */
  static int size(ReturnOverride override) {
    return override.isUnconditional() ? 0 : VALUES + values(override).size() * Long.BYTES;
  }

  /** The block as it is before the first call. */
  static CodeBytes initial(ReturnOverride override) {
    ByteBuffer bytes = ByteBuffer.allocate(size(override)).order(ByteOrder.LITTLE_ENDIAN);
    if (bytes.hasRemaining()) {
      bytes.putLong(GENERATOR, override.chance().map(Chance::seed).orElse(0L));
      bytes.position(VALUES);
      values(override).forEach(bytes::putLong);
    }
    return CodeBytes.copyOf(bytes.rewind());
  }

  /**
   * How many calls were overridden until now, or are about to be.
   *
   * @param block the first bytes of the block, up to the values at least
   * @return empty for an override without conditions, which counts nothing
   */
  static OptionalLong overridden(ReturnOverride override, CodeBytes block) {
    if (override.isUnconditional()) {
      return OptionalLong.empty();
    }
    checkArgument(block.length() >= VALUES, "the block has more than %s bytes", block.length());
    long taken = ByteBuffer.wrap(block.toByteArray()).order(ByteOrder.LITTLE_ENDIAN).getLong(TAKEN);
    return OptionalLong.of(Math.min(taken, override.limit().orElse(Long.MAX_VALUE)));
  }

  private static ImmutableList<Long> values(ReturnOverride override) {
    return override.returned() instanceof InOrder inOrder ? inOrder.values() : ImmutableList.of();
  }
}
