package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSortedSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.internal.LaunchLayout;
import io.github.textpoke.linux.NativeBytes;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The memory that the launcher finds its orders in ({@link LaunchLayout}), and behind it the
 * strings. It must be kept as long as the launcher lives.
 */
final class LaunchMemory {
  private static final long LAST_DESCRIPTOR = 0xffffffffL;
  private static final int RANGE_SIZE = 2 * Long.BYTES;

  private final NativeBytes memory;
  private int end = LaunchLayout.SIZE;

  /**
   * What to open as a standard stream.
   *
   * @param file its name, absolute, as the kernel reads it
   * @param flags of open(2)
   */
  record Stream(byte[] file, int flags) {}

  /**
   * What to start, as the kernel reads it: bytes, none of them zero.
   *
   * @param path the executable file
   * @param arguments the first is the program's name
   * @param environment strings as {@code NAME=VALUE}
   * @param directory null: that of this JVM
   * @param streams standard input, output, error; null where it is that of this JVM
   * @param descriptors those of this JVM's, besides the standard streams, that are passed on
   * @param mask signals to block
   */
  record Order(
      byte[] path,
      ImmutableList<byte[]> arguments,
      ImmutableList<byte[]> environment,
      byte @Nullable [] directory,
      List<@Nullable Stream> streams,
      ImmutableSortedSet<Integer> descriptors,
      long mask) {}

  LaunchMemory(Order order) {
    memory = new NativeBytes(LaunchLayout.SIZE + size(order));
    for (int offset = 0; offset < LaunchLayout.SIZE; offset += Long.BYTES) {
      memory.putLong(offset, 0);
    }
    memory.putLong(LaunchLayout.JVM, ProcessHandle.current().pid());
    memory.putLong(LaunchLayout.MASK, order.mask());
    memory.putLong(LaunchLayout.CLOSED, closed(order.descriptors()));
    memory.putLong(LaunchLayout.PATH, string(order.path()));
    memory.putLong(LaunchLayout.ARGUMENTS, strings(order.arguments()));
    memory.putLong(LaunchLayout.ENVIRONMENT, strings(order.environment()));
    byte[] directory = order.directory();
    memory.putLong(LaunchLayout.DIRECTORY, directory == null ? 0 : string(directory));
    for (int i = 0; i < LaunchLayout.STREAM_COUNT; i++) {
      Stream stream = order.streams().get(i);
      int at = LaunchLayout.STREAMS + i * LaunchLayout.STREAM_SIZE;
      memory.putLong(at, stream == null ? 0 : string(stream.file()));
      memory.putLong(at + Long.BYTES, stream == null ? 0 : stream.flags());
    }
  }

  private static int size(Order order) {
    long size = room(order.path()) + Long.BYTES * 2L;
    size += (order.descriptors().size() + 2L) * RANGE_SIZE;
    for (byte[] text : order.arguments()) {
      size += room(text) + Long.BYTES;
    }
    for (byte[] text : order.environment()) {
      size += room(text) + Long.BYTES;
    }
    byte[] directory = order.directory();
    size += directory == null ? 0 : room(directory);
    for (Stream stream : order.streams()) {
      size += stream == null ? 0 : room(stream.file());
    }
    return Math.toIntExact(size);
  }

  /** All between and behind those that are kept. */
  private long closed(ImmutableSortedSet<Integer> kept) {
    int at = end;
    long from = LaunchLayout.STREAM_COUNT;
    for (int descriptor : kept) {
      if (descriptor > from) {
        range(from, descriptor - 1L);
      }
      from = descriptor + 1L;
    }
    range(from, LAST_DESCRIPTOR);
    range(0, 0);
    return memory.address(at);
  }

  private void range(long first, long last) {
    memory.putLong(end, first);
    memory.putLong(end + Long.BYTES, last);
    end += RANGE_SIZE;
  }

  private static int room(byte[] text) {
    return text.length + Long.BYTES & -Long.BYTES;
  }

  private long string(byte[] text) {
    int at = end;
    memory.put(at, CodeBytes.copyOf(text, 0, text.length));
    memory.put(at + text.length, (byte) 0);
    end += room(text);
    return memory.address(at);
  }

  private long strings(ImmutableList<byte[]> texts) {
    int at = end;
    end += (texts.size() + 1) * Long.BYTES;
    for (int i = 0; i < texts.size(); i++) {
      memory.putLong(at + i * Long.BYTES, string(texts.get(i)));
    }
    memory.putLong(at + texts.size() * Long.BYTES, 0);
    return memory.address(at);
  }

  /** The whole of it. */
  NativeBytes memory() {
    return memory;
  }
}
