package io.github.textpoke.x86.plan;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/** The functions that a shared library exports, by its .dynsym: code that nobody wrote for us. */
public final class SharedLibrary {
  private static final int SHT_DYNSYM = 11;
  private static final int STT_FUNC = 2;

  private SharedLibrary() {}

  /** The C library that this JVM runs with. */
  public static Path libc() throws IOException {
    try (var maps = Files.lines(Path.of("/proc/self/maps"))) {
      return maps.filter(line -> line.contains("/libc.so.6") || line.contains("/libc-2."))
          .map(line -> Path.of(line.substring(line.indexOf('/'))))
          .findFirst()
          .orElseThrow();
    }
  }

  /** One region for each function, sorted by address, aliases left out. */
  public static ImmutableList<CodeRegion> functions(Path library) throws IOException {
    ByteBuffer elf = ByteBuffer.wrap(Files.readAllBytes(library)).order(ByteOrder.LITTLE_ENDIAN);
    int sections = (int) elf.getLong(0x28);
    int entrySize = elf.getShort(0x3a);
    int count = elf.getShort(0x3c);
    Map<Long, CodeRegion> functions = new TreeMap<>();
    for (int i = 0; i < count; i++) {
      int header = sections + i * entrySize;
      if (elf.getInt(header + 4) == SHT_DYNSYM) {
        int start = (int) elf.getLong(header + 0x18);
        int end = start + (int) elf.getLong(header + 0x20);
        for (int symbol = start; symbol < end; symbol += 24) {
          long address = elf.getLong(symbol + 8);
          int size = (int) elf.getLong(symbol + 16);
          if ((elf.get(symbol + 4) & 15) == STT_FUNC && size > 0 && address != 0) {
            int section = sections + (elf.getShort(symbol + 6) & 0xffff) * entrySize;
            long bias = elf.getLong(section + 0x18) - elf.getLong(section + 0x10);
            functions.put(address, region(elf, address, (int) (address + bias), size));
          }
        }
      }
    }
    return ImmutableList.copyOf(functions.values());
  }

  private static CodeRegion region(ByteBuffer elf, long address, int offset, int size) {
    CodeBytes bytes = CodeBytes.copyOf(elf.array(), offset, offset + size);
    return CodeRegion.of("0x" + Long.toHexString(address), address, bytes);
  }
}
