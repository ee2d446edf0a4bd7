package io.github.textpoke.x86.probe;

import com.google.common.base.CharMatcher;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Range;
import com.google.common.collect.RangeSet;
import com.google.common.collect.TreeRangeSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.process.FoundSymbol;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.process.SiteName;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.x86.plan.DisplacingPlan;
import io.github.textpoke.x86.plan.Entrances;
import io.github.textpoke.x86.plan.ExitRun;
import io.github.textpoke.x86.plan.FunctionEnds;
import io.github.textpoke.x86.plan.RseqSections;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.probe.Target.OwnJump;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/**
 * Finds functions and instructions of a process, and whether a jump can stand there, or else a
 * breakpoint.
 */
final class FunctionFinder {
  /** {@code endbr64}: SDM vol. 2. */
  private static final CodeBytes ENDBR64 = CodeBytes.ofHex("f30f1efa");

  /** Where a slot might be, behind the object: what is planned for it tells whether it can be. */
  private static final long AWAY = 16 << 20;

  /** An address, or a place behind the first byte of a function. */
  private static final Pattern SITE =
      Pattern.compile("0x[0-9a-fA-F]+|.+\\+(0x[0-9a-fA-F]+|[0-9]+)");

  /** A longer site would have the whole plan carried out by the engine that is slower. */
  private static final int LONGEST_SITE = 15;

  private final TargetProcess process;
  private final X86Planner planner;
  private final Map<ElfImage, Entrances> entrances = new HashMap<>();
  private final Map<ElfImage, X86Planner> planners = new HashMap<>();
  private boolean hasShadowStacks;

  FunctionFinder(TargetProcess process, X86Planner planner) {
    this.process = process;
    this.planner = planner;
  }

  /** Functions of one object that can be probed, in the order of addresses. */
  record InObject(ImageInMemory object, ImmutableList<Target> targets, ThreadKey key) {}

  /** All that match. */
  record Found(ImmutableList<InObject> objects, ImmutableList<UnprobedFunction> unprobed) {
    boolean isEmpty() {
      return objects.isEmpty() && unprobed.isEmpty();
    }
  }

  /**
   * What a probe asks for.
   *
   * @param stands whether breakpoints will do
   */
  record Wanted(ProbeAction action, ProbeStands stands) {
    boolean isAtExits() {
      return action.isAtExits();
    }
  }

  /**
   * All functions that match, or the one instruction that is meant.
   *
   * @param pattern {@code [object:]glob}, or a site: an address, or one with an offset
   * @param isMeant which of the symbols that match are looked at
   */
  Found find(String pattern, Predicate<FoundSymbol> isMeant, Wanted wanted) {
    SiteResolver resolver = process.resolver();
    Standing standing = new Standing(process.standing());
    noteShadowStacks();
    List<ImageInMemory> objects = new ArrayList<>();
    Map<ImageInMemory, List<Target>> targets = new LinkedHashMap<>();
    List<UnprobedFunction> unprobed = new ArrayList<>();
    Set<String> used = new HashSet<>();
    Map<Long, ImmutableList<String>> places =
        SITE.matcher(pattern).matches()
            ? site(resolver, pattern)
            : byFunction(resolver, pattern, isMeant, unprobed);
    for (Map.Entry<Long, ImmutableList<String>> place : places.entrySet()) {
      ImmutableList<String> names = place.getValue();
      try {
        CodeRegion code = resolver.codeAt(place.getKey());
        if (code.address() != place.getKey() && !SITE.matcher(pattern).matches()) {
          throw new NotProbedException(
              "it is no entry of a function, but lies inside of " + code.name());
        }
        ImageInMemory object = objectAt(resolver, objects, code.address());
        ProbedFunction function = function(names, place.getKey(), used);
        Target target = target(function, code, object, standing, wanted);
        targets.computeIfAbsent(object, any -> new ArrayList<>()).add(target);
      } catch (PatchException refused) {
        unprobed.add(new UnprobedFunction(names.get(0), place.getKey(), refused.what()));
      } catch (NotProbedException reason) {
        unprobed.add(new UnprobedFunction(names.get(0), place.getKey(), reason.reason));
      }
    }
    ImmutableList.Builder<InObject> found = ImmutableList.builder();
    targets.forEach(
        (object, of) -> found.add(new InObject(object, apart(of, unprobed), key(object))));
    return new Found(found.build(), ImmutableList.copyOf(unprobed));
  }

