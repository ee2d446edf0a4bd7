package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.CodeRegion.Backing;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The functions of the {@code workers} program, and random replacements of their instructions. */
final class PatchableCode {
  private static final int BATCH_SITES = 1000;
  private static final int BATCH_STRIDE = 64;
  private static final int NOP_LENGTH = 10;
  private static final int CALL_LENGTH = 6;
  private static final int JUMP = 5;

  /** Between two functions that no worker calls: the copy of what is displaced in any of them. */
  static final String COPY = "batch_0+0x20";

  /** nop; lea rax, [rdi + 1]; ret: the same wherever it stands. */
  static final CodeBytes COPIED = CodeBytes.ofHex("0f 1f 44 00 00 48 8d 47 01 c3");

  /**
   * Not among the functions: a worker that calls it traps at none of them, however long it runs.
   */
  static final String UNCHANGED = "nop_page_4";

  /** Short jumps lead from one to the next, so the last one has none. */
  private static final int LAST_BATCH = BATCH_SITES - 1;

  /**
   * A function.
   *
   * @param batch its number among those that no worker calls, -1: workers call it
   * @param starts offsets of its instructions
   */
  record Function(
      String name, long address, CodeBytes bytes, int batch, ImmutableList<Integer> starts) {
    boolean isCall() {
      return bytes.length() == CALL_LENGTH;
    }

    boolean isRun() {
      return batch < 0;
    }
  }

  private final X86Planner planner = X86Planner.create();
  private final SplittableRandom random;
  private final long repl;
  private final long targetA;
  private final long targetB;
  private final long copy;

  /** By address. */
  final ImmutableList<Function> functions;

  /** The names under which the program publishes what is used here. */
  static ImmutableList<String> published() {
    return Stream.concat(named(), Stream.of("batch_0", "repl", "target_a", "target_b"))
        .collect(ImmutableList.toImmutableList());
  }

  private static Stream<String> named() {
    return Stream.of("nop_", "call_")
        .flatMap(
            kind ->
                Stream.concat(
                    IntStream.range(0, 64).mapToObj(i -> kind + i),
                    IntStream.rangeClosed(1, 4).mapToObj(i -> kind + "page_" + i)))
        .filter(name -> !name.equals(UNCHANGED));
  }

  PatchableCode(Twin twin, SplittableRandom random) {
    this.random = random;
    repl = twin.address("repl");
    targetA = twin.address("target_a");
    targetB = twin.address("target_b");
    copy = twin.address(COPY);
    List<Function> all = new ArrayList<>();
    named().forEach(name -> all.add(function(twin, name, -1)));
    for (int i = 0; i < BATCH_SITES; i++) {
      all.add(function(twin, "batch_0+0x" + Integer.toHexString(i * BATCH_STRIDE), i));
    }
    all.sort(Comparator.comparing(Function::address, Long::compareUnsigned));
    functions = ImmutableList.copyOf(all);
  }

  private static Function function(Twin twin, String name, int batch) {
    boolean call = name.startsWith("call");
    long address = twin.address(name);
    return new Function(
        name,
        address,
        twin.bytes(address, call ? CALL_LENGTH : NOP_LENGTH),
        batch,
        call ? ImmutableList.of(0, 5) : ImmutableList.of(0, 5, 9));
  }

  /** A plan that does several. */
  PatchPlan batch(Collection<PatchPlan> plans) {
    return planner.batch(plans);
  }

  /**
   * A random replacement of a random instruction of a function; of one that workers call only such
   * as they take for right. Empty where the planner refuses it, or where a patch stands there.
   */
  Optional<PatchPlan> replacement(Function function, TreeMap<Long, Poke> standing, boolean arms) {
    if (isDisplaced(function, standing)) {
      return Optional.empty();
    }
    if (random.nextInt(4) == 0) {
      return displacement(function, standing);
    }
    int start = function.starts.get(random.nextInt(function.starts.size()));
    long site = function.address + start;
    if (standing.containsKey(site)) {
      return Optional.empty();
    }
    CodeRegion region = region(function, standing);
    try {
      return Optional.of(
          arms && random.nextInt(4) == 0
              ? planner.arm(region, site, new TrapAction.PassOn())
              : withAction(planner.replace(region, site, assembly(function, start, site))));
    } catch (PlanRefusedException refused) {
      return Optional.empty();
    }
  }

