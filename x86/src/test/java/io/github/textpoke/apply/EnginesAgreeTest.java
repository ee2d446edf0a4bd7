package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.plan.X86Planner;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The stepwise engine is the reference: whatever plans both engines carry out, and whatever happens
 * meanwhile, no byte, no failure, no record and no thread's way is another.
 */
@RequiresPtrace
class EnginesAgreeTest {
  static final int RUNNERS = 4;

  /** The first of the runners block all signals. */
  static final int BLOCKED_RUNNERS = 1;

  private static final boolean SOAK = Boolean.getBoolean("soak");
  private static final int DEEDS = SOAK ? 6_000 : 36;
  private static final int PAUSED_DEEDS = SOAK ? 4_000 : 24;
  private static final int MOST_SITES = 64;

  /** Each step is a pause, so that few sites make a long plan. */
  private static final int MOST_PAUSED_SITES = 8;

  /** Of the code in shared_text. */
  private static final int CODE_LENGTH = 10;

  /** Three breakpoints, three tails, three first bytes, and the core syncs. */
  private static final int STEPS_OF_THREE = 12;

  private static final UnaryOperator<ImmutableList<Step>> NO_SABOTAGE = UnaryOperator.identity();

  /** Where it is set, what a failure has printed is repeated. */
  private static final long SEED = Long.getLong("seed", System.nanoTime());

