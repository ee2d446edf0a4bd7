package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.apply.Account.Called;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.Deed.Incident;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.plan.FoundSite;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** One of two instances of a program to which the same is done, each by another engine. */
final class Twin implements AutoCloseable {
  private static final Duration SOON = Duration.ofSeconds(30);

  /** Longer than a busy machine may take for an incident: the poker waits no longer. */
  private static final Duration LEASE = Duration.ofSeconds(20);

  /** So that a stay is not begun anew for each deed while the other twin is at work. */
  private static final Duration LINGER = Duration.ofSeconds(1);

  private final EngineChoice engine;
  private final Fixture fixture;
  private final Places places;
  private final Runners runners;

  /** Whether incidents may happen between two steps: then no two writes are done in one go. */
  private final boolean pauses;

  /** For a test that shows that a difference is seen. */
  private final UnaryOperator<ImmutableList<Step>> sabotage;

  private final ProcMem memory;

  /** The code that is watched, as it was when the program began, by address. */
  private final Map<Long, CodeBytes> code = new LinkedHashMap<>();

  private TargetProcess process;

  /** What is done now. */
  private @Nullable Deed deed;

  Twin(
      EngineChoice engine,
      Fixture fixture,
      List<String> published,
      int runners,
      boolean pauses,
      UnaryOperator<ImmutableList<Step>> sabotage) {
    this.engine = engine;
    this.fixture = fixture;
    this.places = new Places(fixture, published);
    this.runners = new Runners(fixture, places, runners);
    this.pauses = pauses;
    this.sabotage = sabotage;
    this.memory = TargetMemory.open(fixture.pid());
    this.process = attach();
  }

  private TargetProcess attach() {
    return TargetProcess.attach(
        fixture.pid(),
        AttachOptions.DEFAULT
            .withEngine(engine)
            .withLinger(LINGER)
            .withLease(LEASE)
            .withPatience(SOON),
        new Interference() {
          @Override
          public ImmutableList<Step> steps(ImmutableList<Step> steps) {
            return sabotage.apply(deed().steps().apply(steps));
          }

          @Override
          public boolean pauses() {
            return pauses;
          }

          @Override
          public void before(int step) {
            deed().incidents().stream()
                .filter(incident -> incident.step() == step)
                .forEach(Twin.this::happens);
          }
        });
  }

  private Deed deed() {
    Deed now = deed;
    if (now == null) {
      throw new IllegalStateException("nothing is done");
    }
    return now;
  }

  Fixture fixture() {
    return fixture;
  }

  Places places() {
    return places;
  }

  /** The absolute address of a place. */
  long address(String place) {
    return places.address(place);
  }

  /** From now on the code that its program was started with is watched. */
  void watchProgram() {
    String path = Fixture.program(fixture.toString().split(" ")[0]).toString();
    MemoryMap.read(fixture.pid()).mappings().stream()
        .filter(mapping -> mapping.executable() && mapping.path().equals(path))
        .forEach(this::watch);
    assertThat(code).isNotEmpty();
  }

  private void watch(Mapping mapping) {
    watch(mapping.start(), (int) mapping.length());
  }

  /** From now on so many bytes are watched. */
  void watch(long address, int length) {
    code.put(address, bytes(address, length));
  }

  /** What stands there now. */
  CodeBytes bytes(long address, int length) {
    CodeBytes bytes = memory.read(address, length);
    assertThat(bytes).as(places.name(address)).isNotNull();
    return bytes;
  }

  /** Writes as another tool would, that knows nothing of us. */
  void write(String place, CodeBytes bytes) {
    assertThat(memory.write(address(place), bytes)).isEqualTo(bytes.length());
  }

  /** Leaves the program and attaches to it again. */
  void attachAgain() {
    process.close();
    process = attach();
  }

  /** Does it, and tells of it. */
  Account does(Deed now) {
    deed = now;
    now.incidents().stream().filter(incident -> incident.step() < 0).forEach(this::happens);
    String answer = answer(now.what());
    ImmutableList<Called> calls = runners.finish();
    return new Account(answer, changed(), ledger(), calls, runners.signalsWhenSettled());
  }

