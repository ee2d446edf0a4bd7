package io.github.textpoke.x86.flow;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbols;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** An object that gcc made of a source of a test. */
public final class Compiled {
  private final ElfImage image;
  private final Symbols symbols;
  private final String assembly;

  private Compiled(ElfImage image, String assembly) {
    this.image = image;
    this.symbols = Symbols.of(image);
    this.assembly = assembly;
  }

  /**
   * Compiles and links.
   *
   * @param source C, or assembly with {@code name} ending in {@code .s}
   * @param flags of gcc
   */
  public static Compiled of(Path directory, String name, String source, String flags)
      throws IOException, InterruptedException {
    Files.writeString(directory.resolve(name), source);
    String assembly = name.substring(0, name.lastIndexOf('.')) + ".s";
    List<String> words = new ArrayList<>(Arrays.asList(flags.split(" ")));
    if (!name.endsWith(".s")) {
      run(directory, words, "-S", "-o", assembly, name);
    }
    run(directory, words, "-nostdlib", "-Wl,-e,0", "-Wl,--build-id=none", "-o", "object", assembly);
    return new Compiled(
        ElfImage.read(directory.resolve("object")), Files.readString(directory.resolve(assembly)));
  }

  private static void run(Path directory, List<String> flags, String... more)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of("gcc"));
    command.addAll(flags);
    command.addAll(List.of(more));
    output(directory, command);
  }

  /** Runs a command, which must succeed; its output. */
  public static String output(Path directory, List<String> command)
      throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(command).directory(directory.toFile()).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as("%s: %s", command, output).isZero();
    return output;
  }

  /** The C library that this JVM runs on. */
  public static Path libc() throws IOException {
    try (var maps = Files.lines(Path.of("/proc/self/maps"))) {
      return maps.filter(line -> line.endsWith("/libc.so.6"))
          .map(line -> Path.of(line.substring(line.indexOf('/'))))
          .findFirst()
          .orElseThrow();
    }
  }

  /** The JVM's own library. */
  public static Path libjvm() {
    return Path.of(System.getProperty("java.home"), "lib", "server", "libjvm.so");
  }

  public ElfImage image() {
    return image;
  }

  public Symbols symbols() {
    return symbols;
  }

  /** What gcc made of the source. */
  public String assembly() {
    return assembly;
  }

  /** The link-time address of a symbol. */
  public long address(String symbol) {
    return symbols.named(symbol).stream().map(Symbol::address).findFirst().orElseThrow();
  }

  /** The function of that name, {@code bias} above its link-time address. */
  public CodeRegion function(String name, long bias) {
    Symbol symbol = symbols.named(name).get(0);
    CodeBytes bytes = LoadedBytes.of(image).bytes(symbol.address(), symbol.size()).orElseThrow();
    return CodeRegion.of(name, symbol.address() + bias, bytes);
  }
}
