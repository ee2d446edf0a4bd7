package io.github.textpoke.x86.relocate;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.relocate.OutOfLineCopy.Stretch;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/** Runs displaced code and its copy on this processor, in a process of C: run_pairs.c. */
final class CodePairs {
  static final int PAGE = 4096;

  /** How many bytes of code and copy a pair has room for. */
  static final int OLD = 64;

  static final int COPY = 128;

  static final int RAX = 0;
  static final int RCX = 1;
  static final int RBX = 3;
  static final int RSP = 4;
  static final int RSI = 6;
  static final int RDI = 7;
  static final int R12 = 12;
  static final int R13 = 13;

  private static final int REGISTERS = 16;
  private static final int OUTCOME_WORDS = 1 + REGISTERS + 5;

  /**
   * Where things are: four pages, none next to another.
   *
   * @param site the old code's; all else in it is int3
   * @param copy the copy's; all else in it is int3
   */
  record Pages(long site, long copy, long data, long stack) {
    /** Pages around a site, with the copy at a distance of it. */
    static Pages of(long site, long distance) {
      return new Pages(site, site + distance, site + 0x10_0000, site + 0x20_0000);
    }

    /** An address of the site's page that no code stands at: whoever comes there is done. */
    long exit(int index) {
      return site + 0xc00 + 2L * index;
    }

    /** 64 pointers to exits. */
    long table() {
      return data + 0x800;
    }

    private CodeBytes stackBytes() {
      return pointers(0, PAGE / Long.BYTES);
    }

    private CodeBytes dataBytes() {
      byte[] bytes = new byte[0x800];
      for (int i = 0; i < bytes.length; i++) {
        bytes[i] = (byte) (i * 167 ^ i >> 3);
      }
      CodeBytes noise = CodeBytes.of(bytes);
      return noise.concat(pointers(100, 64)).concat(noise.slice(0, 0x800 - 64 * Long.BYTES));
    }

    private CodeBytes pointers(int first, int count) {
      ByteBuffer pointers = ByteBuffer.allocate(count * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < count; i++) {
        pointers.putLong(exit((first + i) % 500));
      }
      return CodeBytes.of(pointers.array());
    }
  }

  /**
   * What a thread has when it comes to the code.
   *
   * @param registers sixteen, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15
   * @param flags CF 1, PF 4, AF 10, ZF 40, SF 80, DF 400, OF 800
   */
  record State(ImmutableList<Long> registers, long flags) {
    State with(int register, long value) {
      Long[] changed = registers.toArray(Long[]::new);
      changed[register] = value;
      return new State(ImmutableList.copyOf(changed), flags);
    }

    State withFlags(long changed) {
      return new State(registers, changed);
    }
  }

  /**
   * A copy, and what to run it and the displaced code with.
   *
   * @param entry the boundary of the displaced code that both begin at
   */
  record Pair(OutOfLineCopy copy, State state, long entry) {
    /** A pair that begins at the first byte. */
    Pair(OutOfLineCopy copy, State state) {
      this(copy, state, copy.displaced().address());
    }
  }

  /**
   * How a run ended.
   *
   * @param signal 5 where it came to an int3, else that of a fault
   * @param rip behind the int3, or at the instruction that faulted
   * @param xmm a hash, as {@code data} and {@code stack}
   */
  record Outcome(
      long signal,
      ImmutableList<Long> registers,
      long rip,
      long flags,
      long xmm,
      long data,
      long stack) {

    boolean isExit() {
      return signal == 5;
    }

    /** As it would be, had it ended in the old code and not in the copy. */
    Outcome seenFrom(OutOfLineCopy copy) {
      Optional<Stretch> stretch = isExit() ? Optional.empty() : copy.stretchAt(rip);
      if (stretch.isEmpty()) {
        return this;
      }
      Long[] old = registers.toArray(Long[]::new);
      old[RSP] += stretch.get().pushed();
      return new Outcome(
          signal, ImmutableList.copyOf(old), stretch.get().old(), flags, xmm, data, stack);
    }
  }

  /** The outcomes of the old code and of the copy. */
  record Outcomes(Pair pair, Outcome old, Outcome copy) {
    boolean agree() {
      return old.equals(copy.seenFrom(pair.copy()));
    }

    @Override
    public String toString() {
      return "%s%nof %s%nfrom %s%nold  %s%ncopy %s"
          .formatted(pair.copy().displaced(), pair.copy(), pair, old, copy);
    }
  }

  /** Where a thread was before an instruction. */
  record Step(long rip, long rsp) {}

  /** The instructions that ran inside of the old code and of the copy, up to {@link #STEPS}. */
  record Trace(Pair pair, ImmutableList<Step> old, ImmutableList<Step> copy) {
    boolean isComplete() {
      return old.size() < STEPS && copy.size() < STEPS;
    }

    /** The steps of the old code; of an instruction that runs several times in a row, the first. */
    ImmutableList<Step> oldSteps() {
      return withoutRepetitions(old);
    }

