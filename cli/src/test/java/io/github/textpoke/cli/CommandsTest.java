package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.PlanJson;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.process.SiteName;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@RequiresPtrace
@Timeout(120)
class CommandsTest {
  private static final Duration LONG = Duration.ofSeconds(30);
  private static final CodeBytes NOP = CodeBytes.ofHex("0f1f440000");
  private static final Pattern BACK = Pattern.compile("(?m)^back +(textpoke .*)$");

  private final Fixture workers =
      Fixture.start("workers", "--threads", "2", "--sites", "nop_0,call_62");

  @AfterEach
  void stop() {
    try (Fixture stopped = workers) {
      stopped.assertHealthy();
    }
  }

  @Test
  void symbolsListsTheFunctionsThatMatch() {
    Run run = Run.of("symbols", workers.pid(), "workers:nop_6?").assertDone();

    assertThat(run.out()).hasLineCount(4);
    assertThat(run.out())
        .contains(Output.hex(workers.address("nop_62")), "workers:nop_62")
        .doesNotContain("call_62");
  }

  @Test
  void symbolsAsJsonHasTheSame() {
    JsonArray symbols =
        Run.of("symbols", workers.pid(), "nop_6?", "--json").json().getAsJsonArray("symbols");

    List<String> names = new ArrayList<>();
    for (JsonElement symbol : symbols) {
      names.add(symbol.getAsJsonObject().get("name").getAsString());
    }
    assertThat(names).containsExactlyInAnyOrder("nop_60", "nop_61", "nop_62", "nop_63");
    JsonObject first = symbols.get(0).getAsJsonObject();
    assertThat(first.get("address").getAsString())
        .isEqualTo(Output.hex(workers.address(first.get("name").getAsString())));
    assertThat(first.get("object").getAsString()).isEqualTo("workers");
    assertThat(first.get("kind").getAsString()).isEqualTo("function");
  }

  @Test
  void inspectShowsTheCodeAndEachKindOfPatch() {
    Run run = Run.of("inspect", workers.pid(), "nop_62").assertDone();

    assertThat(run.out())
        .contains("workers:nop_62 of process " + workers.pid())
        .contains("across a cache line")
        .contains("-> " + Output.hex(workers.address("nop_62")) + "  0f 1f 44 00 00")
        .containsPattern("(?m)^jump +possible$");
  }

  @Test
  void inspectSaysWhyAKindOfPatchIsRefused() {
    JsonObject inspection = Run.of("inspect", workers.pid(), "nop_62+5", "--json").json();

    assertThat(inspection.get("place").getAsString()).isEqualTo("workers:nop_62+0x5");
    for (JsonElement element : inspection.getAsJsonArray("options")) {
      JsonObject option = element.getAsJsonObject();
      boolean isJump = option.get("kind").getAsString().equals("jump");
      assertThat(option.get("possible").getAsBoolean()).isEqualTo(!isJump && !isCall(option));
      if (isJump) {
        // lea 1(%rdi), %rax has four bytes, and the ret behind it is the function's last.
        assertThat(option.get("rule").getAsInt()).isIn(7, 9);
        assertThat(option.get("reason").getAsString()).contains("needs 5 bytes");
      }
    }
  }

  private static boolean isCall(JsonObject option) {
    return option.get("kind").getAsString().equals("call");
  }

  @Test
  void planShowsTheStepsAndTheVerdictAndTouchesNothing() {
    Run run = Run.of("plan", workers.pid(), "nop_0", "--jump", "repl").assertDone();

    assertThat(run.out())
        .contains("core sync", "0f 1f 44 00 00", "e9", "safe in every interleaving");
    assertThat(bytes("nop_0")).isEqualTo(NOP);
  }

  @Test
  void thePlanInJsonReadsBack() {
    JsonObject json =
        Run.of("plan", workers.pid(), "call_62", "--call", "target_b", "--json").json();

    PatchPlan plan = PlanJson.read(json.get("plan").toString());
    assertThat(plan.pokes().get(0).address()).isEqualTo(workers.address("call_62"));
    assertThat(plan.pokes().get(0).site().bytes()).isEqualTo(bytes("call_62"));
    assertThat(json.get("safe").getAsBoolean()).isTrue();
  }

