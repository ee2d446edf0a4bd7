package io.github.textpoke.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ProcStatusTest {
  /** Of Linux 6.18; signals, seccomp and tracer set, so that no two fields are equal. */
  private static final String GOLDEN =
      """
      Name:\tmy prog
      Umask:\t0022
      State:\tS (sleeping)
      Tgid:\t10030
      Ngid:\t0
      Pid:\t10031
      PPid:\t10028
      TracerPid:\t77
      Uid:\t1000\t1001\t1002\t1003
      Gid:\t2000\t2001\t2002\t2003
      FDSize:\t256
      Groups:\t4 24
      NStgid:\t10030
      NSpid:\t10031
      NSpgid:\t10028
      NSsid:\t8792
      Kthread:\t0
      VmPeak:\t    3060 kB
      VmSize:\t    3060 kB
      VmLck:\t       0 kB
      VmRSS:\t    1636 kB
      CoreDumping:\t0
      THP_enabled:\t1
      untag_mask:\t0xffffffffffffffff
      Threads:\t3
      SigQ:\t0/96365
      SigPnd:\t0000000000000200
      ShdPnd:\t0000000000000800
      SigBlk:\tfffffffe7ffbfeef
      SigIgn:\t0000000000001000
      SigCgt:\t8000000180000442
      CapInh:\t0000000000000000
      CapPrm:\t000001fffeffffff
      CapEff:\t000001fffeffffff
      CapBnd:\t000001fffeffffff
      CapAmb:\t0000000000000000
      NoNewPrivs:\t0
      Seccomp:\t2
      Seccomp_filters:\t1
      Speculation_Store_Bypass:\tvulnerable
      Cpus_allowed:\t3
      Cpus_allowed_list:\t0-1
      Mems_allowed_list:\t0
      voluntary_ctxt_switches:\t1
      nonvoluntary_ctxt_switches:\t2
      """;

  @Test
  void readsAllFields() {
    assertThat(ProcStatus.parse(GOLDEN))
        .isEqualTo(
            new ProcStatus(
                "my prog",
                'S',
                10030,
                77,
                1000,
                2,
                3,
                0x200 | 0x800,
                0xfffffffe7ffbfeefL,
                0x1000,
                0x8000000180000442L));
  }

  @Test
  void aKernelWithoutSeccompHasNone() {
    assertThat(ProcStatus.parse(without("Seccomp")).seccomp()).isZero();
  }

  @Test
  void aThreadCountThatIsMissingIsZero() {
    assertThat(ProcStatus.parse(without("Threads")).threads()).isZero();
  }

  private static String without(String field) {
    String text = GOLDEN.replaceAll("(?m)^" + field + ":.*\n", "");
    assertThat(text).isNotEqualTo(GOLDEN);
    return text;
  }

  @Test
  void aNameThatLooksLikeAFieldIsANameOnly() {
    ProcStatus status = ProcStatus.parse(GOLDEN.replace("my prog", "Tgid:\\nUid: 5"));
    assertThat(status.name()).isEqualTo("Tgid:\\nUid: 5");
    assertThat(status.tgid()).isEqualTo(10030);
    assertThat(status.uid()).isEqualTo(1000);
  }

  @ParameterizedTest
  @CsvSource({
    "R (running), false",
    "S (sleeping), false",
    "D (disk sleep), false",
    "T (stopped), false",
    "t (tracing stop), false",
    "Z (zombie), true",
    "X (dead), true"
  })
  void deadIsWhoIsNoLongerThereButForItsEntry(String state, boolean dead) {
    ProcStatus status = ProcStatus.parse(GOLDEN.replace("S (sleeping)", state));
    assertThat(status.state()).isEqualTo(state.charAt(0));
    assertThat(status.isDead()).isEqualTo(dead);
  }

  @ParameterizedTest
  @CsvSource({
    "0000000000000000, 0000000000000000, false",
    "0000000000000010, 0000000000000000, true",
    "0000000000000000, 0000000000000010, true",
    "ffffffffffffffef, ffffffffffffffef, false"
  })
  void sigtrapStateIsLostWhereItIsBlockedOrIgnored(String blocked, String ignored, boolean lost) {
    ProcStatus status =
        ProcStatus.parse(
            GOLDEN
                .replace("SigBlk:\tfffffffe7ffbfeef", "SigBlk:\t" + blocked)
                .replace("SigIgn:\t0000000000001000", "SigIgn:\t" + ignored));
    assertThat(status.losesSigtrapState()).isEqualTo(lost);
  }

  @ParameterizedTest
  @CsvSource({
    "'x86_Thread_features:\tshstk wrss \n', true",
    "'x86_Thread_features:\tshstk \n', true",
    "'x86_Thread_features:\twrss shstk\n', true",
    "'x86_Thread_features:\t\n', false",
    "'x86_Thread_features:\twrss \n', false",
    "'x86_Thread_features:\tnoshstk shstk2 \n', false",
    "'x86_Thread_features_locked:\tshstk wrss \n', false",
    "'x86_Thread_features:\t\nx86_Thread_features_locked:\tshstk \n', false",
    "'', false"
  })
  void aThreadHasAShadowStackIfItsFeaturesSaySo(String lines, boolean has) {
    String text = GOLDEN + lines.translateEscapes();
    assertThat(ProcStatus.saysShadowStack(text)).isEqualTo(has);
  }

  @Test
  void aNameIsNoFeature() {
    String text = GOLDEN.replace("my prog", "x86_Thread_features:\tshstk");
    assertThat(ProcStatus.saysShadowStack(text)).isFalse();
  }

  @Test
  void aProcessHasShadowStacksIfOneOfItsThreadsHas() {
    int self = (int) ProcessHandle.current().pid();
    boolean has = false;
    for (int tid : ProcStatus.threads(self)) {
      try {
        Path status = Path.of("/proc/self/task/" + tid + "/status");
        has |= ProcStatus.saysShadowStack(Files.readString(status));
      } catch (IOException endedMeanwhile) {
        continue;
      }
    }
    assertThat(ProcStatus.hasShadowStacks(self)).isEqualTo(has);
  }

  @Test
  void readsThisProcess() throws Exception {
    int self = (int) ProcessHandle.current().pid();
    ProcStatus status = ProcStatus.read(self);
    assertThat(status).isNotNull();
    assertThat(status.tgid()).isEqualTo(self);
    assertThat(status.isDead()).isFalse();
    assertThat(status.threads()).isGreaterThan(1);
    assertThat(status.uid()).isEqualTo((int) Files.getAttribute(Path.of("/proc/self"), "unix:uid"));
    assertThat(status.name()).isEqualTo(ProcStatus.name(self));
    // The JVM stops its threads by SIGSEGV.
    assertThat(status.caught() & 1L << 10).isNotZero();
  }

  @Test
  void listsTheThreadsOfThisProcess() {
    int self = (int) ProcessHandle.current().pid();
    assertThat(ProcStatus.threads(self)).contains(self).doesNotHaveDuplicates();
    assertThat(ProcStatus.processes()).contains(self);
  }

  @Test
  void aProcessThatHasEndedHasNothing() throws Exception {
    Process ended = new ProcessBuilder("true").start();
    ended.waitFor();
    int pid = (int) ended.pid();
    assertThat(ProcStatus.read(pid)).isNull();
    assertThat(ProcStatus.threads(pid)).isEmpty();
    assertThat(ProcStatus.name(pid)).isEqualTo("?");
  }

  /** As a folder can't: with too many open files every file of /proc can't. */
  @Test
  void whatIsThereAndCanNotBeReadIsNotTakenForAnEnd() {
    assertThatThrownBy(() -> ProcStatus.readProc("/proc/self"))
        .isInstanceOf(UncheckedIOException.class);
  }

  @Test
  void anInterruptedThreadReadsAllTheSame() {
    Thread.currentThread().interrupt();
    try {
      assertThat(ProcStatus.read((int) ProcessHandle.current().pid())).isNotNull();
    } finally {
      assertThat(Thread.interrupted()).isTrue();
    }
  }
}