  /** The one place that is meant, by its name. */
  private static Map<Long, ImmutableList<String>> site(SiteResolver resolver, String site) {
    long address = resolver.resolve(SiteName.parse(site)).address();
    return Map.of(address, ImmutableList.of(resolver.describe(address).orElse(site)));
  }

  /** Why a function is left out, where no exception of a planner's says it. */
  private static final class NotProbedException extends Exception {
    private static final long serialVersionUID = 1L;
    private final String reason;

    NotProbedException(String reason) {
      super(reason);
      this.reason = reason;
    }
  }

  /** Local functions of different files may have one name: all but the first get their address. */
  private static ProbedFunction function(
      ImmutableList<String> names, long address, Set<String> used) {
    String name = names.get(0);
    return new ProbedFunction(
        used.add(name) ? name : name + " (0x" + Long.toHexString(address) + ")",
        address,
        names.subList(1, names.size()),
        new ProbeStand.Jump());
  }

  /** The names that match, by the absolute address of the function that is called. */
  private static Map<Long, ImmutableList<String>> byFunction(
      SiteResolver resolver,
      String glob,
      Predicate<FoundSymbol> isMeant,
      List<UnprobedFunction> unprobed) {
    Map<Long, List<FoundSymbol>> functions = new LinkedHashMap<>();
    for (FoundSymbol symbol : resolver.symbols(glob).filter(isMeant).toList()) {
      try {
        functions.computeIfAbsent(function(resolver, symbol), any -> new ArrayList<>()).add(symbol);
      } catch (PatchException refused) {
        unprobed.add(new UnprobedFunction(name(symbol), symbol.address(), refused.what()));
      }
    }
    Map<Long, ImmutableList<String>> names = new LinkedHashMap<>();
    functions.forEach((address, same) -> names.put(address, names(same)));
    return names;
  }

  private static long function(SiteResolver resolver, FoundSymbol symbol) {
    return symbol.symbol().kind() == Symbol.Kind.IFUNC
        ? resolver.resolve(SiteName.parse(name(symbol))).address()
        : symbol.address();
  }

  private static String name(FoundSymbol symbol) {
    boolean isOld = !symbol.symbol().version().isEmpty() && !symbol.symbol().isDefaultVersion();
    return symbol.object()
        + ":"
        + (isOld ? symbol.symbol().versionedName() : symbol.symbol().name());
  }

