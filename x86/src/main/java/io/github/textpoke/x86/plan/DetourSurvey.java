package io.github.textpoke.x86.plan;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.ImmutableSortedMap;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.elf.EhFrame;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.Functions;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Segment;
import io.github.textpoke.elf.Symbols;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * Plans a detour at the entry of each function of an object, without a process, to see which can be
 * had: a jump of five bytes at the entry, behind its ENDBR64, by {@link X86Planner#displace}. What
 * counts as a function is said by {@link Functions}.
 *
 * <p>The object is taken to be loaded where it was linked for, or where the kernel maps shared
 * objects; copies and targets stand 16 MiB behind it, as near as a process has room.
 *
 * <p>Not thread-safe, as its planner is not.
 */
public final class DetourSurvey {
  /** Bytes of a jump to a place within 2 GiB. */
  public static final int JUMP = 5;

  /** Near the top of user space, where shared objects are mapped. */
  private static final long SHARED_BIAS = 0x7f00_0000_0000L;

  private static final long AWAY = 16 << 20;
  private static final long PAGE = 4096;

  /**
   * What became of one function.
   *
   * @param function by link-time addresses
   * @param obstacle why it can't be detoured; empty where it can
   */
  public record Finding(FunctionRange function, Optional<DetourReason> obstacle) {
    /** Whether the whole function is shorter than the jump; then there is an obstacle. */
    public boolean isTooShort() {
      return DetourSurvey.isTooShort(function);
    }
  }

  /**
   * Findings, counted.
   *
   * @param functions all
   * @param tooShort those that are shorter than the jump
   * @param detoured those that can be detoured
   * @param obstacles how many of the others are refused for which reason
   */
  public record Totals(
      long functions,
      long tooShort,
      long detoured,
      ImmutableSortedMap<DetourReason, Long> obstacles) {

    /** Counts {@code findings}, to the end. */
    public static Totals of(Stream<Finding> findings) {
      long[] counts = new long[3];
      Map<DetourReason, Long> obstacles = new TreeMap<>();
      findings.forEach(
          finding -> {
            counts[0]++;
            if (finding.isTooShort()) {
              counts[1]++;
            } else if (finding.obstacle().isEmpty()) {
              counts[2]++;
            } else {
              obstacles.merge(finding.obstacle().get(), 1L, Long::sum);
            }
          });
      return new Totals(counts[0], counts[1], counts[2], ImmutableSortedMap.copyOf(obstacles));
    }

    /** The functions that have room for the jump. */
    public long longEnough() {
      return functions - tooShort;
    }

    /** The part of {@link #longEnough} that can be detoured, 0 to 1; 1 where there are none. */
    public double share() {
      return longEnough() == 0 ? 1 : (double) detoured / longEnough();
    }
  }

  private final X86Planner planner;
  private final LoadedBytes loaded;
  private final EhFrame frames;
  private final long[] labels;
  private final ImmutableList<FunctionRange> functions;
  private final Entrances entrances;
  private final long bias;
  private final long copy;

  /**
   * Reads an object.
   *
   * @param image the object
   * @param symbols of the object, with those of its debug file where there is one
   * @param planner makes the plans; stays yours
   * @throws BadObjectException if the object is malformed
   */
  public DetourSurvey(ElfImage image, Symbols symbols, X86Planner planner) {
    this.planner = planner;
    this.loaded = LoadedBytes.of(image);
    this.frames = EhFrame.of(image);
    this.labels = symbols.codeAddresses().toArray();
    this.functions = Functions.of(image, symbols, frames);
    this.bias = image.isFixed() ? 0 : SHARED_BIAS;
    this.entrances = Entrances.of(image, symbols, bias);
    this.copy = (bias + highestAddress(image) + AWAY) & -PAGE;
  }

  private static long highestAddress(ElfImage image) {
    return image.segments().stream()
        .filter(Segment::isLoaded)
        .mapToLong(Segment::end)
        .max()
        .orElse(0);
  }

  /**
   * One finding for each function, in the order of addresses; each is made when it is asked for.
   *
   * @throws BadObjectException when it comes to a function whose bytes the file lacks
   */
  public Stream<Finding> findings() {
    return functions.stream().map(this::look);
  }

  private static boolean isTooShort(FunctionRange function) {
    return function.end() - function.start() < JUMP;
  }

  private Finding look(FunctionRange function) {
    if (isTooShort(function)) {
      return new Finding(
          function, Optional.of(new DetourReason(Rules.ROOM.number(), "shorter than the jump")));
    }
    CodeRegion code = code(function);
    try {
      planner.displace(code, entry(code), copy + PAGE, copy, entrances, this::startingAt);
      return new Finding(function, Optional.empty());
    } catch (PlanRefusedException refused) {
      return new Finding(function, Optional.of(DetourReason.of(planner.decoder(), code, refused)));
    }
  }

  private CodeRegion code(FunctionRange function) {
    return new CodeRegion(
        "0x" + Long.toHexString(function.start()),
        function.start() + bias,
        loaded.code(function),
        entryPoints(function),
        ImmutableList.of(),
        CodeRegion.Backing.PRIVATE);
  }

  private Optional<CodeRegion> startingAt(long address) {
    return functions.stream()
        .filter(function -> function.start() + bias == address)
        .findFirst()
        .map(this::code);
  }

  /** The site: behind ENDBR64 (rule 14). */
  private long entry(CodeRegion code) {
    long first = planner.decoder().decode(code, 0);
    boolean isPad = Decoded.isDecoded(first) && Decoded.flow(first) == Flow.LANDING_PAD;
    return isPad && Decoded.length(first) < code.bytes().length()
        ? code.address() + Decoded.length(first)
        : code.address();
  }

  /** Labels and starts of other functions inside. */
  private ImmutableSet<Long> entryPoints(FunctionRange function) {
    ImmutableSet.Builder<Long> entries = ImmutableSet.builder();
    int found = Arrays.binarySearch(labels, function.start() + 1);
    for (int i = found >= 0 ? found : -found - 1;
        i < labels.length && labels[i] < function.end();
        i++) {
      entries.add(labels[i] + bias);
    }
    for (FunctionRange other : frames.startingIn(function.start() + 1, function.end())) {
      entries.add(other.start() + bias);
    }
    return entries.build();
  }
}
