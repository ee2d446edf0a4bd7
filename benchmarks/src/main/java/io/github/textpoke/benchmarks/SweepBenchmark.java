package io.github.textpoke.benchmarks;

import static java.util.Objects.requireNonNull;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.flow.ObjectSweep;
import io.github.textpoke.x86.plan.Entrances;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What it costs to know who leads into the functions of a whole object, and then to prove of one
 * function that nobody enters its first 5 bytes. Run with {@code -prof gc} for the allocation: a
 * sweep copies the code twice and allocates little more. Runs on any operating system on which
 * these libraries are.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class SweepBenchmark {
  /** The object that is swept. */
  @Param({"libc", "libjvm"})
  public String object = "libc";

  private @Nullable ElfImage image;
  private @Nullable Entrances entrances;
  private @Nullable CodeRegion function;

  /** Maps the object, and finds a function of it. */
  @Setup
  public void prepare() throws IOException {
    ElfImage read = ElfImage.read(object.equals("libc") ? libc() : libjvm());
    Symbols symbols = Symbols.of(read);
    image = read;
    entrances = Entrances.of(read, symbols, 0);
    String name = object.equals("libc") ? "fopen64" : "JNI_CreateJavaVM";
    var symbol = symbols.named(name).get(0);
    FunctionRange range = new FunctionRange(symbol.address(), symbol.address() + symbol.size());
    function = CodeRegion.of(name, range.start(), LoadedBytes.of(read).code(range));
  }

  /** The whole object, not from the cache. */
  @Benchmark
  public ObjectSweep sweep() {
    return ObjectSweep.sweep(requireNonNull(image));
  }

  /** One function, with the sweep at hand. */
  @Benchmark
  public Entrances.Unentered proveOne() {
    CodeRegion code = requireNonNull(function);
    return requireNonNull(entrances).check(new TableDecoder(), code, code.address(), 5);
  }

  private static Path libjvm() {
    return Path.of(System.getProperty("java.home"), "lib", "server", "libjvm.so");
  }

  private static Path libc() throws IOException {
    try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
      return maps.filter(line -> line.endsWith("/libc.so.6"))
          .map(line -> Path.of(line.substring(line.indexOf('/'))))
          .findFirst()
          .orElseThrow(() -> new IOException("no libc.so.6 in /proc/self/maps"));
    }
  }
}