    /** The steps of the copy, as who unwinds by its stretches sees them. */
    ImmutableList<Step> unwoundSteps() {
      return withoutRepetitions(
          copy.stream()
              .map(
                  step -> {
                    Stretch stretch = pair.copy().stretchAt(step.rip()).orElseThrow();
                    return new Step(stretch.old(), step.rsp() + stretch.pushed());
                  })
              .filter(step -> step.rip() != pair.copy().displaced().end()) // the jump back
              .collect(ImmutableList.toImmutableList()));
    }

    private static ImmutableList<Step> withoutRepetitions(ImmutableList<Step> steps) {
      ImmutableList.Builder<Step> first = ImmutableList.builder();
      for (int i = 0; i < steps.size(); i++) {
        if (i == 0 || !steps.get(i).equals(steps.get(i - 1))) {
          first.add(steps.get(i));
        }
      }
      return first.build();
    }
  }

  private static final int STEPS = 64;

  private final Path directory;
  private final Path program;

  /** Compiles the program into {@code directory}. */
  CodePairs(Path directory) throws IOException, InterruptedException {
    this.directory = directory;
    this.program = directory.resolve("run_pairs");
    Path source = directory.resolve("run_pairs.c");
    try (InputStream text = CodePairs.class.getResourceAsStream("run_pairs.c")) {
      Files.copy(Objects.requireNonNull(text), source);
    }
    execute(
        "gcc", "-std=gnu11", "-O2", "-Wall", "-Werror", "-o", program.toString(), "run_pairs.c");
  }

  /** Runs each pair from the same state, in memory that is the same for all. */
  ImmutableList<Outcomes> run(Pages pages, List<Pair> pairs)
      throws IOException, InterruptedException {
    Path cases = directory.resolve("cases");
    Path outcomes = directory.resolve("outcomes");
    Files.write(cases, encoded(pages, pairs));
    execute(program.toString(), cases.toString(), outcomes.toString());
    ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(outcomes)).order(ByteOrder.LITTLE_ENDIAN);
    assertThat(in.remaining()).isEqualTo(pairs.size() * 2 * OUTCOME_WORDS * Long.BYTES);
    return pairs.stream()
        .map(pair -> new Outcomes(pair, outcome(in), outcome(in)))
        .collect(ImmutableList.toImmutableList());
  }

  /** Runs each pair as {@link #run} does, one instruction after the other. */
  ImmutableList<Trace> step(Pages pages, List<Pair> pairs)
      throws IOException, InterruptedException {
    Path cases = directory.resolve("cases");
    Path steps = directory.resolve("steps");
    Files.write(cases, encoded(pages, pairs));
    String outcomes = directory.resolve("outcomes").toString();
    execute(program.toString(), cases.toString(), outcomes, steps.toString());
    ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(steps)).order(ByteOrder.LITTLE_ENDIAN);
    assertThat(in.remaining()).isEqualTo(pairs.size() * 2 * (1 + 2 * STEPS) * Long.BYTES);
    return pairs.stream()
        .map(pair -> new Trace(pair, steps(in), steps(in)))
        .collect(ImmutableList.toImmutableList());
  }

  private static ImmutableList<Step> steps(ByteBuffer in) {
    long count = in.getLong();
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    for (int i = 0; i < STEPS; i++) {
      Step step = new Step(in.getLong(), in.getLong());
      if (i < count) {
        steps.add(step);
      }
    }
    return steps.build();
  }

  private static byte[] encoded(Pages pages, List<Pair> pairs) {
    int each = (REGISTERS + 7) * Long.BYTES + OLD + COPY;
    ByteBuffer out =
        ByteBuffer.allocate(5 * Long.BYTES + 2 * PAGE + pairs.size() * each)
            .order(ByteOrder.LITTLE_ENDIAN);
    out.putLong(pages.site()).putLong(pages.copy()).putLong(pages.data()).putLong(pages.stack());
    out.put(pages.dataBytes().toByteArray()).put(pages.stackBytes().toByteArray());
    out.putLong(pairs.size());
    for (Pair pair : pairs) {
      OutOfLineCopy copy = pair.copy();
      pair.state().registers().forEach(out::putLong);
      out.putLong(pair.state().flags());
      out.putLong(pair.entry())
          .putLong(Objects.requireNonNull(copy.boundaries().get(pair.entry())));
      put(out, copy.displaced().address() - pages.site(), copy.displaced().bytes(), OLD);
      put(out, copy.address() - pages.copy(), copy.bytes(), COPY);
    }
    return out.array();
  }

  private static void put(ByteBuffer out, long offset, CodeBytes bytes, int room) {
    out.putLong(offset).putLong(bytes.length());
    out.put(bytes.concat(CodeBytes.filled(room - bytes.length(), 0)).toByteArray());
  }

  private static Outcome outcome(ByteBuffer in) {
    long signal = in.getLong();
    ImmutableList.Builder<Long> registers = ImmutableList.builder();
    for (int i = 0; i < REGISTERS; i++) {
      registers.add(in.getLong());
    }
    return new Outcome(
        signal,
        registers.build(),
        in.getLong(),
        in.getLong(),
        in.getLong(),
        in.getLong(),
        in.getLong());
  }

  private void execute(String... command) throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(command).directory(directory.toFile()).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as("%s: %s", String.join(" ", command), output).isZero();
  }
}
