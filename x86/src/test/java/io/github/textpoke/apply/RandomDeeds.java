package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.Deed.Incident;
import io.github.textpoke.apply.PatchableCode.Function;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Random patches of the {@code workers} program, and what happens to them. Knows what stands. */
final class RandomDeeds {
  private final SplittableRandom random;
  private final Places places;
  private final PatchableCode code;
  private final int most;

  /** The patches that stand, by label. */
  private final Map<String, PatchPlan> patches = new LinkedHashMap<>();

  /** Their pokes, by address. */
  private final TreeMap<Long, Poke> standing = new TreeMap<>(Long::compareUnsigned);

  private int number;

  private int displacing;

  /** What was made last. */
  private PatchPlan plan;

  private String label = "";

  /** What other tools have changed since {@link #mending}. */
  private final List<Function> changed = new ArrayList<>();

  /**
   * @param twin whose addresses are used
   * @param most sites of a patch
   */
  RandomDeeds(Twin twin, SplittableRandom random, int most) {
    this.random = random;
    this.places = twin.places();
    this.code = new PatchableCode(twin, random);
    this.most = most;
    this.plan = plan();
  }

  /** The pokes that stand. */
  ImmutableList<Poke> standing() {
    return ImmutableList.copyOf(standing.values());
  }

  /** How many plans were made that displace instructions. */
  int displacing() {
    return displacing;
  }

  boolean isEmpty() {
    return patches.isEmpty();
  }

  /** Applies a new patch, or reverts one that stands. */
  Deed next() {
    return patches.size() > random.nextInt(12) ? revert() : apply();
  }

  private Deed apply() {
    plan = plan();
    label = "patch " + number++;
    return Deed.of(new Deed.Apply(label, plan, places));
  }

  /** Reverts one that stands. */
  Deed revert() {
    List<String> labels = List.copyOf(patches.keySet());
    label = labels.get(random.nextInt(labels.size()));
    plan = patches.get(label).inverse();
    return Deed.of(new Deed.Revert(label, Deed.redirects(plan)));
  }

  /** What was made last was done: it went as it was told. */
  void became(Account account) {
    if (!account.isDone()) {
      return;
    }
    if (patches.remove(label) == null) {
      patches.put(label, plan);
      plan.pokes().forEach(poke -> standing.put(poke.address(), poke));
    } else {
      plan.pokes().forEach(poke -> standing.remove(poke.address()));
    }
  }

  /** What was cut off was recovered: what is not in the ledger any more does not stand. */
  void recovered(Account account) {
    boolean left = account.ledger().stream().anyMatch(entry -> entry.startsWith(label + " "));
    if (!left && patches.remove(label) != null) {
      plan.pokes().forEach(poke -> standing.remove(poke.address()));
    }
  }

  private PatchPlan plan() {
    int size =
        switch (random.nextInt(4)) {
          case 0, 1 -> 1;
          case 2 -> 2 + random.nextInt(Math.min(7, most - 1));
          default -> 1 + random.nextInt(most);
        };
    // Neighbours of which the poker makes one run, some that are too far apart, or any.
    int stride = random.nextInt(9);
    boolean arms = random.nextInt(4) == 0;
    int at = random.nextInt(code.functions.size());
    Map<Long, PatchPlan> plans = new TreeMap<>(Long::compareUnsigned);
    for (int tries = 0; plans.size() < size && tries < 3 * most; tries++) {
      Function function = code.functions.get(at % code.functions.size());
      Optional<PatchPlan> one = code.replacement(function, standing, arms);
      one.filter(part -> plans.values().stream().noneMatch(other -> share(part, other)))
          .ifPresent(part -> plans.put(part.pokes().get(0).address(), part));
      at += stride == 0 ? random.nextInt(code.functions.size()) : stride;
    }
    if (plans.isEmpty()) {
      return plan();
    }
    PatchPlan made = code.batch(plans.values());
    displacing += made.pokes().stream().anyMatch(Poke::displaces) ? 1 : 0;
    return made;
  }