  /** Each once, the one with the fewest underscores before it first. */
  private static ImmutableList<String> names(List<FoundSymbol> same) {
    return same.stream()
        .sorted(Comparator.comparingInt(symbol -> underscores(symbol.symbol().name())))
        .map(FunctionFinder::name)
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  private static int underscores(String name) {
    return name.length() - CharMatcher.is('_').trimLeadingFrom(name).length();
  }

  private static ImageInMemory objectAt(
      SiteResolver resolver, List<ImageInMemory> known, long address) {
    for (ImageInMemory object : known) {
      if (address >= object.start() && address < object.end()) {
        return object;
      }
    }
    ImageInMemory object = resolver.objectAt(address);
    known.add(object);
    return object;
  }

  /**
   * @param named its address is the entry of {@code found}, or inside
   */
  private Target target(
      ProbedFunction named,
      CodeRegion found,
      ImageInMemory object,
      Standing standing,
      Wanted wanted)
      throws NotProbedException {
    CodeRegion code = standing.withOriginals(found);
    boolean isInside = named.address() != code.address();
    long site = named.address() + (!isInside && startsWith(code, ENDBR64) ? ENDBR64.length() : 0);
    if (isInside && !(wanted.action() instanceof ProbeAction.Count)) {
      throw new NotProbedException("calls are timed and captured, not single instructions");
    }
    if (standing.isBreakpoint(site)) {
      throw new NotProbedException("a breakpoint of another patch stands there: revert it first");
    }
    X86Planner knowing = planner(object);
    Entrances ways =
        entrances.computeIfAbsent(
            object.image(), image -> Entrances.of(image, object.symbols(), object.bias()));
    Optional<OwnJump> jump = standing.jump(planner, code, site);
    ProbeStand stand = new ProbeStand.Jump();
    int length;
    try {
      length =
          jump.isPresent()
              ? jump.get().code().bytes().length()
              : length(knowing, code, site, isInside, ways, object);
    } catch (PatchException | NotProbedException noJump) {
      if (wanted.stands() == ProbeStands.JUMPS || wanted.isAtExits()) {
        throw noJump;
      }
      length = stopped(knowing, code, site, isInside, object);
      stand = new ProbeStand.Breakpoint(words(code, noJump));
    }
    return new Target(
        new ProbedFunction(named.name(), named.address(), named.otherNames(), stand),
        code,
        site,
        isInside,
        ways,
        knowing,
        length,
        jump,
        wanted.isAtExits()
            ? Optional.of(ends(knowing, code, site, length, ways, jump))
            : Optional.empty());
  }

  private static String words(CodeRegion code, Exception noJump) {
    if (noJump instanceof PlanRefusedException refused) {
      long at = refused.address();
      String where = code.contains(at) ? "+" + (at - code.address()) : "0x" + Long.toHexString(at);
      return "rule %d at %s [%s]: %s"
          .formatted(refused.rule(), where, refused.disassembly(), refused.reason());
    }
    return noJump instanceof PatchException failure
        ? failure.what()
        : String.valueOf(noJump.getMessage());
  }

  private FunctionEnds ends(
      X86Planner planner,
      CodeRegion code,
      long site,
      int length,
      Entrances entrances,
      Optional<OwnJump> jump)
      throws NotProbedException {
    if (jump.isPresent()) {
      throw new NotProbedException(
          "another patch stands at its entry, and calls may come past that without being seen there"
              + " and be seen at the exits: revert it first");
    }
    return planner.ends(
        code,
        site,
        length,
        entrances,
        (start, end) ->
            new CodeRegion(
                "a part of " + code.name(),
                start,
                process.read(start, (int) (end - start)),
                ImmutableSet.of(),
                ImmutableList.of(),
                code.backing()));
  }

  private X86Planner planner(ImageInMemory object) {
    return planners.computeIfAbsent(
        object.image(),
        image -> {
          X86Planner knowing = planner.withRseq(RseqSections.of(image, object.bias()));
          return hasShadowStacks ? knowing.withShadowStacks() : knowing;
        });
  }

  /** What can't be planned is no probe, so that arming thousands does not fail for one. */
  private static int length(
      X86Planner planner,
      CodeRegion code,
      long site,
      boolean isInside,
      Entrances entrances,
      ImageInMemory object)
      throws NotProbedException {
    long copy = object.end() + AWAY & -ProbeWriter.SLOT;
    DisplacingPlan plan = planner.displace(code, site, copy - ProbeWriter.SLOT, copy, entrances);
    int length = plan.plan().pokes().get(0).length();
    if (length > LONGEST_SITE) {
      throw new NotProbedException(
          "the jump would displace %d bytes, more than the %d of the poker's tables"
              .formatted(length, LONGEST_SITE));
    }
    if (isInside) {
      checkComesBack(planner, code, plan.copy());
    }
    return length;
  }

  /** Whether a breakpoint can stay there; the length of its instruction. */
  private static int stopped(
      X86Planner planner, CodeRegion code, long site, boolean isInside, ImageInMemory object)
      throws NotProbedException {
    long copy = object.end() + AWAY & -ProbeWriter.SLOT;
    DisplacingPlan plan = planner.stop(code, site, copy - ProbeWriter.SLOT, copy);
    if (isInside) {
      checkComesBack(planner, code, plan.copy());
    }
    return plan.plan().pokes().get(0).length();
  }

  /** A loop that is displaced as a whole stays in the copy: only its first pass would be seen. */
  private static void checkComesBack(X86Planner planner, CodeRegion code, OutOfLineCopy copy)
      throws NotProbedException {
    long site = copy.displaced().address();
    for (long each : copy.boundaries().keySet()) {
      int offset = code.offsetOf(each);
      Instruction old = Instruction.of(code, offset, planner.decoder().decode(code, offset));
      if (old.directTarget().isPresent() && old.directTarget().getAsLong() == site) {
        throw new NotProbedException(
            "what would be displaced leads back to the instruction, so it would not be seen again");
      }
    }
  }

  private static boolean startsWith(CodeRegion code, CodeBytes bytes) {
    return code.bytes().length() >= bytes.length()
        && code.bytes().slice(0, bytes.length()).equals(bytes);
  }

  /** By address; of two whose jumps would share bytes, the first. */
  private static ImmutableList<Target> apart(List<Target> all, List<UnprobedFunction> unprobed) {
    ImmutableList.Builder<Target> apart = ImmutableList.builder();
    RangeSet<Long> taken = TreeRangeSet.create();
    for (Target target : all.stream().sorted(Comparator.comparingLong(Target::site)).toList()) {
      ImmutableList<Range<Long>> sites = sites(target);
      if (sites.stream().anyMatch(taken::intersects)) {
        unprobed.add(
            new UnprobedFunction(
                target.function().name(),
                target.function().address(),
                "bytes of it are displaced by a jump of the function before it"));
      } else {
        taken.addAll(sites);
        apart.add(target);
      }
    }
    return apart.build();
  }

  private static ImmutableList<Range<Long>> sites(Target target) {
    ImmutableList.Builder<Range<Long>> sites = ImmutableList.builder();
    sites.add(Range.closedOpen(target.site(), target.site() + target.length()));
    target
        .ends()
        .ifPresent(
            ends -> {
              sites.add(site(ends.entry()));
              ends.exits().forEach(exit -> sites.add(site(exit)));
            });
    return sites.build();
  }

  private static Range<Long> site(ExitRun run) {
    return Range.closedOpen(run.start(), run.start() + run.displacedLength());
  }

  /**
   * Functions as they stand now: with other patches at their entries, or without. Where there was a
   * breakpoint a jump may be possible now, and where patches have come the other way round.
   *
   * @return {@code before}, where nothing has changed for them
   */
  ImmutableList<Target> lookAgain(ImmutableList<Target> before, Wanted wanted) {
    SiteResolver resolver = process.resolver();
    Standing standing = new Standing(process.standing());
    boolean otherStacks = noteShadowStacks();
    if (!otherStacks && before.stream().allMatch(target -> stands(target, standing))) {
      return before;
    }
    List<ImageInMemory> objects = new ArrayList<>();
    boolean isSame = true;
    ImmutableList.Builder<Target> now = ImmutableList.builder();
    for (Target target : before) {
      if (!otherStacks && stands(target, standing)) {
        now.add(target);
      } else {
        CodeRegion code = resolver.codeAt(target.function().address());
        ImageInMemory object = objectAt(resolver, objects, code.address());
        Target again = targetAgain(target.function(), code, object, standing, wanted);
        boolean stays =
            !otherStacks
                && again.function().equals(target.function())
                && again.code().equals(target.code())
                && again.jump().equals(target.jump());
        now.add(stays ? target : again);
        isSame &= stays;
      }
    }
    return isSame ? before : now.build();
  }

  /** Whether the same stands there as before, and nothing else would do as well. */
  private boolean stands(Target target, Standing standing) {
    return !target.isBreakpoint()
        && !standing.isInside(target.site(), target.site() + target.length())
        && standing.jump(planner, target.code(), target.site()).equals(target.jump());
  }

  private Target targetAgain(
      ProbedFunction function,
      CodeRegion code,
      ImageInMemory object,
      Standing standing,
      Wanted wanted) {
    try {
      return target(function, code, object, standing, wanted);
    } catch (NotProbedException reason) {
      throw new UnsupportedPlanException(
          function.name() + " can't be probed any more: " + reason.reason, "make the probe anew");
    }
  }

  /** Whether what is known of shadow stacks has changed; then planners are made anew. */
  private boolean noteShadowStacks() {
    boolean now = process.hasShadowStacks();
    boolean changed = now != hasShadowStacks;
    hasShadowStacks = now;
    if (changed) {
      planners.clear();
    }
    return changed;
  }

  /** The C library's own loader runs before there is a control block. */
  private ThreadKey key(ImageInMemory object) {
    return ThreadKeys.of(process.pid(), object);
  }
}
