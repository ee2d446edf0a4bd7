package io.github.textpoke.elf;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.PatchException.BadObjectException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class HostileObjectTest {
  private static final long SEED = 0x7465_7874_706f_6b65L;
  private static final long[] NASTY = {
    0, 1, -1, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0xffff_ffffL, Long.MAX_VALUE, Long.MIN_VALUE
  };

  @TempDir Path directory;

  /** Reads all that can be read; whether the object was taken for a good one. */
  static boolean isAccepted(byte[] bytes) {
    try {
      ElfImage image = ElfImage.parse("hostile", ByteBuffer.wrap(bytes));
      image.buildId();
      image.soname();
      image.debugLink();
      Symbols symbols = Symbols.of(image);
      symbols.all();
      symbols.named("small");
      symbols.functionsAt(image.entry());
      symbols.startingIn(0, image.entry());
      symbols.functionRanges();
      symbols.addresses();
      symbols.codeAddresses();
      EhFrame.of(image).rangeAt(image.entry());
      EhFrame.of(image).endingIn(0, image.entry());
      Functions.of(image, symbols, EhFrame.of(image));
      LandingPads.of(image).firstIn(0, image.entry());
      Relocations.pointersToCode(image);
      LoadedBytes loaded = LoadedBytes.of(image);
      loaded.readOnly(image.entry(), 16);
      loaded.instruction(image.entry());
      loaded.placeOfAddressIn(image.entry(), image.entry() + 4);
      ElfImage.parseHeaders("hostile", ByteBuffer.wrap(bytes)).buildId();
      return true;
    } catch (BadObjectException refused) {
      assertThat(refused).hasMessageStartingWith("hostile: ");
      return false;
    }
  }

  @Test
  void refusesNothingElseThanByBadObjectExceptionWhereverBytesChange() throws Exception {
    byte[] good = Files.readAllBytes(TestObjects.small(directory));
    assertThat(isAccepted(good)).isTrue();
    SplittableRandom random = new SplittableRandom(SEED);
    int refused = 0;
    for (int round = 0; round < 20_000; round++) {
      byte[] bytes = good.clone();
      for (int i = random.nextInt(1, 4); i > 0; i--) {
        mutate(bytes, random);
      }
      if (!isAccepted(bytes)) {
        refused++;
      }
    }
    assertThat(refused).isBetween(1_000, 19_000);
  }

  private static void mutate(byte[] bytes, SplittableRandom random) {
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(java.nio.ByteOrder.LITTLE_ENDIAN);
    // Half of the changes in ELF and program headers, else nearly all would hit code and padding.
    int at = random.nextBoolean() ? random.nextInt(700) : random.nextInt(bytes.length - 8);
    long value = NASTY[random.nextInt(NASTY.length)];
    switch (random.nextInt(4)) {
      case 0 -> buffer.put(at, (byte) random.nextInt());
      case 1 -> buffer.putShort(at, (short) value);
      case 2 -> buffer.putInt(at, (int) value);
      case 3 -> buffer.putLong(at & ~7, value);
      default -> throw new AssertionError();
    }
  }

  @Test
  void refusesNothingElseThanByBadObjectExceptionWhereverTheFileEnds() throws Exception {
    byte[] good = Files.readAllBytes(TestObjects.small(directory));
    for (int length = 0; length < good.length; length += length < 1024 ? 1 : 61) {
      // The section headers are the end of the file.
      assertThat(isAccepted(Arrays.copyOf(good, length))).isFalse();
    }
  }
}