  /** Of one function there may be two: one of them displaces what the other replaces. */
  private static boolean share(PatchPlan one, PatchPlan other) {
    Poke mine = one.pokes().get(0);
    Poke theirs = other.pokes().get(0);
    return mine.address() < theirs.address() + theirs.length()
        && theirs.address() < mine.address() + mine.length();
  }

  // ---------------------------------------------------------------- what happens meanwhile

  /** Runners call sites of the plan, each once, between its steps. */
  Deed withCalls(Deed deed) {
    List<Incident> calls = new ArrayList<>();
    for (int runner = 0; runner < EnginesAgreeTest.RUNNERS; runner++) {
      Function function = random.nextInt(8) == 0 ? any() : ofPlan();
      boolean mayDie = runner < EnginesAgreeTest.BLOCKED_RUNNERS && mayMeetArmed();
      if (!mayDie && changed.stream().noneMatch(other -> mayLeadTo(function, other))) {
        calls.add(new Deed.Call(step(), runner, function.name()));
      }
    }
    return deed.with(calls);
  }

  /** A thread that blocks SIGTRAP dies of a breakpoint that is the program's own. */
  private boolean mayMeetArmed() {
    return Stream.concat(standing.values().stream(), plan.pokes().stream())
        .anyMatch(poke -> poke.replacement().at(0) == plan.trapByte() || isArmed(poke));
  }

  private boolean isArmed(Poke poke) {
    return poke.site().bytes().at(0) == plan.trapByte();
  }

  /** Short jumps lead on from one to the next. */
  private static boolean mayLeadTo(Function from, Function to) {
    return from.batch() >= 0 && from.batch() <= to.batch();
  }

  private int step() {
    return random.nextInt(plan.steps().size());
  }

  private Function any() {
    return code.functions.get(random.nextInt(code.functions.size()));
  }

  private Function ofPlan() {
    long site = plan.pokes().get(random.nextInt(plan.pokes().size())).address();
    return code.functions.stream()
        .filter(function -> site - function.address() >= 0)
        .filter(function -> site - function.address() < function.bytes().length())
        .findFirst()
        .orElseThrow();
  }

  /**
   * Another tool changes a byte of a function of the plan, if workers do not call it.
   *
   * @param before before anything is done, else before one of the steps
   */
  Deed withChange(Deed deed, boolean before) {
    Function function = ofPlan();
    if (function.isRun()) {
      return deed;
    }
    long address = function.address() + random.nextInt(function.bytes().length());
    if (isBoundaryInside(address)) {
      // The stepwise engine gives up there, the poker puts back what it can.
      return deed;
    }
    changed.add(function);
    String place = places.name(address);
    return deed.with(
        List.of(new Deed.Change(before ? -1 : step(), place, CodeBytes.of(random.nextInt(256)))));
  }

  private boolean isBoundaryInside(long address) {
    return plan.pokes().stream()
        .anyMatch(
            poke ->
                poke.interior().stream()
                    .anyMatch(boundary -> poke.address() + boundary.offset() == address));
  }

  /** A write among the steps finds other bytes than it expects. */
  Deed withBrokenStep(Deed deed) {
    int at = step();
    int behind = random.nextInt(2);
    CodeBytes never = CodeBytes.of(0x06);
    return deed.withSteps(
        steps -> {
          int last = at;
          while (!(steps.get(last) instanceof Step.Write)) {
            last--;
          }
          Step.Write write = (Step.Write) steps.get(last);
          return ImmutableList.<Step>builder()
              .addAll(steps.subList(0, last + behind))
              .add(new Step.Write(write.address(), never, never, "broken"))
              .addAll(steps.subList(last + behind, steps.size()))
              .build();
        });
  }

  /** What has to be written to put right what other tools have changed, by place. */
  ImmutableMap<String, CodeBytes> mending() {
    ImmutableMap.Builder<String, CodeBytes> bytes = ImmutableMap.builder();
    changed.forEach(
        function -> bytes.put(function.name(), PatchableCode.standing(function, standing)));
    changed.clear();
    return bytes.buildKeepingLast();
  }
}
