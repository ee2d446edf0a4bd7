package io.github.textpoke.benchmarks;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import io.github.textpoke.x86.decode.ZydisDecoder;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Nanoseconds per instruction, decoding the C library's code front to back. Run with {@code -prof
 * gc} for the allocation, which should be none.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class DecodeBenchmark {
  /** Instructions in one invocation; libc has three times as many. */
  private static final int INSTRUCTIONS = 100_000;

  /** The decoder under test. */
  @Param({"table", "zydis", "witnessed"})
  public String decoder = "table";

  private InstructionDecoder subject = new TableDecoder();
  private CodeRegion code = CodeRegion.of("none", 0, CodeBytes.of(0x90));

  /** Reads the code and makes the decoder. */
  @Setup
  public void prepare() throws IOException {
    code = executableSegment(libc());
    subject =
        switch (decoder) {
          case "table" -> new TableDecoder();
          case "zydis" -> new ZydisDecoder();
          case "witnessed" -> WitnessedDecoder.requireZydis();
          default -> throw new IllegalArgumentException("no decoder " + decoder);
        };
  }

  /** One sweep; the sum keeps the work alive. */
  @Benchmark
  @OperationsPerInvocation(INSTRUCTIONS)
  public long sweep() {
    long sum = 0;
    int at = 0;
    for (int i = 0; i < INSTRUCTIONS; i++) {
      long decoded = subject.decode(code, at);
      sum += decoded;
      at += Math.max(1, Decoded.length(decoded));
    }
    return sum;
  }

  private static Path libc() throws IOException {
    try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
      return maps.filter(line -> line.endsWith("/libc.so.6"))
          .map(line -> Path.of(line.substring(line.indexOf('/'))))
          .findFirst()
          .orElseThrow(() -> new IOException("no libc.so.6 in /proc/self/maps"));
    }
  }

  /** The code that the program headers name: the linkage table, then .text. */
  private static CodeRegion executableSegment(Path file) throws IOException {
    ByteBuffer elf = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int headers = (int) elf.getLong(0x20);
    for (int i = 0; i < elf.getShort(0x38); i++) {
      int header = headers + elf.getShort(0x36) * i;
      boolean executable = elf.getInt(header) == 1 && (elf.getInt(header + 4) & 1) != 0;
      if (executable) {
        int offset = (int) elf.getLong(header + 8);
        int length = (int) elf.getLong(header + 0x20);
        return CodeRegion.of(
            file.toString(),
            elf.getLong(header + 0x10),
            CodeBytes.copyOf(elf.array(), offset, offset + length));
      }
    }
    throw new IOException("no executable segment in " + file);
  }
}
