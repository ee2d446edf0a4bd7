package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.ProcStatus;
import java.util.concurrent.locks.LockSupport;

/** A worker of {@link Lodgers} that job control has stopped on one instruction. */
record StandingThread(int tid) {
  private static final int STEPS = 1_000_000;

  /**
   * Steps the first worker to {@code address}, absolute, which it must come to; then stops the
   * whole program there. Nobody else may trace it.
   */
  static StandingThread stopAt(Lodgers lodgers, long address) {
    int tid = lodgers.worker(0);
    Ptrace ptrace = new Ptrace();
    Registers registers = new Registers();
    assertThat(ptrace.seize(tid)).isZero();
    assertThat(ptrace.interrupt(tid)).isZero();
    assertThat(ptrace.await(true)).isEqualTo(tid);
    for (int i = 0; i < STEPS; i++) {
      assertThat(ptrace.getRegisters(tid, registers)).isZero();
      if (registers.rip() == address) {
        lodgers.fixture.signal("SIGSTOP");
        awaitStopped(lodgers.fixture.pid());
        // The stop of the group takes over from ours: it does not run a single instruction.
        assertThat(ptrace.detach(tid)).isZero();
        StandingThread thread = new StandingThread(tid);
        assertThat(thread.standing(lodgers)).isEqualTo(address);
        return thread;
      }
      assertThat(ptrace.step(tid, 0)).isZero();
      assertThat(ptrace.await(true)).isEqualTo(tid);
    }
    throw new AssertionError("never came to 0x%x".formatted(address));
  }

  /** The absolute address where it goes on. */
  long standing(Lodgers lodgers) {
    awaitStopped(tid);
    long deadline = System.nanoTime() + Lodgers.SOON.toNanos();
    for (BlockedCall where = BlockedCall.read(tid); ; where = BlockedCall.read(tid)) {
      if (where != null && !where.running()) {
        return where.instructionPointer();
      }
      assertThat(System.nanoTime() - deadline).as("%s to stand", lodgers.fixture).isNegative();
      LockSupport.parkNanos(50_000);
    }
  }

  private static void awaitStopped(int tid) {
    long deadline = System.nanoTime() + Lodgers.SOON.toNanos();
    for (ProcStatus status = ProcStatus.read(tid);
        status != null && status.state() != 'T';
        status = ProcStatus.read(tid)) {
      assertThat(System.nanoTime() - deadline).as("thread %s to stop", tid).isNegative();
      LockSupport.parkNanos(50_000);
    }
  }
}
