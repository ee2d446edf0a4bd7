package io.github.textpoke.x86.link;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.ObjectRefusedException;
import io.github.textpoke.x86.flow.Compiled;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whatever the bytes of an object say, it is linked or refused. */
final class HostilePatchObjectTest {
  private static final long SEED = 0x6c69_6e6bL;
  private static final int ROUNDS = 10_000;
  private static final long[] NASTY = {
    0, 1, -1, 7, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0xffff_ffffL, Long.MAX_VALUE, Long.MIN_VALUE
  };

  private static final String SOURCE =
      """
      extern int target_add(int, int);
      extern int *target_data;
      static int state = 1;
      int exported = 2;
      int *pointers[] = {&state, &exported, 0};
      static void *resolve(void) { return (void *) 0; }
      int chosen(void) __attribute__((ifunc("resolve")));
      __attribute__((constructor)) static void start(void) { state++; }
      __attribute__((destructor)) static void end(void) { state--; }
      __attribute__((section(".textpoke"), used)) static const char spec[] = "{}";
      int replaced(int a) { return target_add(a, *target_data) + chosen(); }
      """;

  @TempDir Path directory;

  private byte[] good() throws Exception {
    Files.writeString(directory.resolve("new.c"), SOURCE);
    Compiled.output(
        directory,
        List.of(
            "gcc",
            "-O1",
            "-shared",
            "-fPIC",
            "-nostartfiles",
            "-Wl,-z,noseparate-code,-z,pack-relative-relocs,--build-id=sha1",
            "-o",
            "new.so",
            "new.c"));
    return Files.readAllBytes(directory.resolve("new.so"));
  }

  /** Reads and links all; whether it was taken for a good one. */
  private static boolean isAccepted(byte[] bytes) {
    FakeScope scope = new FakeScope().with("target_add", 0x1000).with("target_data", 0x2000);
    try {
      PatchObject object = PatchObject.parse("hostile", bytes);
      object.spec();
      object.buildId();
      object.needed();
      Linked linked = Linker.link(object, 0x5555_0000_0000L, scope);
      linked.functions();
      linked.ehFrame();
      return true;
    } catch (BadObjectException | ObjectRefusedException refused) {
      assertThat(refused).hasMessageContaining("hostile");
      return false;
    } catch (NoSuchSymbolException renamed) {
      return false;
    }
  }

  @Test
  void linksOrRefusesWhateverIsChanged() throws Exception {
    byte[] good = good();
    assertThat(isAccepted(good)).isTrue();
    SplittableRandom random = new SplittableRandom(SEED);
    int refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
      byte[] bytes = good.clone();
      for (int i = random.nextInt(1, 4); i > 0; i--) {
        mutate(bytes, random);
      }
      if (!isAccepted(bytes)) {
        refused++;
      }
    }
    assertThat(refused).isBetween(ROUNDS / 20, ROUNDS * 19 / 20);
  }

  /** All that is read lies in the headers, the tables behind them, and the data near the end. */
  private static void mutate(byte[] bytes, SplittableRandom random) {
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int at = random.nextBoolean() ? random.nextInt(1600) : random.nextInt(bytes.length - 8);
    long value = NASTY[random.nextInt(NASTY.length)];
    switch (random.nextInt(5)) {
      case 0 -> buffer.put(at, (byte) random.nextInt());
      case 1 -> buffer.putShort(at, (short) value);
      case 2 -> buffer.putInt(at, (int) value);
      case 3 -> buffer.putLong(at & ~7, value);
      case 4 -> buffer.put(at, (byte) (buffer.get(at) ^ 1 << random.nextInt(8)));
      default -> throw new AssertionError();
    }
  }

  @Test
  void refusesATruncatedObjectWhereverItEnds() throws Exception {
    byte[] good = good();
    for (int length = 0; length < good.length; length += length < 2048 ? 1 : 61) {
      // The section headers are the end of the file.
      assertThat(isAccepted(Arrays.copyOf(good, length))).isFalse();
    }
  }
}
