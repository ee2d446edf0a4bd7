package io.github.textpoke.elf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Objects to read in tests: those of this machine, and those that gcc makes here. */
public final class TestObjects {
  private TestObjects() {}

  /** The C library that this JVM runs on. */
  public static Path libc() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/maps")).stream()
        .map(line -> line.substring(line.indexOf('/') + 1))
        .filter(path -> path.endsWith("/libc.so.6"))
        .map(path -> Path.of("/", path))
        .findFirst()
        .orElseThrow();
  }

  /** The JVM's own library. */
  public static Path libjvm() {
    return Path.of(System.getProperty("java.home"), "lib", "server", "libjvm.so");
  }

  /** A stripped executable that was made by others. */
  public static Path strippedProgram() {
    return Path.of("/bin/true");
  }

  /** Writes {@code source} to {@code directory/name}. */
  public static void source(Path directory, String name, String source) throws IOException {
    Files.writeString(directory.resolve(name), source);
  }

  /** Runs a command in {@code directory}, which must succeed; its output. */
  public static String run(Path directory, String... command)
      throws IOException, InterruptedException {
    List<String> words = new ArrayList<>(List.of(command));
    Process process =
        new ProcessBuilder(words).directory(directory.toFile()).redirectErrorStream(true).start();
    String output =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
    assertThat(process.waitFor()).as("%s: %s", words, output).isZero();
    return output;
  }

  /** A small shared object with all that we read: symbols, versions, notes, unwind information. */
  public static Path small(Path directory) throws IOException, InterruptedException {
    source(
        directory,
        "small.c",
        """
        int counter;
        static int twice(int x) { return 2 * x + counter; }
        int (*volatile chosen)(int) = twice;
        int small_add(int a, int b) { return chosen(a) + b; }
        int small_old(void) { return 1; }
        int small_new(void) { return 2; }
        __asm__(".symver small_old, small@SMALL_1");
        __asm__(".symver small_new, small@@SMALL_2");
        """);
    source(
        directory,
        "small.map",
        "SMALL_1 { global: small; }; SMALL_2 { global: small; small_add; } SMALL_1;");
    run(
        directory,
        "gcc",
        "-O1",
        "-shared",
        "-nostdlib",
        "-fPIC",
        "-Wl,--build-id=sha1,-soname,libsmall.so.1,--version-script=small.map",
        "-Wl,-z,noseparate-code",
        "-o",
        "libsmall.so.1.0",
        "small.c");
    return directory.resolve("libsmall.so.1.0");
  }
}
