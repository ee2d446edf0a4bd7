package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.x86.plan.DisplacingPlan;
import io.github.textpoke.x86.plan.Entrances;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.nio.file.Path;
import java.util.OptionalLong;

/** Displaces the first instructions of functions in an object of a fixture. */
final class DisplacingTarget {
  private static final int JUMP = 5;

  private final TargetProcess process;
  private final String object;
  private final Symbols symbols;
  private final long bias;
  private final Entrances entrances;
  private final X86Planner planner = X86Planner.create();

  /** Absolute address of what is left for copies. */
  private long room;

  private DisplacingTarget(
      TargetProcess process, String object, Symbols symbols, long bias, long room, ElfImage image) {
    this.process = process;
    this.object = object;
    this.symbols = symbols;
    this.bias = bias;
    this.room = room;
    this.entrances = Entrances.of(image, symbols, bias);
  }

  /**
   * Reads the object.
   *
   * @param object that is loaded there
   * @param symbol any one that the object has only once
   * @param room absolute address of memory for copies, where nobody runs yet
   */
  static DisplacingTarget of(TargetProcess process, Path object, String symbol, long room) {
    ElfImage image = ElfImage.read(object);
    Symbols symbols = Symbols.of(image);
    String name = object.getFileName().toString();
    long bias = process.address(name + ":" + symbol) - symbols.named(symbol).get(0).address();
    return new DisplacingTarget(process, name, symbols, bias, room, image);
  }

  /** Absolute address of a symbol, a label too. */
  long address(String symbol) {
    return symbols.named(symbol).stream().mapToLong(Symbol::address).findFirst().orElseThrow()
        + bias;
  }

  X86Planner planner() {
    return planner;
  }

  CodeRegion code(String function) {
    return process.code(object + ":" + function);
  }

  /** Absolute address of a function's first instruction, behind its endbr64. */
  long entry(String function) {
    CodeRegion code = code(function);
    Instruction first = planner.decoder().instruction(code, 0);
    boolean isPad = first.flow() == Flow.LANDING_PAD && first.end() != code.end();
    return isPad ? first.end() : code.address();
  }

  /**
   * A jump to the copy of what it displaces, which stands there afterwards: the function does what
   * it did, elsewhere.
   *
   * @throws PlanRefusedException if a rule forbids it
   */
  DisplacingPlan toCopy(String function, long site) {
    return displace(function, site, OptionalLong.empty());
  }

  /**
   * A jump to {@code target}, with the copy where there is room for it.
   *
   * @throws PlanRefusedException if a rule forbids it
   */
  DisplacingPlan displace(String function, long site, long target) {
    return displace(function, site, OptionalLong.of(target));
  }

  private DisplacingPlan displace(String function, long site, OptionalLong target) {
    DisplacingPlan plan =
        planner.displace(code(function), site, target.orElse(room), room, entrances);
    OutOfLineCopy copy = plan.copy();
    write(copy.address(), copy.bytes());
    room += (OutOfLineCopy.maxSize(JUMP) + 15) & -16;
    return plan;
  }

  /** Writes where no thread runs. */
  void write(long address, CodeBytes bytes) {
    int[] error = new int[1];
    ProcMem opened = ProcMem.open(process.pid(), error);
    assertThat(opened).as("errno %s", error[0]).isNotNull();
    try (ProcMem memory = opened) {
      assertThat(memory.write(address, bytes)).isEqualTo(bytes.length());
    }
  }

  CodeBytes read(long address, int length) {
    try (ProcMemReader reader = new ProcMemReader(process.pid())) {
      return reader.read(address, length);
    }
  }
}