  private static Twins workers(
      boolean pauses, UnaryOperator<ImmutableList<Step>> sabotage, String... options) {
    List<String> arguments = new ArrayList<>(List.of(options));
    if (pauses) {
      arguments.addAll(List.of("--threads", "1", "--sites", PatchableCode.UNCHANGED));
      arguments.addAll(List.of("--runners", "" + RUNNERS));
      arguments.addAll(List.of("--blocked-runners", "" + BLOCKED_RUNNERS));
    }
    Twins twins =
        Twins.start(
            PatchableCode.published(),
            pauses ? RUNNERS : 0,
            pauses,
            sabotage,
            "workers",
            arguments.toArray(new String[0]));
    twins.write(PatchableCode.COPY, PatchableCode.COPIED);
    twins.watchProgram();
    return twins;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"--sites all", "--sites all --take-armed", "--sites all --ignore-sigtrap"})
  void whileWorkersRunTheSitesTheyLeaveTheSameBytesFailuresAndRecords(String options) {
    SplittableRandom random = new SplittableRandom(SEED);
    try (Twins twins = workers(false, NO_SABOTAGE, options.split(" "))) {
      RandomDeeds deeds = new RandomDeeds(twins.one(), random, MOST_SITES);
      List<Account> accounts = new ArrayList<>();
      for (int i = 0; i < DEEDS; i++) {
        Deed deed = deeds.next();
        accounts.add(
            switch (i % 6) {
              case 0 -> play(twins, deeds, deeds.withChange(deed, true));
              case 3 -> playFresh(twins, deeds, deeds.withBrokenStep(deed));
              default -> play(twins, deeds, deed);
            });
      }
      revertAll(twins, deeds);
      assertThat(accounts).anyMatch(Account::isDone).anyMatch(Account::isRolledBack);
      assertThat(deeds.displacing()).as("plans that displace").isPositive();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "--take-armed"})
  void threadsThatRunASiteBetweenTwoStepsEndUpAtTheSamePlace(String options) {
    SplittableRandom random = new SplittableRandom(SEED);
    String[] words = options.isEmpty() ? new String[0] : options.split(" ");
    try (Twins twins = workers(true, NO_SABOTAGE, words)) {
      RandomDeeds deeds = new RandomDeeds(twins.one(), random, MOST_PAUSED_SITES);
      List<Account> accounts = new ArrayList<>();
      for (int i = 0; i < PAUSED_DEEDS; i++) {
        Deed deed = deeds.next();
        accounts.add(
            switch (i % 6) {
              case 0 -> play(twins, deeds, deeds.withCalls(deeds.withChange(deed, false)));
              case 3 -> playFresh(twins, deeds, deeds.withCalls(deeds.withBrokenStep(deed)));
              default -> play(twins, deeds, deeds.withCalls(deed));
            });
      }
      revertAll(twins, deeds);
      assertThat(accounts).anyMatch(Account::isDone).anyMatch(Account::isRolledBack);
      assertThat(accounts.stream().flatMap(account -> account.calls().stream()))
          .anyMatch(Account.Called::waited)
          .anyMatch(call -> !call.waited());
      assertThat(deeds.displacing()).as("plans that displace").isPositive();
    }
  }

  /** Plans that were used last are laid out no more, so a deed with other steps is to be new. */
  private static Account playFresh(Twins twins, RandomDeeds deeds, Deed deed) {
    twins.attachAgain();
    Account account = play(twins, deeds, deed);
    twins.attachAgain();
    return account;
  }

  private static Account play(Twins twins, RandomDeeds deeds, Deed deed) {
    try {
      Account account = twins.both(deed);
      deeds.became(account);
      if (deed.incidents().stream().anyMatch(Deed.Change.class::isInstance)) {
        deeds.recovered(twins.both(Deed.of(new Deed.Recover())));
        deeds.mending().forEach(twins::write);
        deeds.recovered(twins.both(Deed.of(new Deed.Recover())));
      }
      assertThat(twins.one().changed())
          .as("the code after " + deed)
          .isEqualTo(twins.one().changedBy(deeds.standing()));
      return account;
    } catch (AssertionError | RuntimeException failure) {
      throw new AssertionError("with -Dseed=" + SEED + ": " + failure.getMessage(), failure);
    }
  }

  private static void revertAll(Twins twins, RandomDeeds deeds) {
    while (!deeds.isEmpty()) {
      play(twins, deeds, deeds.revert());
    }
    twins.assertHealthy();
  }

  /** A mapping that goes, or that the program can't read any more, before some step. */
  @ParameterizedTest
  @ValueSource(strings = {"unmap", "protect"})
  void ofAMappingThatGoesTheyTellTheSame(String command) {
    for (int step = SOAK ? -1 : 0; step < STEPS_OF_THREE; step += SOAK ? 1 : 4) {
      try (Twins twins =
          Twins.start(
              ImmutableList.of("private_site", "doomed_site"),
              0,
              true,
              NO_SABOTAGE,
              "shared_text")) {
        twins.watch("private_site", CODE_LENGTH);
        twins.watch("doomed_site", CODE_LENGTH);
        Deed apply =
            Deed.of(new Deed.Apply("doomed", threeSites(twins.one()), twins.one().places()));
        // So that it is not refused beforehand.
        twins.both(apply);
        twins.both(Deed.of(new Deed.Revert("doomed", false)));
        twins.both(
            apply.with(
                List.of(
                    new Deed.Command(
                        step, command, command.equals("unmap") ? "unmapped" : "protected"))));
        twins.both(Deed.of(new Deed.Recover()));
      }
    }
  }

  private static PatchPlan threeSites(Twin twin) {
    long doomed = twin.address("doomed_site");
    return PatchPlan.of(
        X86Planner.INT3,
        List.of(
            poke(twin.address("private_site"), "0f 1f 44 00 00", "66 0f 1f 40 00"),
            poke(doomed, "0f 1f 44 00 00", "66 0f 1f 40 00"),
            poke(doomed + 5, "48 8d 47 01", "0f 1f 40 00")));
  }

  private static Poke poke(long address, String before, String after) {
    CodeBytes old = CodeBytes.ofHex(before);
    return new Poke(
        new Site(address, old),
        old.length(),
        CodeBytes.ofHex(after),
        old.length(),
        new TrapAction.Rewind());
  }

  /** What is done to one engine's steps to show that the tests above can fail. */
  enum Sabotage {
    LEAVES_OUT_A_TAIL("patch CHANGED"),
    SETS_A_BREAKPOINT_LATE("done, 0 traps, 0 waited"),
    EXPECTS_OTHER_BYTES("CodeChangedException ROLLED_BACK");

    /** How what the poker alone tells of begins. */
    private final String seen;

    Sabotage(String seen) {
      this.seen = seen;
    }

    /** Two breakpoints, a core sync, two tails, a core sync, a first byte, a core sync. */
    ImmutableList<Step> of(ImmutableList<Step> steps) {
      List<Step> others = new ArrayList<>(steps);
      switch (this) {
        case LEAVES_OUT_A_TAIL -> others.remove(3);
        case SETS_A_BREAKPOINT_LATE -> Collections.swap(others, 1, 2);
        case EXPECTS_OTHER_BYTES -> {
          Step.Write tail = (Step.Write) steps.get(3);
          others.set(3, new Step.Write(tail.address(), tail.bytes(), tail.bytes(), "other"));
        }
      }
      return ImmutableList.copyOf(others);
    }
  }

  @ParameterizedTest
  @EnumSource
  void whatOneEngineDoesOtherwiseIsSeen(Sabotage sabotage) {
    try (Twins twins = workers(true, sabotage::of)) {
      Twin one = twins.one();
      PatchPlan plan =
          PatchPlan.of(
              X86Planner.INT3,
              List.of(
                  poke(one.address("nop_1"), "0f 1f 44 00 00", "0f 1f 44 00 7f"),
                  poke(one.address("nop_2"), "0f 1f 44 00 00", "2e 48 8d 47 02")));
      Deed deed =
          Deed.of(new Deed.Apply("patch", plan, one.places()))
              .with(List.of(new Deed.Call(2, 0, "nop_2")));
      assertThatExceptionOfType(AssertionError.class)
          .isThrownBy(() -> twins.both(deed))
          .withMessageContaining("the poker alone: [" + sabotage.seen);
    }
  }
}
