package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.ObjectSegment.Access;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.NearHole;
import io.github.textpoke.process.ProcMemReader;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Memory for an object of ours in a living target. */
@RequiresPtrace
class ObjectMemoryTest {
  private static final long PAGE = 4096;
  private static final String NAME = "object-1.so";
  private static final String IN_MAPS = "/memfd:textpoke-" + NAME;
  private static final CodeBytes CODE = CodeBytes.ofHex("8d 47 07 c3");
  private static final CodeBytes WORDS = CodeBytes.filled(3 * 4096 - 5, 0x5a);

  private static TargetProcess attach(Fixture fixture, EngineChoice engine) {
    return TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT.withEngine(engine));
  }

  private static ImmutableList<ObjectSegment> object(long base) {
    return ImmutableList.of(
        new ObjectSegment(base, PAGE, Access.READ_EXECUTE, CODE),
        new ObjectSegment(base + PAGE, PAGE, Access.NONE, CodeBytes.EMPTY),
        new ObjectSegment(base + 2 * PAGE, 3 * PAGE, Access.READ_WRITE, WORDS),
        new ObjectSegment(base + 6 * PAGE, PAGE, Access.READ, WORDS.slice(0, 4096)));
  }

  private static ImmutableList<Mapping> ours(Fixture fixture) {
    return MemoryMap.read(fixture.pid()).mappings().stream()
        .filter(mapping -> mapping.path().equals(IN_MAPS))
        .collect(ImmutableList.toImmutableList());
  }

  @ParameterizedTest
  @EnumSource(EngineChoice.class)
  void eachSegmentHasItsProtectionItsBytesAndItsName(EngineChoice engine) {
    try (Fixture fixture = Fixture.start("busy");
        TargetProcess process = attach(fixture, engine);
        ProcMemReader reader = new ProcMemReader(fixture.pid())) {
      ObjectMemory memory = process.objectMemory();
      long near = process.address("busy:main");
      long base = memory.room(near, near + 100, 7 * PAGE);
      assertThat(Math.abs(base - near)).isLessThan(NearHole.REACH);
      assertThat(memory.map(NAME, object(base))).isTrue();
      assertThat(ours(fixture))
          .extracting(Mapping::toString)
          .containsExactly(
              line(base, 1, "r-xp"),
              line(base + PAGE, 1, "---p"),
              line(base + 2 * PAGE, 3, "rw-p"),
              line(base + 6 * PAGE, 1, "r--p"));
      assertThat(reader.read(base, 4096)).isEqualTo(CODE.concat(CodeBytes.filled(4092, 0)));
      assertThat(reader.read(base + 2 * PAGE, 3 * 4096))
          .isEqualTo(WORDS.concat(CodeBytes.filled(5, 0)));
      assertThat(reader.read(base + 6 * PAGE, 4096)).isEqualTo(WORDS.slice(0, 4096));

      memory.unmap(NAME, base, base + 7 * PAGE);
      assertThat(ours(fixture)).isEmpty();
      fixture.assertHealthy();
    }
  }

  private static String line(long start, long pages, String access) {
    return "%x-%x %s %s (deleted)".formatted(start, start + pages * PAGE, access, IN_MAPS);
  }

  @ParameterizedTest
  @EnumSource(EngineChoice.class)
  void nothingStaysMappedWhereASegmentMeetsAMappingOfTheProgram(EngineChoice engine) {
    try (Fixture fixture = Fixture.start("busy");
        TargetProcess process = attach(fixture, engine)) {
      long program = MemoryMap.read(fixture.pid()).mappings().get(0).start();
      ImmutableList<ObjectSegment> segments =
          ImmutableList.of(
              new ObjectSegment(program - PAGE, PAGE, Access.READ_EXECUTE, CODE),
              new ObjectSegment(program, PAGE, Access.READ_WRITE, WORDS.slice(0, 100)));
      assertThat(process.objectMemory().map(NAME, segments)).isFalse();
      assertThat(ours(fixture)).isEmpty();
      fixture.assertHealthy();
    }
  }

  @ParameterizedTest
  @EnumSource(EngineChoice.class)
  void memoryThatIsSharedIsReadAlsoWhenTheTargetHasEnded(EngineChoice engine) {
    try (Fixture fixture = Fixture.start("busy");
        TargetProcess process = attach(fixture, engine)) {
      long near = process.address("busy:main");
      ObjectMemory memory = process.objectMemory();
      try (SharedMemory shared = memory.share(NAME, near, near + 100, PAGE);
          SharedMemory other = memory.share(NAME, near, near + 100, 3 * PAGE)) {
        assertThat(ours(fixture))
            .extracting(Mapping::toString)
            .containsExactlyInAnyOrder(
                "%x-%x rw-s %s (deleted)"
                    .formatted(shared.address(), shared.address() + PAGE, IN_MAPS),
                "%x-%x rw-s %s (deleted)"
                    .formatted(other.address(), other.address() + 3 * PAGE, IN_MAPS));
        memory.write(shared.address() + 8, CODE);
        memory.write(other.address(), WORDS);
        fixture.assertHealthy();
        fixture.signal("SIGKILL");
        fixture.awaitExit(Duration.ofSeconds(60));

        assertThat(shared.read(shared.address() + 7, 6))
            .isEqualTo(CodeBytes.of(0).concat(CODE).concat(CodeBytes.of(0)));
        assertThat(other.read(other.address(), WORDS.length())).isEqualTo(WORDS);
        assertThatIllegalArgumentException()
            .isThrownBy(() -> shared.read(shared.address() + PAGE - 1, 2));
      }
    }
  }

  @Test
  void whatIsNotProvedToBeOfTheObjectIsNotUnmapped() {
    try (Fixture fixture = Fixture.start("busy");
        TargetProcess process = attach(fixture, EngineChoice.AUTOMATIC)) {
      ObjectMemory memory = process.objectMemory();
      Mapping program = MemoryMap.read(fixture.pid()).mappings().get(0);
      long base = program.start() - 7 * PAGE;
      assertThat(memory.map(NAME, object(base))).isTrue();
      assertRefused(memory, NAME, base, program.end());
      assertRefused(memory, "object-2.so", base, base + 7 * PAGE);
      // A part of a mapping.
      assertRefused(memory, NAME, base, base + 3 * PAGE);
      assertThat(ours(fixture)).hasSize(4);
      memory.unmap(NAME, base, base + 2 * PAGE);
      assertThat(ours(fixture)).hasSize(2);
      fixture.assertHealthy();
    }
  }

  private static void assertRefused(ObjectMemory memory, String name, long start, long end) {
    assertThatExceptionOfType(UnwritableMappingException.class)
        .isThrownBy(() -> memory.unmap(name, start, end))
        .withMessageContaining("not to be unmapped");
  }

  @Test
  void namesThatAreNotOneWordOrNotTheObjectsOwnAreRefused() {
    try (Fixture fixture = Fixture.start("busy");
        TargetProcess process = attach(fixture, EngineChoice.AUTOMATIC)) {
      ObjectMemory memory = process.objectMemory();
      for (String name : new String[] {"", "a b", "a/b", "ledger", "code", "out-of-line-data"}) {
        assertThatIllegalArgumentException()
            .as(name)
            .isThrownBy(() -> memory.map(name, object(1L << 30)));
        assertThatIllegalArgumentException()
            .as(name)
            .isThrownBy(() -> memory.unmap(name, 1L << 30, 1L << 31));
      }
      assertThatIllegalArgumentException()
          .isThrownBy(
              () ->
                  memory.map(
                      NAME,
                      ImmutableList.of(
                          new ObjectSegment(1L << 30, 2 * PAGE, Access.READ, CODE),
                          new ObjectSegment((1L << 30) + PAGE, PAGE, Access.READ, CODE))));
    }
  }
}
