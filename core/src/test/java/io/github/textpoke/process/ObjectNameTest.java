package io.github.textpoke.process;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ObjectNameTest {
  private static Mapping mapping(String path) {
    return MemoryMap.parse("1000-2000 r-xp 00000000 fe:00 1 " + path).mappings().get(0);
  }

  @ParameterizedTest
  @CsvSource({
    "/usr/lib/libc.so.6, libc.so.6, true, false",
    "/usr/lib/libc.so.6, /usr/lib/libc.so.6, true, false",
    "/usr/lib/libc.so.6, libc, false, true",
    "/usr/lib/libc.so.6, libc.so, false, true",
    "/usr/lib/libc.so.6, libc.so.5, false, false",
    "/usr/lib/libc.so.6, lib, false, false",
    "/usr/lib/libc-2.36.so, libc-2.36.so, true, true",
    "/usr/lib/libc-2.36.so, libc-2.36, false, true",
    "/usr/lib/libc-2.36.so, libc, false, true",
    "/usr/lib/libc-2.36.so, libc.so, false, true",
    "/usr/lib/libstdc++.so.6.0.30, libstdc++, false, true",
    "/usr/lib/ld-linux-x86-64.so.2, ld-linux-x86-64, false, true",
    "/usr/lib/libcrypto.so.3, libc, false, false",
    "/usr/bin/python3.11, python3.11, true, false",
    "/usr/bin/python3.11, python3, false, false",
    "[vdso], [vdso], true, false",
  })
  void comparesANameWithAFile(String path, String name, boolean exactly, boolean shortFor) {
    assertThat(ObjectName.isExactly(name, mapping(path))).isEqualTo(exactly);
    assertThat(ObjectName.isShortFor(name, mapping(path))).isEqualTo(shortFor);
  }
}
