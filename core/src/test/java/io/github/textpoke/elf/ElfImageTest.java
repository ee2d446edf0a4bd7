package io.github.textpoke.elf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.BadObjectException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import net.fornwall.jelf.ElfFile;
import net.fornwall.jelf.ElfSegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

final class ElfImageTest {
  @TempDir Path directory;

  static List<Path> objects() throws IOException {
    return List.of(TestObjects.libc(), TestObjects.libjvm(), TestObjects.strippedProgram());
  }

  @ParameterizedTest
  @MethodSource("objects")
  void readsTheSegmentsThatAnotherReaderReads(Path file) throws IOException {
    ElfImage image = ElfImage.read(file);
    ElfFile oracle = ElfFile.from(file);
    assertThat(image.segments()).hasSize(oracle.e_phnum);
    for (int i = 0; i < oracle.e_phnum; i++) {
      ElfSegment expected = oracle.getProgramHeader(i);
      assertThat(image.segments().get(i))
          .isEqualTo(
              new Segment(
                  expected.p_type,
                  expected.p_flags,
                  expected.p_offset,
                  expected.p_vaddr,
                  expected.p_filesz,
                  expected.p_memsz,
                  expected.p_align));
    }
    assertThat(image.entry()).isEqualTo(oracle.e_entry);
  }

  @ParameterizedTest
  @MethodSource("objects")
  void readsTheBuildIdThatReadelfReads(Path file) throws Exception {
    String notes = TestObjects.run(directory, "readelf", "-nW", file.toString());
    assertThat(ElfImage.read(file).buildId())
        .hasValueSatisfying(id -> assertThat(notes).contains("Build ID: " + id));
  }

  @Test
  void readsSonameAndDebugLink() throws Exception {
    Path file = TestObjects.small(directory);
    TestObjects.run(directory, "objcopy", "--only-keep-debug", file.toString(), "small.debug");
    TestObjects.run(directory, "objcopy", "--add-gnu-debuglink=small.debug", file.toString());
    ElfImage image = ElfImage.read(file);
    assertThat(image.soname()).hasValue("libsmall.so.1");
    java.util.zip.CRC32 crc = new java.util.zip.CRC32();
    crc.update(Files.readAllBytes(directory.resolve("small.debug")));
    assertThat(image.debugLink()).hasValue(new ElfImage.DebugLink("small.debug", crc.getValue()));
    assertThat(ElfImage.read(directory.resolve("small.debug")).buildId())
        .isEqualTo(image.buildId());
  }

  @Test
  void tellsAFixedExecutableFromAMovableOne() throws Exception {
    TestObjects.source(directory, "main.c", "int main(void) { return 0; }");
    TestObjects.run(directory, "gcc", "-no-pie", "-o", "fixed", "main.c");
    TestObjects.run(directory, "gcc", "-pie", "-o", "movable", "main.c");
    assertThat(ElfImage.read(directory.resolve("fixed")).isFixed()).isTrue();
    assertThat(ElfImage.read(directory.resolve("movable")).isFixed()).isFalse();
  }

  @Test
  void readsSegmentsOutOfTheFirstBytesAlone() throws Exception {
    byte[] all = Files.readAllBytes(TestObjects.libc());
    ElfImage whole = ElfImage.parse("libc", ByteBuffer.wrap(all));
    ElfImage headers = ElfImage.parseHeaders("libc", ByteBuffer.wrap(all, 0, 4096));
    assertThat(headers.segments()).isEqualTo(whole.segments());
    assertThat(Symbols.of(headers).all()).isEmpty();
  }

  @Test
  void namesTheObjectThatIsNone() {
    assertThatThrownBy(() -> ElfImage.parse("hello.txt", ByteBuffer.wrap(new byte[100])))
        .isInstanceOf(BadObjectException.class)
        .hasMessage("hello.txt: no ELF object");
  }

  @Test
  void namesTheFileThatCantBeRead() {
    assertThatThrownBy(() -> ElfImage.read(directory.resolve("missing")))
        .isInstanceOf(BadObjectException.class)
        .hasMessageContaining("missing")
        .hasMessageContaining("NoSuchFile");
  }

  @ParameterizedTest
  @ValueSource(ints = {4, 5, 16, 18})
  void refusesOtherClassesEndiannessTypesAndMachines(int offset) throws Exception {
    byte[] bytes = Files.readAllBytes(TestObjects.strippedProgram());
    bytes[offset] ^= 0x40;
    assertThatThrownBy(() -> ElfImage.parse("changed", ByteBuffer.wrap(bytes)))
        .isInstanceOf(BadObjectException.class);
  }

  @Test
  void refusesAFileThatWasCutOff() throws Exception {
    byte[] bytes = Files.readAllBytes(TestObjects.strippedProgram());
    byte[] half = Arrays.copyOf(bytes, bytes.length / 2);
    assertThatThrownBy(() -> ElfImage.parse("half", ByteBuffer.wrap(half)))
        .isInstanceOf(BadObjectException.class)
        .hasMessageContaining("section header table");
  }
}