  @Test
  void aJumpThatIsRefusedForWantOfRoomNamesASiteThatTakesIt() {
    String refusal =
        Run.of("plan", workers.pid(), "nop_0+5", "--jump", "repl").assertFailed(3).err();

    Matcher nearest = Pattern.compile("the nearest is (0x[0-9a-f]+) ").matcher(refusal);
    assertThat(nearest.find()).as(refusal).isTrue();
    Run.of("plan", workers.pid(), nearest.group(1), "--jump", "repl").assertDone();
  }

  @Test
  void aRefusedPlanEndsWith3AndNamesTheRule() {
    Run middle = Run.of("plan", workers.pid(), "nop_0+1", "--nop").assertFailed(3);
    assertThat(middle.err()).contains("rule 1 ").contains("byte 1 of the instruction");

    Run long_ = Run.of("apply", workers.pid(), "nop_0+5", "--jump", "repl").assertFailed(3);
    assertThat(long_.err()).contains("needs 5 bytes");

    Run same = Run.of("toggle", workers.pid(), "nop_0", "--nop", "--count", 5).assertFailed(3);
    assertThat(same.err()).contains("the new bytes stand there already");
  }

  @Test
  void aSiteThatIsNotThereEndsWith2() {
    assertThat(Run.of("inspect", workers.pid(), "no_such_function").assertFailed(2).err())
        .contains("no symbol 'no_such_function'");
    Run.of("plan", workers.pid(), "nop_0", "--jump", "workers:nowhere").assertFailed(2);
    Run.of("plan", workers.pid(), "nop_0+4096", "--nop").assertFailed(2);
    Run.of("plan", workers.pid(), "nop_0", "--was", "00".repeat(99), "--nop").assertFailed(2);
  }

  @Test
  void applyPatchesTheProcessAndSaysHowToGoBack() {
    Run applied = Run.of("apply", workers.pid(), "nop_0", "--jump", "repl").assertDone();
    assertThat(bytes("nop_0")).isNotEqualTo(NOP);
    assertThat(applied.out()).containsPattern("(?m)^id +1$").containsPattern("(?m)^engine +poker$");
    assertThat(back(applied)).isEqualTo("textpoke revert " + workers.pid() + " 1");
    workers.awaitCounter("results_new", 1_000, LONG);

    Run.ofLine(back(applied)).assertDone();
    assertThat(bytes("nop_0")).isEqualTo(NOP);
    assertThat(Run.of("status", workers.pid()).assertDone().out()).contains(": 0 patches");
  }

  @Test
  void applySaysWhyItWasNotThePoker() {
    workers.signal("SIGSTOP");
    awaitStop();
    JsonObject json = Run.of("apply", workers.pid(), "nop_5", "--jump", "repl", "--json").json();
    workers.signal("SIGCONT");

    assertThat(json.get("engine").getAsString()).isEqualTo("stepwise");
    assertThat(json.get("remark").getAsString()).startsWith("no poker: ").contains("stopped");
  }

  private void awaitStop() {
    boolean isStopped = false;
    while (!isStopped) { // within the test's time
      ProcStatus status = ProcStatus.read(workers.pid());
      isStopped = status != null && status.state() == 'T';
    }
  }

  /** What apply prints where the patch could not be recorded. */
  @Test
  void theWayBackWithoutALedgerTellsThePlannerWhatItCannotKnow() {
    // One byte of ret and four of padding: nobody could know that they were one instruction.
    Arguments.Place place = new Arguments.Place();
    place.pid = workers.pid();
    place.site = SiteName.parse("nop_5");
    Arguments.Replacement ret = new Arguments.Replacement();
    ret.bytes = CodeBytes.of(0xc3);
    String back = Planned.make(place, ret, new Arguments.Decoders()).wayBack(null);
    assertThat(back).endsWith("--bytes 0f1f440000 --was 0f1f440000");
    JsonObject json = Run.of("apply", workers.pid(), "nop_5", "--bytes", "c3", "--json").json();
    assertThat(json.get("old").getAsString()).isEqualTo(NOP.hex());
    assertThat(json.get("new").getAsString()).isEqualTo("c3 cc cc cc cc");
    Run.ofLine(back.replaceFirst(" --was .*", "")).assertFailed(3);

    Run.ofLine(back).assertDone();
    assertThat(bytes("nop_5")).isEqualTo(NOP);
  }

