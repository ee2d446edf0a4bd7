package io.github.textpoke.x86.flow;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.EnumMultiset;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.elf.AddressLinks;
import io.github.textpoke.elf.EhFrame;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LandingPads;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Relocations;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.x86.decode.TableDecoder;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.function.LongPredicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

final class ObjectSweepTest {
  /** A direct branch, as objdump writes it. */
  private static final Pattern BRANCH =
      Pattern.compile(
          "\\s*([0-9a-f]+):\\t(?:[a-z0-9]+,?[a-z]* )*?"
              + "(?:call|jmp|j[a-z]{1,3}|loop[a-z]*|xbegin)(?:,p[nt])? +([0-9a-f]+) <.*");

  private static final long SEED = 0x7377_6565_7021L;

  @TempDir Path directory;

  static List<Path> libraries() throws IOException {
    return List.of(Compiled.libc(), Compiled.libjvm());
  }

  /** Where the instructions of each function begin. */
  private static LongPredicate boundaries(ElfImage image, ObjectSweep sweep) {
    LoadedBytes loaded = LoadedBytes.of(image);
    TreeMap<Long, FunctionCode> read = new TreeMap<>();
    return address -> {
      Optional<FunctionRange> range = sweep.functionAt(address);
      return range.isPresent()
          && read.computeIfAbsent(
                  range.get().start(),
                  start ->
                      new FunctionCode(
                          new TableDecoder(), CodeRegion.of("f", start, loaded.code(range.get()))))
              .isBoundary(address);
    };
  }

  /** Why a place that something leads to may be no boundary of a function. */
  private enum Explanation {
    /** It is in no function that is known: start-up code of the compiler has no unwind entry. */
    OUTSIDE_OF_FUNCTIONS,
    /** Between functions each byte was taken for an instruction. */
    FROM_BETWEEN_FUNCTIONS,
    /** A switch over all values of a type checks no bound: entries behind its table were read. */
    BEHIND_A_TABLE,
    /** Hand-written code jumps over a lock prefix. */
    BEHIND_LOCK,
    /** The unwind entry of a signal trampoline begins a byte before it, for the unwinder's sake. */
    SIGNAL_TRAMPOLINE,
    NONE
  }

