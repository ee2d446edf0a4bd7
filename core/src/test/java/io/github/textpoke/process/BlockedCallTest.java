package io.github.textpoke.process;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.process.BlockedCall.Restart;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class BlockedCallTest {
  private static final int READ = 0;
  private static final int EPOLL_WAIT = 232;
  private static final int EPOLL_PWAIT = 281;

  /** Behind the last call of any kernel there is. */
  private static final int MANY = 1_000;

  private static final Set<Integer> TRANSPARENT =
      Set.of(7, 23, 34, 35, 61, 70, 130, 202, 219, 230, 247, 270, 271);

  /** Ends with EINTR, and may be issued again. */
  private static final Set<Integer> LENGTHENED =
      Set.of(1, 19, 20, 42, 43, 44, 45, 46, 47, 65, 128, 208, 220, 288, 299, 307, 426, 441);

  private static BlockedCall call(int number, long... first) {
    long[] arguments = new long[6];
    System.arraycopy(first, 0, arguments, 0, first.length);
    return new BlockedCall(false, number, arguments, 0, 0);
  }

  private static Restart restart(int number, @Nullable String descriptorName) {
    return call(number).restart(descriptorName);
  }

  @Test
  void readsARunningThread() {
    BlockedCall call = BlockedCall.parse("running");
    assertThat(call.running()).isTrue();
    assertThat(call.number()).isEqualTo(-1);
    assertThat(call.arguments()).containsOnly(0).hasSize(6);
    assertThat(call.describe()).isEqualTo("running");
  }

  @Test
  void readsAThreadThatIsBlockedOutsideOfASystemCall() {
    BlockedCall call = BlockedCall.parse("-1 0x7ffc417e5a08 0x7f3ca77962ad");
    assertThat(call.running()).isFalse();
    assertThat(call.number()).isEqualTo(-1);
    assertThat(call.arguments()).containsOnly(0).hasSize(6);
    assertThat(call.describe()).isEqualTo("blocked outside of a system call");
    assertThat(call.stackPointer()).isEqualTo(0x7ffc417e5a08L);
    assertThat(call.instructionPointer()).isEqualTo(0x7f3ca77962adL);
    assertThat(call.restart((String) null)).isEqualTo(Restart.NEVER);
  }

  @Test
  void readsAllArgumentsAndBehindThemStackAndInstructionPointer() {
    BlockedCall call =
        BlockedCall.parse(
            "202 0x7f3ca761a000 0x189 0x0 0xffffffffffffffff 0x5 0x8000000000000006"
                + " 0x7ffc417e5a08 0x7f3ca77962ad");
    assertThat(call.running()).isFalse();
    assertThat(call.number()).isEqualTo(202);
    assertThat(call.arguments())
        .containsExactly(0x7f3ca761a000L, 0x189, 0, -1, 5, 0x8000000000000006L);
    assertThat(call.describe()).isEqualTo("blocked in system call 202");
    assertThat(call.stackPointer()).isEqualTo(0x7ffc417e5a08L);
    assertThat(call.instructionPointer()).isEqualTo(0x7f3ca77962adL);
  }

  @Test
  void tellsHowEachSystemCallTakesAnInterruption() {
    Map<Integer, Restart> expected = new TreeMap<>();
    Map<Integer, Restart> found = new TreeMap<>();
    for (int number = -1; number < MANY; number++) {
      found.put(number, restart(number, null));
      expected.put(
          number,
          TRANSPARENT.contains(number)
              ? Restart.TRANSPARENT
              : LENGTHENED.contains(number) ? Restart.LENGTHENED : Restart.NEVER);
    }
    // Their timeout, here 0, decides.
    expected.put(EPOLL_WAIT, Restart.LENGTHENED);
    expected.put(EPOLL_PWAIT, Restart.LENGTHENED);
    assertThat(found).isEqualTo(expected);
  }

  @ParameterizedTest
  @ValueSource(ints = {-2, 424_242, Integer.MIN_VALUE, Integer.MAX_VALUE})
  void neverInterruptsAnUnknownCall(int number) {
    assertThat(restart(number, "pipe:[1]")).isEqualTo(Restart.NEVER);
    assertThat(BlockedCall.mayBeIssuedAgain(number)).isFalse();
  }

  @ParameterizedTest
  @ValueSource(ints = {EPOLL_WAIT, EPOLL_PWAIT})
  void repairsAnEpollThatWaitsForEver(int number) {
    // The timeout is an int: the kernel ignores the register's upper half.
    assertThat(call(number, 3, 0x1000, 8, -1).restart((String) null)).isEqualTo(Restart.REPAIRED);
    assertThat(call(number, 3, 0x1000, 8, 0xffff_ffffL).restart((String) null))
        .isEqualTo(Restart.REPAIRED);
  }

  @ParameterizedTest
  @ValueSource(ints = {EPOLL_WAIT, EPOLL_PWAIT})
  void lengthensAnEpollWithATimeout(int number) {
    assertThat(call(number, 3, 0x1000, 8, 500).restart((String) null))
        .isEqualTo(Restart.LENGTHENED);
    assertThat(call(number, 3, 0x1000, 8, 0xffff_ffff_0000_01f4L).restart((String) null))
        .isEqualTo(Restart.LENGTHENED);
  }

  @ParameterizedTest
  @CsvSource(
      textBlock =
          """
          pipe:[8123],           TRANSPARENT
          /dev/pts/0,            TRANSPARENT
          anon_inode:[eventfd],  TRANSPARENT
          anon_inode:inotify,    TRANSPARENT
          socket:[8123],         NEVER
          anon_inode:[timerfd],  NEVER
          /var/log/syslog,       NEVER
          /home/dev/pipe:[1],    NEVER
          ,                      NEVER
          """)
  void interruptsAReadOnlyWhereNoReceiveTimeoutCanBe(
      @Nullable String descriptorName, Restart expected) {
    assertThat(restart(READ, descriptorName)).isEqualTo(expected);
  }

  @Test
  void aDescriptorsNameMattersToReadOnly() {
    assertThat(restart(7, "socket:[1]")).isEqualTo(Restart.TRANSPARENT);
    assertThat(restart(17, "pipe:[1]")).isEqualTo(Restart.NEVER); // pread64
  }

  @Test
  void aReadOfADescriptorThatIsGoneIsNotInterrupted() {
    int self = (int) ProcessHandle.current().pid();
    assertThat(call(READ, Integer.MAX_VALUE).restart(self)).isEqualTo(Restart.NEVER);
  }

  @Test
  void readAndEpollMayBeIssuedAgainAsWellAsAllThatLengthen() {
    Set<Integer> again = new TreeSet<>();
    for (int number = 0; number < MANY; number++) {
      if (BlockedCall.mayBeIssuedAgain(number)) {
        again.add(number);
      }
    }
    Set<Integer> expected = new TreeSet<>(LENGTHENED);
    expected.addAll(Set.of(READ, EPOLL_WAIT, EPOLL_PWAIT));
    assertThat(again).isEqualTo(expected);
  }

  @Test
  void knowsTheCallsThatMakeAChild() {
    for (int number = -1; number < MANY; number++) {
      assertThat(call(number).makesChild()).isEqualTo(Set.of(56, 57, 58, 435).contains(number));
    }
  }

  /** A child that reads its standard input, a pipe that nobody writes to. */
  @Test
  @Timeout(60)
  void readsABlockedProcess() throws Exception {
    Process cat = new ProcessBuilder("cat").start();
    try {
      int pid = (int) cat.pid();
      BlockedCall call = BlockedCall.read(pid);
      // It starts up first.
      while (call != null && !(call.number() == READ && call.arguments()[0] == 0)) {
        Thread.onSpinWait();
        call = BlockedCall.read(pid);
      }
      assertThat(call).isNotNull();
      assertThat(call.running()).isFalse();
      assertThat(Files.readSymbolicLink(Path.of("/proc/" + pid + "/fd/0")).toString())
          .startsWith("pipe:");
      assertThat(call.restart(pid)).isEqualTo(Restart.TRANSPARENT);
    } finally {
      cat.destroyForcibly().waitFor();
    }
    assertThat(BlockedCall.read((int) cat.pid())).isNull();
  }
}