  @Test
  void statusListsEachPatch() {
    Run.of("apply", workers.pid(), "workers:nop_62", "--jump", "repl").assertDone();
    Run.of("apply", workers.pid(), "nop_5", "--bytes", "660f1f4000").assertDone();
    Run run = Run.of("status", workers.pid()).assertDone();

    assertThat(run.out()).startsWith("process " + workers.pid() + ": 2 patches");
    assertThat(run.out())
        .containsPattern("(?m)^1 +applied +workers:nop_62 +1 +[0-9-]{10} [0-9:]{8} +process ")
        .containsPattern("(?m)^2 +applied +nop_5 +1 ")
        .hasLineCount(4);
    assertThat(Run.of("status", workers.pid(), "--sites").assertDone().out())
        .hasLineCount(6)
        .contains(
            Output.hex(workers.address("nop_5"))
                + "  old "
                + NOP
                + "  new 66 0f 1f 40 00  found 66 0f 1f 40 00  new bytes");
  }

  @Test
  void statusInJsonSaysTheSame() {
    Run.of("apply", workers.pid(), "nop_62", "--jump", "repl").assertDone();
    JsonObject json = Run.of("status", workers.pid(), "--json", "--sites").json();

    assertThat(json.getAsJsonArray("damaged")).isEmpty();
    JsonObject patch = json.getAsJsonArray("patches").get(0).getAsJsonObject();
    assertThat(patch.get("id").getAsLong()).isEqualTo(1);
    assertThat(patch.get("state").getAsString()).isEqualTo("APPLIED");
    assertThat(patch.get("label").getAsString()).isEqualTo("nop_62");
    assertThat(patch.get("siteCount").getAsInt()).isEqualTo(1);
    assertThat(patch.get("engine").getAsString()).isEqualTo("poker");
    assertThat(Instant.parse(patch.get("time").getAsString()))
        .isBetween(Instant.now().minus(LONG), Instant.now());
    JsonObject site = patch.getAsJsonArray("sites").get(0).getAsJsonObject();
    assertThat(site.get("address").getAsString()).isEqualTo(Output.hex(workers.address("nop_62")));
    assertThat(site.get("old").getAsString()).isEqualTo(NOP.hex());
    assertThat(site.get("found")).isEqualTo(site.get("new"));
    assertThat(site.get("state").getAsString()).isEqualTo("NEW");
  }

  @Test
  void aPatchOnAPatchIsToldFromAnotherTools() {
    Run.of("apply", workers.pid(), "nop_62", "--jump", "repl").assertDone();
    Run.of("apply", workers.pid(), "nop_62", "--bytes", NOP).assertDone();
    assertThat(Run.of("status", workers.pid()).assertDone().out())
        .containsPattern("(?m)^1 +covered by patch 2 ")
        .containsPattern("(?m)^2 +applied ");
    Run.of("revert", workers.pid(), 1).assertFailed(3);

    Run.of("revert", workers.pid(), "--all").assertDone();
    assertThat(bytes("nop_62")).isEqualTo(NOP);
  }

