package io.github.textpoke.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.BadPlanException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PlanJsonTest {
  private static final String ONE_BYTE =
      """
      {
        "format": "textpoke-plan",
        "version": 1,
        "trapByte": 204,
        "pokes": [
          {
            "address": "0xffffffffff600000",
            "old": "90",
            "oldLength": 1,
            "new": "c3",
            "newLength": 1,
            "trapAction": "redirect to 0x401000"
          }
        ],
        "steps": [
          {
            "kind": "write",
            "address": "0xffffffffff600000",
            "expected": "90",
            "bytes": "cc",
            "why": "breakpoint on the first byte"
          },
          {
            "kind": "sync cores",
            "why": "no core can miss a breakpoint"
          },
          {
            "kind": "write",
            "address": "0xffffffffff600000",
            "expected": "cc",
            "bytes": "c3",
            "why": "first byte"
          },
          {
            "kind": "sync cores",
            "why": "no core can run a stale breakpoint"
          }
        ]
      }""";

  /** Of the second version. */
  private static final String DISPLACING =
      """
      {
        "format": "textpoke-plan",
        "version": 2,
        "trapByte": 204,
        "pokes": [
          {
            "address": "0x401000",
            "old": "55 90",
            "oldLength": 2,
            "new": "eb 10",
            "newLength": 2,
            "trapAction": "redirect to 0x70000000",
            "oldInterior": [
              {
                "offset": 1,
                "trapAction": "redirect to 0x70000001"
              }
            ],
            "newInterior": []
          }
        ],
        "steps": [
          {
            "kind": "write",
            "address": "0x401000",
            "expected": "55",
            "bytes": "cc",
            "why": "breakpoint on the first byte"
          },
          {
            "kind": "write",
            "address": "0x401001",
            "expected": "90",
            "bytes": "cc",
            "why": "breakpoint on a boundary inside"
          },
          {
            "kind": "sync cores",
            "why": "no core can miss a breakpoint"
          },
          {
            "kind": "evacuate",
            "address": "0x401000",
            "length": 2,
            "mapping": [
              {
                "from": "0x401001",
                "to": "0x70000001"
              }
            ],
            "why": "no thread can stand inside"
          },
          {
            "kind": "write",
            "address": "0x401001",
            "expected": "cc",
            "bytes": "10",
            "why": "all but the first byte"
          },
          {
            "kind": "sync cores",
            "why": "no core can run a stale tail"
          },
          {
            "kind": "write",
            "address": "0x401000",
            "expected": "cc",
            "bytes": "eb",
            "why": "first byte"
          },
          {
            "kind": "sync cores",
            "why": "no core can run a stale breakpoint"
          }
        ]
      }""";

  private static PatchPlan displacing() {
    return PatchPlan.of(
        0xcc,
        List.of(
            Poke.displacing(
                new Site(0x401000, CodeBytes.ofHex("55 90")),
                2,
                List.of(Boundary.copiedTo(1, 0x70000001)),
                CodeBytes.ofHex("eb 10"),
                2,
                new TrapAction.Redirect(0x70000000))));
  }

  @Test
  void writesTheSecondVersionWhereInstructionsAreDisplaced() {
    assertThat(PlanJson.write(displacing())).isEqualTo(DISPLACING);
    assertThat(PlanJson.read(DISPLACING)).isEqualTo(displacing());
    assertThat(PlanJson.write(displacing().inverse()))
        .contains("\"version\": 2", "\"oldInterior\": []", "\"newInterior\": [\n");
  }

  @Test
  void readsTheSecondVersionOfAPlanThatDisplacesNothing() {
    String text =
        ONE_BYTE
            .replace("\"version\": 1", "\"version\": 2")
            .replace(
                "\"redirect to 0x401000\"",
                "\"redirect to 0x401000\", \"oldInterior\": [], \"newInterior\": []");

    assertThat(PlanJson.read(text)).isEqualTo(PlanJson.read(ONE_BYTE));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "\"version\": 2         | \"version\": 1         | not those of version 1",
        "\"newInterior\": []    | \"newInterior\": 1     | BEGIN_ARRAY",
        "\"newInterior\": []    | \"oldInterior\": []    | stands twice",
        "\"newInterior\": []    | \"interior\": []       | a string or a number",
        "\"offset\": 1          | \"offset\": 0          | a boundary at offset 0",
        "\"offset\": 1          | \"offset\": 2          | a boundary at offset 2 of code of 2",
        "\"offset\": 1          | \"offset\": 1, \"x\": 1 | found the names",
        "redirect to 0x70000001 | redirect to 70000001   | no address",
        "redirect to 0x70000001 | emulate                | 'emulate' is no trap action",
        "\"evacuate\"           | \"write\"              | a mapping in a step of the kind",
        "\"length\": 2          | \"length\": 3          | the step is",
        "\"length\": 2          | \"length\": 1          | is not inside of the 1 bytes",
        "\"from\": \"0x401001\" | \"from\": \"0x401000\" | is not inside of the 2 bytes",
        "\"from\": \"0x401001\" | \"from\": \"1\"        | no address",
        "\"to\": \"0x70000001\" | \"to\": \"0x70000002\" | the step is",
      })
  void refusesATextOfTheSecondVersionThatIsNoPlan(String good, String bad, String words) {
    assertThat(DISPLACING).contains(good);

    assertThatThrownBy(() -> PlanJson.read(DISPLACING.replace(good, bad)))
        .isInstanceOf(BadPlanException.class)
        .hasMessageStartingWith("no plan: at $")
        .hasMessageContaining(words);
  }

  @Test
  void refusesTheBoundariesOfOneCodeWithoutThoseOfTheOther() {
    String text = DISPLACING.replaceFirst(",\\s*\"newInterior\": \\[]", "");

    assertThat(text).isNotEqualTo(DISPLACING);
    assertThatThrownBy(() -> PlanJson.read(text))
        .isInstanceOf(BadPlanException.class)
        .hasMessageContaining("found [oldInterior] alone");
  }

  @Test
  void refusesABoundaryWithoutACopy() {
    String text = DISPLACING.replaceFirst("redirect to 0x70000001", "rewind");

    assertThatThrownBy(() -> PlanJson.read(text))
        .isInstanceOfSatisfying(
            PlanRefusedException.class, refusal -> assertThat(refusal.rule()).isEqualTo(4));
  }

  @Test
  void writesWhatAPersonCanRead() {
    PatchPlan plan =
        PatchPlan.of(
            0xcc,
            List.of(
                new Poke(
                    new Site(0xffff_ffff_ff60_0000L, CodeBytes.of(0x90)),
                    1,
                    CodeBytes.of(0xc3),
                    1,
                    new TrapAction.Redirect(0x401000))));

    assertThat(PlanJson.write(plan)).isEqualTo(ONE_BYTE);
    assertThat(PlanJson.read(ONE_BYTE)).isEqualTo(plan);
  }

  @Test
  void readsBackEqualWhateverThePlan() {
    SplittableRandom random = new SplittableRandom(2);
    for (int i = 0; i < 2_000; i++) {
      PatchPlan plan = anyPlan(random);
      assertThat(PlanJson.read(PlanJson.write(plan))).isEqualTo(plan);
      assertThat(PlanJson.read(PlanJson.write(plan.inverse()))).isEqualTo(plan.inverse());
    }
  }

  @Test
  void readsNamesInAnyOrder() {
    String reordered =
        ONE_BYTE
            .replace("\"format\": \"textpoke-plan\",", "")
            .replaceFirst("\\}$", ", \"format\": \"textpoke-plan\"}");

    assertThat(PlanJson.read(reordered)).isEqualTo(PlanJson.read(ONE_BYTE));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "\"textpoke-plan\"      | \"other\"              | expected 'textpoke-plan 1'",
        "\"version\": 1         | \"version\": 3         | expected 'textpoke-plan 1' or '2'",
        "\"version\": 1         | \"version\": 2         | not those of version 2",
        "\"version\": 1,        | ``                     | found the names",
        "\"version\": 1         | \"version\": [[[1]]]   | expected a string or a number",
        "\"trapByte\": 204      | \"trapByte\": 300      | not a byte",
        "\"trapByte\": 204      | \"trapByte\": 1e99     | 1e99",
        "\"trapByte\": 204      | \"trapByte\": 204, \"x\": 1   | found the names",
        "\"trapByte\": 204      | \"trapByte\": 204, \"trapByte\": 1 | stands twice",
        "0xffffffffff600000     | 0xffffffffff6000001    | no address",
        "0xffffffffff600000     | -1                     | no address",
        "0xffffffffff600000     | 0xffffffffff600001     | the step is",
        "\"old\": \"90\"        | \"old\": \"9\"         | $.pokes[1]",
        "\"old\": \"90\"        | \"old\": \"\"          | at least one byte",
        "\"old\": \"90\"        | \"old\": \"90 90\"     | its replacement 1",
        "\"oldLength\": 1       | \"oldLength\": 2       | old length 2",
        "\"newLength\": 1       | \"newLength\": -1      | new length -1",
        "redirect to 0x401000   | emulate                | 'emulate' is no trap action",
        "\"sync cores\"         | \"sleep\"              | 'sleep' is no kind of step",
        "\"expected\": \"90\"   | \"expected\": \"91\"   | the step is",
        "\"bytes\": \"c3\"      | \"bytes\": \"c3 c3\"   | differ in length",
        "\"steps\": [           | \"steps\": [7,         | $.steps[0]",
        "\"pokes\": [           | \"pokes\": [], \"p\": [ | found BEGIN_ARRAY",
      })
  void refusesATextThatIsNoPlan(String good, String bad, String words) {
    assertThat(ONE_BYTE).contains(good);
    String text = good.startsWith("0x") ? replaceFirst(good, bad) : ONE_BYTE.replace(good, bad);

    assertThatThrownBy(() -> PlanJson.read(text))
        .isInstanceOf(BadPlanException.class)
        .hasMessageStartingWith("no plan: at $")
        .hasMessageContaining(words);
  }

  private static String replaceFirst(String good, String bad) {
    int at = ONE_BYTE.indexOf(good);
    return ONE_BYTE.substring(0, at) + bad + ONE_BYTE.substring(at + good.length());
  }

  @Test
  void refusesStepsThatTheProtocolWouldNotTake() {
    String withoutLastSync = ONE_BYTE.substring(0, ONE_BYTE.lastIndexOf(",\n    {")) + "]}";

    assertThatThrownBy(() -> PlanJson.read(withoutLastSync))
        .isInstanceOf(BadPlanException.class)
        .hasMessageContaining("there are 3 steps, by the protocol 4");
  }

  @Test
  void takesStepsWithOtherWords() {
    String text = ONE_BYTE.replace("no core can run a stale breakpoint", "be safe");

    assertThat(PlanJson.read(text)).isEqualTo(PlanJson.read(ONE_BYTE));
  }

  @Test
  void refusesPokesThatBreakARule() {
    String poke = ONE_BYTE.substring(ONE_BYTE.indexOf("    {\n      \"addr"));
    String twice = poke.substring(0, poke.indexOf("  ],")).stripTrailing();
    String text = ONE_BYTE.replace(twice, twice + "," + twice);

    assertThatThrownBy(() -> PlanJson.read(text))
        .isInstanceOfSatisfying(
            PlanRefusedException.class, refusal -> assertThat(refusal.rule()).isEqualTo(6));
  }

  @Test
  void refusesTextBehindThePlan() {
    assertThatThrownBy(() -> PlanJson.read(ONE_BYTE + "{}")).isInstanceOf(BadPlanException.class);
  }

  @Test
  void refusesEveryPrefixOfAPlan() {
    for (String text : List.of(ONE_BYTE, DISPLACING)) {
      for (int length = 0; length < text.length(); length++) {
        String prefix = text.substring(0, length);
        assertThatThrownBy(() -> PlanJson.read(prefix)).isInstanceOf(BadPlanException.class);
      }
    }
  }

  @Test
  void answersGarbledTextWithAPlanOrAPatchException() {
    SplittableRandom random = new SplittableRandom(9);
    int refused = 0;
    for (int i = 0; i < 20_000; i++) {
      StringBuilder text = new StringBuilder(random.nextBoolean() ? ONE_BYTE : DISPLACING);
      for (int garbled = 1 + random.nextInt(3); garbled > 0; garbled--) {
        text.setCharAt(random.nextInt(text.length()), (char) random.nextInt(128));
      }
      try {
        PlanJson.read(text.toString());
      } catch (PatchException e) {
        refused++;
      }
    }
    assertThat(refused).isGreaterThan(10_000);
  }

  private static PatchPlan anyPlan(SplittableRandom random) {
    List<Poke> pokes = new ArrayList<>();
    long address = random.nextLong() & ~0xffffffL;
    for (int i = 1 + random.nextInt(5); i > 0; i--) {
      int length = 1 + random.nextInt(15);
      CodeBytes old = code(length, random);
      address += random.nextInt(5_000);
      Site site = new Site(address, old);
      pokes.add(
          random.nextInt(3) == 0
              ? new Poke(site, length, old.with(0, CodeBytes.of(0xcc)), 1, new TrapAction.PassOn())
              : anyReplacement(site, random));
      address += length;
    }
    return PatchPlan.of(0xcc, pokes);
  }

  private static Poke anyReplacement(Site site, SplittableRandom random) {
    int length = site.length();
    int oldLength = 1 + random.nextInt(length);
    List<Boundary> interior =
        IntStream.range(1, oldLength)
            .filter(offset -> site.bytes().at(offset) != 0xcc && random.nextInt(4) == 0)
            .mapToObj(offset -> Boundary.copiedTo(offset, random.nextLong()))
            .toList();
    TrapAction action =
        random.nextBoolean() ? new TrapAction.Rewind() : new TrapAction.Redirect(random.nextLong());
    CodeBytes fresh = code(length, random);
    return Poke.displacing(site, oldLength, interior, fresh, 1 + random.nextInt(length), action);
  }

  private static CodeBytes code(int length, SplittableRandom random) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    if (bytes[0] == (byte) 0xcc) {
      bytes[0] = 0x55;
    }
    return CodeBytes.of(bytes);
  }
}