  private String answer(Deed.What what) {
    try {
      if (what instanceof Deed.Apply apply) {
        return answer(process.apply(apply.in(places), apply.label()).report().orElseThrow());
      }
      if (what instanceof Deed.Revert revert) {
        return answer(patch(revert.label()).revert());
      }
      return process.recover().stream()
          .map(patch -> patch.entry().note().label() + " " + patch.result() + foreign(patch))
          .toList()
          .toString();
    } catch (PatchException failure) {
      return failure.getClass().getSimpleName()
          + " "
          + failure.outcome()
          + ": "
          + places.named(failure.what()).replace("process " + fixture.pid(), "process PID");
    }
  }

  private String foreign(RecoveredPatch patch) {
    return patch.foreign().stream().map(this::told).toList().toString();
  }

  /** Who traps is only known where nobody but runners runs the sites. */
  private String answer(ApplyReport report) {
    return runners.count() > 0
        ? Account.DONE + ", " + report.traps() + " traps, " + report.parked() + " waited"
        : Account.DONE;
  }

  private Patch patch(String label) {
    return process.patches().stream()
        .filter(patch -> patch.label().equals(label))
        .findFirst()
        .orElseThrow(() -> new AssertionError("no patch " + label + ": " + ledger()));
  }

  // ---------------------------------------------------------------- incidents

  private void happens(Incident incident) {
    if (incident instanceof Deed.Call call) {
      runners.call(call);
    } else if (incident instanceof Deed.Change change) {
      write(change.place(), change.bytes());
    } else if (incident instanceof Deed.Command command) {
      fixture.command(command.line());
      fixture.awaitCounter(command.counter(), 1, SOON);
    }
  }

  // ---------------------------------------------------------------- what stands

  /** Where the code is not as it was. */
  ImmutableList<String> changed() {
    ImmutableList.Builder<String> changed = ImmutableList.builder();
    code.forEach(
        (address, before) -> {
          CodeBytes now = memory.read(address, before.length());
          if (now == null) {
            changed.add(places.name(address) + ": nothing");
          } else if (!now.equals(before)) {
            changed.addAll(places.differences(address, before, now));
          }
        });
    return changed.build();
  }

  /** What would be told of the code if {@code pokes} stood in it and nothing else. */
  ImmutableList<String> changedBy(Iterable<Poke> pokes) {
    ImmutableList.Builder<String> changed = ImmutableList.builder();
    code.forEach(
        (address, before) -> {
          byte[] after = before.toByteArray();
          for (Poke poke : pokes) {
            long at = poke.address() - address;
            for (int i = 0; i < poke.length(); i++) {
              if (at + i >= 0 && at + i < after.length) {
                after[(int) at + i] = (byte) poke.replacement().at(i);
              }
            }
          }
          changed.addAll(
              places.differences(address, before, CodeBytes.copyOf(after, 0, after.length)));
        });
    return changed.build();
  }

  private ImmutableList<String> ledger() {
    LedgerStatus status = TargetProcess.status(fixture.pid());
    assertThat(status.damaged()).isEmpty();
    return status.patches().stream().map(this::told).collect(ImmutableList.toImmutableList());
  }

  private String told(PatchStatus patch) {
    return patch.entry().note().label()
        + " "
        + patch.state()
        + " "
        + patch.entry().progress()
        + patch.sites().stream().map(this::told).toList();
  }

  private String told(FoundSite site) {
    Poke poke = site.poke();
    return places.name(poke.address())
        + " "
        + poke.site().bytes().hex()
        + " > "
        + poke.replacement().hex()
        + " "
        + poke.oldLength()
        + " > "
        + poke.newLength()
        + " "
        + places.named(poke.trapAction())
        + " "
        + site.state()
        + " "
        + site.found();
  }

  /** The program runs, and has seen no wrong result. */
  void assertHealthy() {
    fixture.assertHealthy();
    assertThat(changed()).isEmpty();
    assertThat(ledger()).isEmpty();
  }

  @Override
  public void close() {
    process.close();
    memory.close();
    fixture.close();
  }
}
