package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.EvacuationTimeoutException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.elf.Symbol.Kind;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.process.FoundSymbol;
import io.github.textpoke.x86.detour.Detour;
import io.github.textpoke.x86.detour.Detours;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Leads hundreds of functions of a busy libc through code of ours, and back. */
@RequiresPtrace
@Timeout(300)
class DetouredLibcTest {
  private static final int FUNCTIONS = 300;
  private static final int THREADS = 4;
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final ImmutableList<String> AMONG_THEM =
      ImmutableList.of("malloc", "write", "pthread_mutex_lock", "memcpy", "mempcpy", "memmove");

  private static final String PYTHON =
      """
      import hashlib, os, threading
      lock = threading.Lock()
      null = os.open('/dev/null', os.O_WRONLY)
      def work():
        while True:
          with lock: os.write(null, b'x' * 100)
      threading.Thread(target=work, daemon=True).start()
      while True:
        digest = hashlib.sha256()
        for i in range(5000):
          data = bytearray(600 + i % 2000)
          data[i % 600] = i % 251
          if i % 50 == 0: digest.update(data + str(i / 7).encode())
        print(digest.hexdigest(), flush=True)
      """;

  @Test
  void aProgramOfManyThreadsDoesNotNotice() {
    try (Fixture busy = Fixture.start("busy", "--threads", Integer.toString(THREADS))) {
      detourAndRevert(busy.pid(), () -> awaitRounds(busy));
      busy.assertHealthy();
      for (int i = 0; i < THREADS; i++) {
        assertThat(busy.counter("wrong_" + i)).isZero();
      }
    }
  }

  private static void awaitRounds(Fixture busy) {
    for (int i = 0; i < THREADS; i++) {
      busy.awaitCounter("rounds_" + i, busy.counter("rounds_" + i) + 50, LONG);
    }
  }

  @Test
  void pythonDoesNotNotice() throws Exception {
    try (ForeignProgram python = ForeignProgram.start("python3", "-c", PYTHON)) {
      String before = python.line();
      detourAndRevert(
          python.pid(),
          () -> {
            assertThat(python.line()).isEqualTo(before);
            assertThat(python.line()).isEqualTo(before);
          });
      assertThat(python.isAlive()).isTrue();
    }
  }

  private static void detourAndRevert(int pid, Runnable check) {
    try (TargetProcess process = TargetProcess.attach(pid)) {
      Detours detours = Detours.in(process);
      List<Detour> standing = new ArrayList<>();
      Map<String, PatchException> refused = new LinkedHashMap<>();
      for (String function : AMONG_THEM) {
        standing.add(detours.at("libc.so.6:" + function).toItself());
      }
      for (String function : functions(process)) {
        if (standing.size() < FUNCTIONS) {
          try {
            standing.add(detours.at(function).toItself());
          } catch (PlanRefusedException | EvacuationTimeoutException why) {
            refused.put(function, why);
          }
        }
      }
      assertThat(standing).as("besides %s", refused).hasSize(FUNCTIONS);
      assertThat(refused).hasSizeLessThan(FUNCTIONS / 5);
      check.run();
      Collections.shuffle(standing, new Random(pid));
      standing.forEach(Detour::revert);
      check.run();
      assertThat(process.patches()).isEmpty();
    }
  }

  /** Those that programs call, in some order that is the same each time. */
  private static ImmutableList<String> functions(TargetProcess process) {
    List<String> sites =
        new ArrayList<>(
            process
                .resolver()
                .symbols("libc.so.6:*")
                .filter(found -> found.symbol().isDefaultVersion())
                .filter(found -> found.symbol().kind() == Kind.FUNCTION)
                .map(FoundSymbol::address)
                .map(Output::hex)
                .distinct()
                .toList());
    Collections.shuffle(sites, new Random(4));
    return ImmutableList.copyOf(sites);
  }
}
