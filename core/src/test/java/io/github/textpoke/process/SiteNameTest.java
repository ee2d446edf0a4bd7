package io.github.textpoke.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.process.SiteName.Address;
import io.github.textpoke.process.SiteName.InFunction;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

final class SiteNameTest {
  private static Arguments row(
      String text, String canonical, String object, String symbol, int sympos, int offset) {
    return Arguments.of(
        text, canonical, new InFunction(Optional.ofNullable(object), symbol, sympos, offset));
  }

  static Stream<Arguments> sites() {
    return Stream.of(
        Arguments.of("0x7fbfa5729000", "0x7fbfa5729000", new Address(0x7fbfa5729000L)),
        Arguments.of("0xFFFFFFFFFF600000", "0xffffffffff600000", new Address(-0xa00000L)),
        row("getpid", "getpid", null, "getpid", 0, 0),
        row("libc:getpid", "libc:getpid", "libc", "getpid", 0, 0),
        row("libc.so.6:getpid+4", "libc.so.6:getpid+0x4", "libc.so.6", "getpid", 0, 4),
        row("getpid+0x1C", "getpid+0x1c", null, "getpid", 0, 28),
        row("f#2", "f#2", null, "f", 2, 0),
        row("f#0", "f", null, "f", 0, 0),
        row("f#010+010", "f#10+0xa", null, "f", 10, 10),
        row(
            "libstdc++.so.6:_Znwm#1+7",
            "libstdc++.so.6:_Znwm#1+0x7",
            "libstdc++.so.6",
            "_Znwm",
            1,
            7),
        row("[vdso]:getcpu", "[vdso]:getcpu", "[vdso]", "getcpu", 0, 0),
        row("my server:main", "my server:main", "my server", "main", 0, 0),
        row("/opt/a:b/lib.so:f", "/opt/a:b/lib.so:f", "/opt/a:b/lib.so", "f", 0, 0),
        row("memcpy@GLIBC_2.2.5", "memcpy@GLIBC_2.2.5", null, "memcpy@GLIBC_2.2.5", 0, 0),
        row("f.isra.0.cold", "f.isra.0.cold", null, "f.isra.0.cold", 0, 0),
        row("0xcafe:f", "0xcafe:f", "0xcafe", "f", 0, 0));
  }

  @ParameterizedTest
  @MethodSource("sites")
  void readsASiteAndWritesItBack(String text, String canonical, SiteName expected) {
    SiteName site = SiteName.parse(text);
    assertThat(site).isEqualTo(expected).hasToString(canonical);
    assertThat(SiteName.parse(canonical)).isEqualTo(site);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "0x",
        "0xg",
        "0x12345678123456781",
        "0x10+4",
        ":f",
        "libc:",
        "f#",
        "f#x",
        "f+",
        "f+-1",
        "f+0x",
        "f+4#2",
        "f g",
        "lib/libc.so:f",
        "f+9999999999",
        "f#9999999999",
        "f+0x123456789"
      })
  void refusesWhatIsNoSite(String text) {
    assertThatThrownBy(() -> SiteName.parse(text))
        .isInstanceOf(BadSiteException.class)
        .hasMessageStartingWith("'" + text + "' is no site: ")
        .hasMessageContaining("[object:]symbol[#n][+offset]");
  }
}
