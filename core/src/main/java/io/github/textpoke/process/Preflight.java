package io.github.textpoke.process;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.AlreadyTracedException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.SignalStateException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.locks.LockSupport;

/**
 * What must hold before anything is touched: one check per precondition, one exception per failure.
 * It reads /proc and touches nothing.
 */
public final class Preflight {
  private static final int EI_CLASS = 4;
  private static final int ELFCLASS64 = 2;
  private static final int E_MACHINE = 18;
  private static final int EM_X86_64 = 62;

  private static final int LOOKS = 10;
  private static final long LOOK_NANOS = 2_000_000;

  private final int pid;

  private Preflight(int pid) {
    this.pid = pid;
  }

  /** The checks for a process. */
  public static Preflight of(int pid) {
    return new Preflight(pid);
  }

  /** The process exists, is a 64-bit user process, and is ours to trace: nobody else does. */
  public void checkProcess() {
    checkKind();
    ProcStatus status = ProcStatus.read(pid);
    if (status != null) {
      checkIsNotTraced(status);
    }
  }

  /** The process exists, is a 64-bit user process, and not this one. */
  public void checkKind() {
    ProcStatus status = ProcStatus.read(pid);
    if (status == null || (status.isDead() && !hasLivingThread())) {
      throw new NoSuchProcessException(pid);
    }
    if (status.isDead()) {
      throw new UnsupportedTargetException(
          "the main thread of process " + pid + " has ended: the kernel no longer shows its memory",
          "keep the main thread");
    }
    checkIsProcess(status);
    checkIsNotOurs();
    checkIs64Bit();
  }

  /**
   * Whether threads live on without the main thread. Those of a process that is being killed are
   * gone soon.
   */
  private boolean hasLivingThread() {
    for (int look = 0; look < LOOKS; look++) {
      if (livingThreads() == 0) {
        return false;
      }
      // There is no event to wait for: we are not their tracer.
      LockSupport.parkNanos(LOOK_NANOS);
    }
    return true;
  }

  private int livingThreads() {
    int living = 0;
    for (int tid : ProcStatus.threads(pid)) {
      ProcStatus status = ProcStatus.read(tid);
      if (status != null && !status.isDead()) {
        living++;
      }
    }
    return living;
  }

  /**
   * What a failure is when the process, which was there, has ended meanwhile: a process that ends
   * looks like one that forbids things, or that has no memory.
   */
  public PatchException orGone(PatchException failure) {
    boolean mayBeTheEnd =
        failure.outcome() == Outcome.UNTOUCHED || failure instanceof TargetExecedException;
    if (!mayBeTheEnd) {
      return failure;
    }
    if (isAlive() || (ProcStatus.read(pid) != null && hasLivingThread())) {
      return failure;
    }
    TargetGoneException gone = new TargetGoneException(pid, "while it was looked at");
    gone.addSuppressed(failure);
    return gone;
  }

  /**
   * What it is that the memory which was opened is gone: where the process lives on, it has another
   * one.
   */
  public PatchException orExeced(TargetGoneException gone) {
    if (!isAlive()) {
      return gone;
    }
    TargetExecedException execed = new TargetExecedException(pid);
    execed.addSuppressed(gone);
    return execed;
  }

  private boolean isAlive() {
    boolean alive = true;
    for (int look = 0; alive && look < LOOKS; look++) {
      ProcStatus status = ProcStatus.read(pid);
      alive = status != null && !status.isDead() && hasMemory();
      if (alive) {
        // One that is being killed is gone soon; there is no event to wait for, for who does not
        // trace it.
        LockSupport.parkNanos(LOOK_NANOS);
      }
    }
    return alive;
  }

  private boolean hasMemory() {
    String maps = ProcStatus.readProc("/proc/" + pid + "/maps");
    return maps != null && !maps.isEmpty();
  }

  private void checkIsProcess(ProcStatus status) {
    if (status.tgid() != pid) {
      throw new UnsupportedTargetException(
          pid + " is a thread of process " + status.tgid(), "name the process");
    }
  }

  /** The reaper of this JVM waits for its children, and would swallow their ptrace stops. */
  private void checkIsNotOurs() {
    ProcessHandle self = ProcessHandle.current();
    if (self.pid() == pid) {
      throw new UnsupportedTargetException(
          "process " + pid + " is this JVM, and no thread can trace its own process",
          "patch it from another JVM");
    }
    boolean child =
        ProcessHandle.of(pid)
            .flatMap(ProcessHandle::parent)
            .map(parent -> parent.pid() == self.pid())
            .orElse(false);
    if (child) {
      throw new UnsupportedTargetException(
          "process " + pid + " was started by this JVM, whose process reaper takes its stops away",
          "start it through a shell that stays its parent: sh -c 'program & wait'");
    }
  }