  private static Explanation explain(ElfImage image, ObjectSweep sweep, long source, long target) {
    Optional<FunctionRange> function = sweep.functionAt(target);
    if (function.isEmpty()) {
      return Explanation.OUTSIDE_OF_FUNCTIONS;
    }
    if (sweep.functionAt(source).isEmpty()) {
      return Explanation.FROM_BETWEEN_FUNCTIONS;
    }
    LoadedBytes loaded = LoadedBytes.of(image);
    if (loaded.instruction(target - 1).orElseThrow().at(0) == 0xf0) {
      return Explanation.BEHIND_LOCK;
    }
    // mov $15, %rax; syscall: rt_sigreturn
    if (function.get().start() == target - 1
        && loaded
            .instruction(target)
            .orElseThrow()
            .hex()
            .startsWith("48 c7 c0 0f 00 00 00 0f 05")) {
      return Explanation.SIGNAL_TRAMPOLINE;
    }
    CodeRegion from = CodeRegion.of("source", source, loaded.instruction(source).orElseThrow());
    return Decoded.flow(new TableDecoder().decode(from, 0)) == Flow.INDIRECT_JUMP
        ? Explanation.BEHIND_A_TABLE
        : Explanation.NONE;
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void everyBranchIntoAFunctionLeadsToABoundaryOfItButForExplainedPlaces(Path library) {
    ElfImage image = ElfImage.read(library);
    ObjectSweep sweep = ObjectSweep.sweep(image);
    LongPredicate isBoundary = boundaries(image, sweep);
    AddressLinks links = sweep.links();
    EnumMultiset<Explanation> counts = EnumMultiset.create(Explanation.class);
    List<String> wrong = new ArrayList<>();
    for (int i = 0; i < links.size(); i++) {
      if (!isBoundary.test(links.target(i))) {
        Explanation explanation = explain(image, sweep, links.source(i), links.target(i));
        counts.add(explanation);
        if (explanation == Explanation.NONE) {
          wrong.add("0x%x to 0x%x".formatted(links.source(i), links.target(i)));
        }
      }
    }
    assertThat(links.size()).isGreaterThan(1_000);
    assertThat(wrong).as("%s", counts).isEmpty();
    assertThat(counts.count(Explanation.SIGNAL_TRAMPOLINE)).isLessThan(3);
    assertThat(counts.count(Explanation.FROM_BETWEEN_FUNCTIONS)).isLessThan(10);
    assertThat(counts.size()).as("%s", counts).isLessThan(links.size() / 5);
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void everyLandingPadIsABoundary(Path library) {
    ElfImage image = ElfImage.read(library);
    LongPredicate isBoundary = boundaries(image, ObjectSweep.of(image));
    assertThat(LandingPads.of(image).all().asList()).allMatch(pad -> isBoundary.test(pad));
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void everyPointerOfTheLoaderToCodeIsABoundary(Path library) {
    ElfImage image = ElfImage.read(library);
    ObjectSweep sweep = ObjectSweep.of(image);
    LongPredicate isBoundary = boundaries(image, sweep);
    AddressLinks pointers = Relocations.pointersToCode(image);
    List<String> wrong = new ArrayList<>();
    int outside = 0;
    for (int i = 0; i < pointers.size(); i++) {
      long target = pointers.target(i);
      if (isBoundary.test(target)) {
        continue;
      }
      if (explain(image, sweep, target, target) == Explanation.OUTSIDE_OF_FUNCTIONS) {
        outside++;
      } else {
        wrong.add("0x%x to 0x%x".formatted(pointers.source(i), target));
      }
    }
    assertThat(pointers.size()).isGreaterThan(500);
    assertThat(outside).isLessThan(5); // start-up code of the compiler
    assertThat(wrong).isEmpty();
  }

  @Test
  void missesNoBranchThatObjdumpReadsInTheCLibrary() throws Exception {
    Path library = Compiled.libc();
    ElfImage image = ElfImage.read(library);
    ObjectSweep sweep = ObjectSweep.sweep(image);
    AddressLinks links = sweep.links();
    String listing =
        Compiled.output(
            directory, List.of("objdump", "-d", "--no-show-raw-insn", library.toString()));
    Matcher branches = BRANCH.matcher(listing);
    int outside = 0;
    List<String> missed = new ArrayList<>();
    while (branches.find()) {
      long source = Long.parseUnsignedLong(branches.group(1), 16);
      long target = Long.parseUnsignedLong(branches.group(2), 16);
      boolean own = sweep.functionAt(source).filter(f -> f.contains(target)).isPresent();
      boolean start = sweep.functionAt(target).filter(f -> f.start() == target).isPresent();
      if (!own && !start) {
        outside++;
        if (!holds(links, source, target)) {
          missed.add(branches.group());
        }
      }
    }
    assertThat(outside).isGreaterThan(1_000);
    assertThat(missed).isEmpty();
  }

  private static boolean holds(AddressLinks links, long source, long target) {
    for (int i = links.firstFrom(target); i < links.size() && links.target(i) == target; i++) {
      if (links.source(i) == source) {
        return true;
      }
    }
    return false;
  }

  @Test
  void findsJumpsCallsTablesAndAddressesTakenThatLeadBehindTheStartOfAFunction() throws Exception {
    Compiled object = Compiled.of(directory, "links.s", Sources.LINKS, "-shared");
    AddressLinks links = ObjectSweep.sweep(object.image()).links();
    long inside = object.address("inside");
    for (String from : List.of("by_jump", "by_short_jump", "by_call", "by_lea", "by_table")) {
      assertThat(holds(links, object.address(from), inside)).as(from).isTrue();
    }
    // A branch to a start, and one within a function, need no entry.
    assertThat(IntStream.range(0, links.size()).filter(i -> links.target(i) == inside)).hasSize(6);
    // The bytes between the functions hold no symbol; each of them may be an instruction.
    assertThat(holds(links, object.address("gap_branch"), inside)).isTrue();
  }

  @Test
  void knowsFunctionsByUnwindInformationAndBySymbols() throws Exception {
    Compiled object = Compiled.of(directory, "links.s", Sources.LINKS, "-shared");
    ObjectSweep sweep = ObjectSweep.sweep(object.image());
    long entered = object.address("entered");
    assertThat(sweep.functionAt(object.address("inside")).map(FunctionRange::start))
        .hasValue(entered);
    assertThat(sweep.startIn(entered, entered + 1)).hasValue(entered);
    assertThat(sweep.startIn(entered + 1, entered + 3)).isEmpty();
  }

  @Test
  void namesTheIndirectJumpsWithoutATable() throws Exception {
    Compiled object = Compiled.of(directory, "links.s", Sources.LINKS, "-shared");
    ObjectSweep sweep = ObjectSweep.sweep(object.image());
    long jump = object.address("by_tail");
    assertThat(sweep.unresolvedJumps().asList()).containsExactly(jump);
    assertThat(sweep.unresolvedIn(new FunctionRange(jump, jump + 1))).hasValue(jump);
    assertThat(sweep.unresolvedIn(new FunctionRange(jump + 1, jump + 9))).isEmpty();
  }

  @Test
  void readsAnObjectWithoutUnwindInformationAndSymbolsAtEveryByte() throws Exception {
    Compiled object = Compiled.of(directory, "bare.s", Sources.LINKS, "-shared");
    Compiled.output(directory, List.of("strip", "-R", ".eh_frame", "-o", "stripped", "object"));
    ElfImage bare = ElfImage.read(directory.resolve("stripped"));
    assertThat(EhFrame.of(bare).ranges()).isEmpty();
    assertThat(Symbols.of(bare).all()).isEmpty();
    AddressLinks links = ObjectSweep.sweep(bare).links();
    long inside = object.address("inside");
    for (String from : List.of("by_jump", "by_short_jump", "by_call", "gap_branch")) {
      assertThat(holds(links, object.address(from), inside)).as(from).isTrue();
    }
  }

  @Test
  void keepsTheSweepOfAnObjectWithABuildIdAndOfNoOther() throws Exception {
    ElfImage libc = ElfImage.read(Compiled.libc());
    assertThat(ObjectSweep.of(libc)).isSameAs(ObjectSweep.of(ElfImage.read(Compiled.libc())));
    Compiled object = Compiled.of(directory, "links.s", Sources.LINKS, "-shared");
    assertThat(object.image().buildId()).isEmpty();
    assertThat(ObjectSweep.of(object.image())).isNotSameAs(ObjectSweep.of(object.image()));
  }

  @Test
  void refusesNothingElseThanByBadObjectExceptionWhereverBytesChange() throws Exception {
    Compiled.of(directory, "links.s", Sources.LINKS, "-shared");
    byte[] good = Files.readAllBytes(directory.resolve("object"));
    SplittableRandom random = new SplittableRandom(SEED);
    int refused = 0;
    for (int round = 0; round < 3_000; round++) {
      byte[] bytes = good.clone();
      ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = random.nextInt(1, 4); i > 0; i--) {
        int at = random.nextInt(bytes.length - 8);
        switch (random.nextInt(3)) {
          case 0 -> buffer.put(at, (byte) random.nextInt());
          case 1 -> buffer.putInt(at, random.nextInt());
          case 2 -> buffer.putLong(at & ~7, random.nextBoolean() ? -1 : random.nextLong());
          default -> throw new AssertionError();
        }
      }
      try {
        ObjectSweep.sweep(ElfImage.parse("hostile", ByteBuffer.wrap(bytes)));
      } catch (BadObjectException e) {
        refused++;
      }
    }
    assertThat(refused).as("seed %x", SEED).isBetween(100, 2_900);
  }
}
