package io.github.textpoke.benchmarks;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import java.util.stream.IntStream;

/** The sites of the fixture {@code workers}, and the plans that the benchmarks make for them. */
final class Sites {
  /** Bytes from one site of the batch to the next. */
  static final int STRIDE = 64;

  /** Addresses for plans that are made without a process. */
  static final long NOWHERE = 0x55_0000_0000L;

  /** {@code nopl 0(%rax,%rax,1); lea 1(%rdi),%rax; ret}. */
  private static final CodeBytes FUNCTION = CodeBytes.ofHex("0f1f440000488d4701c3");

  private Sites() {}

  /** One site's function at {@code address}. */
  static CodeRegion function(long address) {
    return CodeRegion.of("function at 0x" + Long.toHexString(address), address, FUNCTION);
  }

  /**
   * A function of {@code length} bytes at {@code address}: the site, then one-byte NOPs, and a ret.
   */
  static CodeRegion longFunction(long address, int length) {
    CodeBytes site = FUNCTION.slice(0, 5);
    CodeBytes body =
        site.concat(CodeBytes.filled(length - site.length() - 1, 0x90)).concat(CodeBytes.of(0xc3));
    return CodeRegion.of("function of " + length + " bytes", address, body);
  }

  /** The plan that makes the NOP at {@code address} a jump to {@code target}. */
  static PatchPlan jump(X86Planner planner, long address, long target) {
    return planner.replace(function(address), address, Assembly.jmp(target));
  }

  /**
   * The plan that makes {@code count} NOPs jumps to {@code target}, {@link #STRIDE} bytes apart.
   */
  static PatchPlan jumps(X86Planner planner, long first, int count, long target) {
    return planner.batch(
        IntStream.range(0, count)
            .mapToObj(i -> jump(planner, first + (long) i * STRIDE, target))
            .collect(ImmutableList.toImmutableList()));
  }

  /**
   * A fixture whose workers call one site, or all 1000 of the batch where more are patched.
   *
   * @param options more of the fixture's options
   */
  static Fixture start(int workers, int sites, String... options) {
    ImmutableList<String> words =
        ImmutableList.<String>builder()
            .add("--threads", Integer.toString(workers))
            .add("--sites", sites == 1 ? "nop_0" : "batch")
            .add(options)
            .build();
    return Fixture.start("workers", words.toArray(String[]::new));
  }

  /** The plan for {@code sites} sites of a fixture that {@link #start} has started. */
  static PatchPlan plan(Fixture fixture, int sites) {
    X86Planner planner = X86Planner.create();
    long target = fixture.address("repl");
    return sites == 1
        ? jump(planner, fixture.address("nop_0"), target)
        : jumps(planner, fixture.address("batch_0"), sites, target);
  }

  /**
   * Checks that the fixture runs and that none of its workers saw a wrong result.
   *
   * @throws AssertionError if not
   */
  static void assertHealthy(Fixture fixture, int workers) {
    if (workers > 0) {
      fixture.assertHealthy();
    } else if (!fixture.isAlive()) {
      throw new AssertionError("the fixture has ended: " + fixture.outputTail());
    }
  }
}