  /** Several instructions of a function as it was, from one of them on, become a jump. */
  private Optional<PatchPlan> displacement(Function function, TreeMap<Long, Poke> standing) {
    if (!function.bytes.equals(COPIED)
        || function.starts.stream().anyMatch(at -> standing.containsKey(function.address + at))) {
      return Optional.empty();
    }
    int start = random.nextBoolean() ? 0 : 5;
    int end = start == 0 && random.nextBoolean() ? 9 : NOP_LENGTH;
    ImmutableList<Boundary> boundaries =
        function.starts.stream()
            .filter(at -> at > start && at < end)
            .map(at -> Boundary.copiedTo(at - start, copy + at))
            .collect(ImmutableList.toImmutableList());
    int length = end - start;
    CodeBytes jump =
        Assembly.jmp(random.nextBoolean() ? repl : targetB).at(function.address + start, JUMP);
    return Optional.of(
        PatchPlan.of(
            X86Planner.INT3,
            ImmutableList.of(
                Poke.displacing(
                    new Site(function.address + start, function.bytes.slice(start, end)),
                    length,
                    boundaries,
                    jump.concat(CodeBytes.filled(length - JUMP, X86Planner.INT3)),
                    JUMP,
                    random.nextInt(3) == 0
                        ? new TrapAction.Rewind()
                        : new TrapAction.Redirect(copy + start)))));
  }

  /** Whether several instructions of it have become one. */
  private static boolean isDisplaced(Function function, TreeMap<Long, Poke> standing) {
    return function.starts.stream()
        .map(at -> standing.get(function.address + at))
        .anyMatch(poke -> poke != null && poke.displaces());
  }

  /** Another action than waiting may be asked for while a replacement's breakpoint stands. */
  private PatchPlan withAction(PatchPlan plan) {
    if (random.nextInt(16) != 0) {
      return plan;
    }
    Poke poke = plan.pokes().get(0);
    return PatchPlan.of(
        plan.trapByte(),
        ImmutableList.of(
            new Poke(
                poke.site(),
                poke.oldLength(),
                poke.replacement(),
                poke.newLength(),
                new TrapAction.Redirect(repl))));
  }

  /** The function as it stands. */
  private static CodeRegion region(Function function, TreeMap<Long, Poke> standing) {
    ImmutableList.Builder<Site> originals = ImmutableList.builder();
    for (int start : function.starts) {
      Poke poke = standing.get(function.address + start);
      if (poke != null) {
        originals.add(poke.site());
      }
    }
    return new CodeRegion(
        function.name,
        function.address,
        standing(function, standing),
        ImmutableSet.of(),
        originals.build(),
        Backing.PRIVATE);
  }

  /** The bytes of a function as it stands. */
  static CodeBytes standing(Function function, TreeMap<Long, Poke> standing) {
    CodeBytes now = function.bytes;
    for (int start : function.starts) {
      Poke poke = standing.get(function.address + start);
      now = poke == null ? now : now.with(start, poke.replacement());
    }
    return now;
  }

  private Assembly assembly(Function function, int start, long site) {
    List<Assembly> choice = new ArrayList<>();
    if (start == 0) {
      choice.add(Assembly.jmp(targetB));
      choice.add(hex("2e 48 8d 47 02"));
    }
    if (start == 0 && function.isCall()) {
      choice.addAll(List.of(Assembly.call(targetB), Assembly.jmp(targetA)));
    } else if (start == 0) {
      choice.addAll(
          List.of(
              Assembly.jmp(repl),
              Assembly.call(targetA),
              Assembly.call(targetB),
              Assembly.jmp(site + 5),
              Assembly.bytes(CodeBytes.ofHex("eb 03 cc cc cc")),
              hex("66 0f 1f 40 00"),
              hex("0f 1f 44 00 7f"),
              hex("2e 2e 2e 2e 90")));
    } else if (start == 5) {
      choice.add(hex("48 8d 47 02"));
    }
    if (!function.isRun()) {
      choice.addAll(List.of(Assembly.ret(), Assembly.nop(), hex("b8 01 02 03 04")));
      if (function.batch < LAST_BATCH) {
        choice.add(Assembly.jmp(site - start + BATCH_STRIDE));
        choice.add(start == 0 ? hex("eb 3e cc cc cc") : hex("eb 39 cc cc"));
      }
    }
    return choice.isEmpty() ? Assembly.ret() : choice.get(random.nextInt(choice.size()));
  }

  private static Assembly hex(String bytes) {
    return Assembly.bytes(CodeBytes.ofHex(bytes));
  }
}
