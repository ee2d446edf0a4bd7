package io.github.textpoke.x86.detour;

import com.google.common.base.Splitter;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What the processor can do, as the kernel tells. */
final class Processor {
  private static final Path CPUINFO = Path.of("/proc/cpuinfo");

  private Processor() {}

  /**
   * Does nothing where the processor has {@code flag}, and the system has enabled it.
   *
   * @param what needs it, for the message
   * @throws UnsupportedPlatformException where it has not
   */
  static void require(String flag, String what) {
    List<String> lines;
    try {
      lines = Files.readAllLines(CPUINFO);
    } catch (IOException hidden) {
      throw new UnsupportedPlatformException(
          what + " needs " + flag + ", and what the processor has can't be read", hidden);
    }
    boolean has =
        lines.stream()
            .filter(line -> line.startsWith("flags"))
            .anyMatch(line -> Splitter.on(' ').splitToList(line).contains(flag));
    if (!has) {
      throw new UnsupportedPlatformException(
          what + " needs a processor with " + flag, /* cause= */ null);
    }
  }
}
