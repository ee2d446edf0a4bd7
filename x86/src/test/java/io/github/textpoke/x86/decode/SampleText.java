package io.github.textpoke.x86.decode;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** The .text of libraries that every machine with this test has: code that compilers made. */
final class SampleText {
  private SampleText() {}

  /** Of the C library that this process runs on. */
  static CodeRegion libc() {
    try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
      String path =
          maps.filter(line -> line.matches(".*/libc(\\.so\\.6|-[0-9.]+\\.so)$"))
              .map(line -> line.substring(line.indexOf('/')))
              .findFirst()
              .orElseThrow(() -> new IllegalStateException("no libc in /proc/self/maps"));
      return text(Path.of(path));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Of the Java virtual machine that runs this test. */
  static CodeRegion libjvm() {
    return text(Path.of(System.getProperty("java.home"), "lib", "server", "libjvm.so"));
  }

  private static CodeRegion text(Path file) {
    try {
      ByteBuffer elf =
          ByteBuffer.wrap(Files.readAllBytes(file.toRealPath())).order(ByteOrder.LITTLE_ENDIAN);
      int headers = (int) elf.getLong(0x28);
      int size = elf.getShort(0x3a);
      int count = elf.getShort(0x3c) & 0xffff;
      int names = (int) elf.getLong(headers + size * (elf.getShort(0x3e) & 0xffff) + 0x18);
      for (int i = 0; i < count; i++) {
        int header = headers + size * i;
        if (name(elf, names + elf.getInt(header)).equals(".text")) {
          int offset = (int) elf.getLong(header + 0x18);
          int length = (int) elf.getLong(header + 0x20);
          CodeBytes bytes = CodeBytes.copyOf(elf.array(), offset, offset + length);
          return CodeRegion.of(file.getFileName().toString(), elf.getLong(header + 0x10), bytes);
        }
      }
      throw new IllegalStateException("no .text in " + file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String name(ByteBuffer elf, int at) {
    int end = at;
    while (elf.get(end) != 0) {
      end++;
    }
    return new String(elf.array(), at, end - at, StandardCharsets.US_ASCII);
  }
}
