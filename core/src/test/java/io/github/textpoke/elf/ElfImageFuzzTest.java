package io.github.textpoke.elf;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** With {@code JAZZER_FUZZ=1} it searches from the seeds on; without, it runs them alone. */
final class ElfImageFuzzTest {
  @TempDir static Path directory;

  static Stream<Arguments> seeds() throws Exception {
    return Stream.of(
        Arguments.of((Object) Files.readAllBytes(TestObjects.small(directory))),
        Arguments.of((Object) Files.readAllBytes(TestObjects.strippedProgram())));
  }

  @MethodSource("seeds")
  @FuzzTest(maxDuration = "2m")
  void readsAnyBytesOrRefusesThem(byte[] bytes) {
    HostileObjectTest.isAccepted(bytes);
  }
}
