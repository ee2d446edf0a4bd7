package io.github.textpoke.x86.link;

import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LoadedBytes;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * Where a linked object's unwind information ({@code .eh_frame}) stands.
 *
 * <p>Source: LSB Core, "Exception Frames".
 *
 * @param start absolute address of its first byte
 * @param end absolute address behind its last
 * @param isTerminated whether an entry of length 0 ends it, as {@code __register_frame} of libgcc
 *     needs it: it reads on where there is none, as in an object linked with {@code -nostartfiles}
 */
public record FrameTable(long start, long end, boolean isTerminated) {
  private static final int EXTENDED = 0xffff_ffff;

  /** That of {@code object}, {@code bias} above its link-time address. */
  static Optional<FrameTable> of(PatchObject object, long bias) {
    return LoadedBytes.section(object.image(), ".eh_frame")
        .map(
            frames ->
                new FrameTable(
                    frames.start() + bias, frames.end() + bias, isTerminated(object, frames)));
  }

  /** Entry by entry: the instructions of the last one may end with zeros too. */
  private static boolean isTerminated(PatchObject object, FunctionRange frames) {
    ByteBuffer bytes =
        ByteBuffer.wrap(
                LoadedBytes.of(object.image())
                    .bytes(frames.start(), frames.end() - frames.start())
                    .orElseThrow(() -> object.bad("the file lacks bytes of .eh_frame"))
                    .toByteArray())
            .order(ByteOrder.LITTLE_ENDIAN);
    long at = 0;
    while (at <= bytes.limit() - Integer.BYTES) {
      int length = bytes.getInt((int) at);
      if (length == 0) {
        return true;
      }
      if (length == EXTENDED) {
        throw object.bad("an entry of .eh_frame that is larger than 4 GiB");
      }
      at += Integer.BYTES + Integer.toUnsignedLong(length);
    }
    return false;
  }
}