  private void checkIs64Bit() {
    Path exe = Path.of("/proc/" + pid + "/exe");
    byte[] header = new byte[20];
    try (InputStream in = new FileInputStream(exe.toFile())) {
      if (in.readNBytes(header, 0, header.length) < header.length) {
        throw new UnsupportedTargetException("process " + pid + " runs no ELF program", "");
      }
    } catch (IOException unreadable) {
      // Kernel threads have none; who may not look, learns why when the memory is opened.
      if (MemoryMap.read(pid).mappings().isEmpty()
          && Files.isReadable(Path.of("/proc/" + pid + "/maps"))) {
        throw new UnsupportedTargetException("process " + pid + " has no user memory", "");
      }
      return;
    }
    if (header[EI_CLASS] != ELFCLASS64 || header[E_MACHINE] != EM_X86_64) {
      throw new UnsupportedTargetException(
          "process "
              + pid
              + " runs a program that is not x86-64 (ELF class "
              + header[EI_CLASS]
              + ", machine "
              + header[E_MACHINE]
              + ")",
          "only 64-bit programs are patched");
    }
  }

  /** Looks at the main thread only: where there are thousands, seizing them tells the rest. */
  private void checkIsNotTraced(ProcStatus status) {
    if (status.tracer() != 0) {
      throw alreadyTraced(pid, status.tracer());
    }
  }

  /**
   * @param tracer the thread that traces it
   */
  public static AlreadyTracedException alreadyTraced(int pid, int tracer) {
    ProcStatus status = ProcStatus.read(tracer);
    int process = status == null ? tracer : status.tgid();
    return new AlreadyTracedException(pid, process, ProcStatus.name(process));
  }

  /** An existing {@code syscall} instruction: the vDSO has one, and nobody patches it. */
  public long syscallInstruction() {
    return syscallInstruction(MemoryMap.read(pid));
  }

  /**
   * As {@link #syscallInstruction()}.
   *
   * @param map of the process, read just now
   */
  public long syscallInstruction(MemoryMap map) {
    return SyscallInstruction.find(pid, map);
  }

  /**
   * Every site lies in a private executable mapping, and its breakpoint has somebody to take it.
   */
  public void checkPlan(PatchPlan plan) {
    checkPlan(plan, MemoryMap.read(pid));
  }

  /**
   * As {@link #checkPlan(PatchPlan)}.
   *
   * @param map of the process, read just now
   */
  public void checkPlan(PatchPlan plan, MemoryMap map) {
    for (Poke poke : plan.pokes()) {
      checkMapping(map, poke.address());
      checkMapping(map, poke.address() + poke.length() - 1);
      for (Boundary boundary : poke.interior()) {
        checkCopy(map, boundary.trapAction());
      }
      if (poke.stays(plan.trapByte())) {
        checkCopy(map, poke.trapAction());
      } else if (poke.replacement().at(0) == plan.trapByte()) {
        checkTakesTraps();
      }
    }
  }

  /** A thread that goes on there must find code. */
  private static void checkCopy(MemoryMap map, TrapAction action) {
    if (action instanceof TrapAction.Redirect redirect
        && map.at(redirect.address()).filter(Mapping::executable).isEmpty()) {
      throw new UnsupportedPlanException(
          "no code is mapped at 0x"
              + Long.toHexString(redirect.address())
              + ", where threads that meet a breakpoint should go on",
          "put the copy there first");
    }
  }

  private void checkTakesTraps() {
    ProcStatus status = ProcStatus.read(pid);
    if (status != null && (status.caught() & ProcStatus.SIGTRAP_BIT) == 0) {
      throw new SignalStateException(
          "process " + pid + " has no handler for SIGTRAP: the breakpoint would kill it",
          "install a handler in the program first");
    }
  }

  private void checkMapping(MemoryMap map, long address) {
    Mapping mapping =
        map.at(address)
            .orElseThrow(
                () ->
                    new UnwritableMappingException(
                        address, "no memory is mapped there", Outcome.UNTOUCHED));
    if (mapping.shared()) {
      throw new UnwritableMappingException(
          address,
          "the mapping of "
              + mapping.path()
              + " is shared: a write would change the file and every other process",
          Outcome.UNTOUCHED);
    }
    if (mapping.isHugetlb()) {
      throw new UnwritableMappingException(address, "the mapping is hugetlb", Outcome.UNTOUCHED);
    }
    if (!mapping.executable()) {
      throw new UnwritableMappingException(
          address, "the mapping is not executable", Outcome.UNTOUCHED);
    }
  }
}