  @Test
  void revertAllTakesTheNewestFirstAndLeavesWhatAnotherToolHasChanged() {
    Run.of("apply", workers.pid(), "nop_5", "--jump", "repl").assertDone();
    Run.of("apply", workers.pid(), "nop_62", "--jump", "repl").assertDone();
    Run.of("apply", workers.pid(), "nop_0", "--jump", "repl").assertDone();
    CodeBytes patched = bytes("nop_62");
    write("nop_62", CodeBytes.ofHex("9090909090"));
    assertThat(Run.of("status", workers.pid()).assertDone().out())
        .containsPattern("(?m)^2 +changed by another tool ");

    Run run = Run.of("revert", workers.pid(), "--all");
    assertThat(run.exitCode()).isEqualTo(3);
    assertThat(run.err()).startsWith("textpoke: code at ").hasLineCount(1);
    assertThat(run.out())
        .containsPattern(
            "^process [0-9]+: 2 patches reverted\n3  nop_0, .*\n1  nop_5, .*\n2  nop_62 is left: ");
    assertThat(bytes("nop_0")).isEqualTo(NOP);
    assertThat(bytes("nop_62")).isEqualTo(CodeBytes.ofHex("9090909090"));

    write("nop_62", patched);
    JsonObject json = Run.of("revert", workers.pid(), 2, "--json").json();
    assertThat(json.getAsJsonArray("reverted")).hasSize(1);
    assertThat(json.getAsJsonArray("left")).isEmpty();
    assertThat(bytes("nop_62")).isEqualTo(NOP);
    assertThat(Run.of("revert", workers.pid(), "--all").assertDone().out())
        .contains(": 0 patches reverted");
  }

  @Test
  void aPatchThatIsNotThereEndsWith2() {
    Run.of("apply", workers.pid(), "nop_0", "--jump", "repl").assertDone();

    assertThat(Run.of("revert", workers.pid(), 7).assertFailed(2).err())
        .contains("no patch 7 in process " + workers.pid() + "; its patches: 1");
    Run.of("revert", workers.pid(), 1).assertDone();
  }

  @Test
  void recoverSaysThatNothingWasCutOff() {
    assertThat(Run.of("recover", workers.pid()).assertDone().out())
        .isEqualTo("process " + workers.pid() + ": nothing was cut off" + System.lineSeparator());
    assertThat(Run.of("recover", workers.pid(), "--json").json().getAsJsonArray("recovered"))
        .isEmpty();
  }

  @Test
  void whatIsNotOneInstructionIsRefused() {
    Run run = Run.of("apply", workers.pid(), "nop_5", "--bytes", "488d4702c3").assertFailed(3);
    assertThat(run.err()).contains("rule 11");
  }

  @Test
  void toggleMeasuresAndLeavesTheOldBytes() {
    JsonObject json = toggleCall();
    while (json.get("traps").getAsLong() == 0) {
      json = toggleCall(); // the machine was too busy to run a worker meanwhile
    }

    assertThat(json.get("toggles").getAsLong()).isEqualTo(500);
    long median = json.get("medianNanos").getAsLong();
    assertThat(median).isPositive();
    assertThat(json.get("p99Nanos").getAsLong()).isGreaterThanOrEqualTo(median);
    assertThat(json.get("maxNanos").getAsLong())
        .isGreaterThanOrEqualTo(json.get("p99Nanos").getAsLong());
    assertThat(bytes("call_62").at(0)).isEqualTo(0xe8);
  }

  private JsonObject toggleCall() {
    return Run.ofLine(
            "textpoke toggle %d call_62 --call target_b --count 500 --interval 10us --json"
                .formatted(workers.pid()))
        .json();
  }

  @Test
  void toggleInTextSaysTheSame() {
    Run run =
        Run.of("toggle", workers.pid(), "nop_0", "--jump", "repl", "--count", 20).assertDone();

    assertThat(run.out())
        .contains("workers:nop_0 of process " + workers.pid() + ": 20 toggles")
        .contains("median", "p99", "max", "traps", "threads parked");
    assertThat(bytes("nop_0")).isEqualTo(NOP);
  }

  private CodeBytes bytes(String function) {
    try (ProcMemReader memory = new ProcMemReader(workers.pid())) {
      return memory.read(workers.address(function), 5);
    }
  }

  /** As another tool would. */
  private void write(String function, CodeBytes bytes) {
    try (ProcMem memory = ProcMem.open(workers.pid(), new int[1])) {
      assertThat(memory).isNotNull();
      assertThat(memory.write(workers.address(function), bytes)).isEqualTo(bytes.length());
    }
  }

  private static String back(Run applied) {
    Matcher matcher = BACK.matcher(applied.out());
    assertThat(matcher.find()).as(applied.out()).isTrue();
    return matcher.group(1);
  }
}
