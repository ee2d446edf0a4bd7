package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.x86.detour.Detour;
import io.github.textpoke.x86.detour.Detours;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A server that is not ours, under load. Needs the right to trace the programs that it starts. */
class RedisTest {
  private static final int CONNECTIONS = 4;
  private static final int TOGGLES = 100;

  @TempDir Path directory;
  private RedisServer server;
  private RedisClients clients;

  @BeforeEach
  void start() {
    server = RedisServer.start(directory);
    clients = new RedisClients(server.socket(), CONNECTIONS);
    clients.awaitPings();
  }

  @AfterEach
  void answersAsBefore() {
    try (RedisServer ending = server;
        RedisClients closing = clients) {
      ending.assertAlive();
      assertOnly(closing::pongs, closing::patched);
      closing.assertRight();
    }
  }

  @Test
  void aDetourOfACommandComesAndGoesWithoutAWrongAnswer() {
    try (TargetProcess process = TargetProcess.attach(server.pid())) {
      Detours detours = Detours.in(process);
      for (int i = 0; i < TOGGLES; i++) {
        Detour detour = detours.at("pingCommand").toItself();
        clients.awaitPings();
        detour.revert();
      }
    }
    assertThat(clients.patched()).isZero();
  }

  @ParameterizedTest
  @EnumSource(Consistency.class)
  void pingIsReplacedAndPutBackAHundredTimes(Consistency consistency) throws IOException {
    Path file = Fixture.program("redis_ping.so");
    LivePatch description =
        new LivePatch(
            "redis-ping",
            "1",
            consistency,
            false,
            ImmutableList.of(
                new PatchedObject(
                    "",
                    Optional.empty(),
                    ImmutableList.of(
                        new PatchedFunction(
                            new PatchedFunction.Named("pingCommand", 0), "new_ping")))),
            Callbacks.NONE);
    try (TargetProcess process = TargetProcess.attach(server.pid())) {
      LoadedPatch patch =
          LivePatches.in(process).load(file.toString(), Files.readAllBytes(file), description);
      assertThat(clients.patched()).isZero();
      for (int i = 0; i < TOGGLES; i++) {
        patch.enable();
        assertOnly(clients::patched, clients::pongs);
        patch.disable();
        assertOnly(clients::pongs, clients::patched);
      }
      assertThat(patch.unload()).isEmpty();
      assertThat(process.patches()).isEmpty();
    }
  }

  @Test
  void theDescriptionIsInTheObject() {
    try (TargetProcess process = TargetProcess.attach(server.pid())) {
      LoadedPatch patch = LivePatches.in(process).load(Fixture.program("redis_ping.so"));
      assertThat(patch.description().name()).isEqualTo("redis-ping");
      patch.enable();
      assertOnly(clients::patched, clients::pongs);
      patch.disable();
    }
  }

  /** Commands that are sent from now on. */
  private void assertOnly(LongSupplier answers, LongSupplier others) {
    clients.awaitPings();
    long before = others.getAsLong();
    long answered = answers.getAsLong();
    clients.awaitPings();
    assertThat(others.getAsLong()).isEqualTo(before);
    assertThat(answers.getAsLong()).isGreaterThan(answered);
  }
}
