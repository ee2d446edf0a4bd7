package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.x86.detour.Detour;
import io.github.textpoke.x86.detour.Detours;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
    clients.awaitPongs();
  }

  @AfterEach
  void answersAsBefore() {
    try (RedisServer ending = server;
        RedisClients closing = clients) {
      long patched = closing.patched();
      closing.awaitPongs();
      assertThat(closing.patched()).isLessThanOrEqualTo(patched + CONNECTIONS);
      closing.assertRight();
      assertThat(ending.isAlive()).isTrue();
    }
  }

  @Test
  void aDetourOfACommandComesAndGoesWithoutAWrongAnswer() {
    try (TargetProcess process = TargetProcess.attach(server.pid())) {
      Detours detours = Detours.in(process);
      for (int i = 0; i < TOGGLES; i++) {
        Detour detour = detours.at("pingCommand").toItself();
        clients.awaitPongs();
        detour.revert();
      }
    }
    assertThat(clients.patched()).isZero();
  }
}
