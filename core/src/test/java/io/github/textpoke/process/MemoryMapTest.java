package io.github.textpoke.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

final class MemoryMapTest {
  private static final int SELF = (int) ProcessHandle.current().pid();

  static Stream<Arguments> lines() {
    return Stream.of(
        Arguments.of(
            "5597fa49e000-5597fa4a3000 r-xp 00002000 fe:00 260131                     /usr/bin/cat",
            new Mapping(
                0x5597fa49e000L,
                0x5597fa4a3000L,
                true,
                false,
                true,
                false,
                0x2000,
                "fe:00",
                260131,
                "/usr/bin/cat",
                false)),
        Arguments.of(
            "559813e19000-559813e3a000 rw-p 00000000 00:00 0                          [heap]",
            new Mapping(
                0x559813e19000L,
                0x559813e3a000L,
                true,
                true,
                false,
                false,
                0,
                "00:00",
                0,
                "[heap]",
                false)),
        Arguments.of(
            "7fbfa5729000-7fbfa574b000 rw-p 00000000 00:00 0 ",
            new Mapping(
                0x7fbfa5729000L,
                0x7fbfa574b000L,
                true,
                true,
                false,
                false,
                0,
                "00:00",
                0,
                "",
                false)),
        Arguments.of(
            "00400000-00401000 r--s 00000000 103:0a 18446744073709551615 /opt/a b (1) (deleted)",
            new Mapping(
                0x400000,
                0x401000,
                true,
                false,
                false,
                true,
                0,
                "103:0a",
                -1,
                "/opt/a b (1)",
                true)),
        Arguments.of(
            "7f0000000000-7f0040000000 rw-s 12345678000 00:10 7 /anon_hugepage (deleted)",
            new Mapping(
                0x7f0000000000L,
                0x7f0040000000L,
                true,
                true,
                false,
                true,
                0x12345678000L,
                "00:10",
                7,
                "/anon_hugepage",
                true)),
        Arguments.of(
            "7f0000000000-7f0000001000 r-xp 00000000 00:01 1025 /memfd:text\\012poke (deleted)",
            new Mapping(
                0x7f0000000000L,
                0x7f0000001000L,
                true,
                false,
                true,
                false,
                0,
                "00:01",
                1025,
                "/memfd:text\npoke",
                true)),
        Arguments.of(
            "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
            new Mapping(
                0xffffffffff600000L,
                0xffffffffff601000L,
                false,
                false,
                true,
                false,
                0,
                "00:00",
                0,
                "[vsyscall]",
                false)));
  }

  @ParameterizedTest
  @MethodSource("lines")
  void readsALine(String line, Mapping expected) {
    assertThat(MemoryMap.parse(line + "\n").mappings()).containsExactly(expected);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "5597fa49e000 r-xp", "1-2 rwx- 0 0:0 0", "x-y r-xp 0 00:00 0 "})
  void refusesALineOfAnotherFile(String line) {
    assertThatThrownBy(() -> MemoryMap.parse(line + "\n"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(line);
  }

  @Test
  void findsTheMappingOfAnAddressInBothHalvesOfTheAddressSpace() {
    MemoryMap map =
        MemoryMap.parse(
            """
            1000-2000 r-xp 00000000 00:00 0
            2000-3000 rw-p 00000000 00:00 0
            7fbfa5729000-7fbfa574b000 rw-p 00000000 00:00 0
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
            """);
    assertThat(map.at(0xfff)).isEmpty();
    assertThat(map.at(0x1000)).hasValue(map.mappings().get(0));
    assertThat(map.at(0x1fff)).hasValue(map.mappings().get(0));
    assertThat(map.at(0x2000)).hasValue(map.mappings().get(1));
    assertThat(map.at(0x3000)).isEmpty();
    assertThat(map.at(0x7fbfa574afffL)).hasValue(map.mappings().get(2));
    assertThat(map.at(0xffffffffff600fffL)).hasValue(map.mappings().get(3));
    assertThat(map.at(-1)).isEmpty();
  }

  @Test
  void knowsHugePagesByTheirPath() {
    MemoryMap map =
        MemoryMap.parse(
            """
            1000-2000 rw-p 00000000 00:10 7 /anon_hugepage (deleted)
            2000-3000 rw-s 00000000 00:10 8 /dev/hugepages/text
            3000-4000 r-xp 00000000 fe:00 9 /usr/bin/cat
            """);
    assertThat(map.mappings()).extracting(Mapping::isHugetlb).containsExactly(true, true, false);
  }

  @Test
  void readsItsOwnProcess() {
    MemoryMap map = MemoryMap.read(SELF);
    assertThat(map.mappings()).anyMatch(mapping -> mapping.path().equals("[stack]"));
    Mapping libjvm =
        map.mappings().stream()
            .filter(mapping -> mapping.executable() && mapping.baseName().equals("libjvm.so"))
            .findFirst()
            .orElseThrow();
    assertThat(map.ofSameFile(libjvm)).contains(libjvm).hasSizeGreaterThan(2);
    assertThat(MemoryMap.kernelPageSize(SELF, libjvm.start())).isEqualTo(4096);
  }

  @Test
  void namesTheAddressThatHasNoPageSize() {
    assertThatThrownBy(() -> MemoryMap.kernelPageSize(SELF, 0))
        .isInstanceOf(UnwritableMappingException.class)
        .hasMessageStartingWith("0x0: ");
  }

  @Test
  void namesTheProcessThatIsNotThere() {
    assertThatThrownBy(() -> MemoryMap.read(Integer.MAX_VALUE))
        .isInstanceOf(NoSuchProcessException.class)
        .hasMessageContaining(String.valueOf(Integer.MAX_VALUE));
    assertThatThrownBy(() -> new ProcMemReader(Integer.MAX_VALUE))
        .isInstanceOf(NoSuchProcessException.class);
  }
}
