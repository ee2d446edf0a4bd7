package io.github.textpoke.apply;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.LaunchFailedException;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.process.ProgramStart;
import io.github.textpoke.process.ProgramStart.Rendezvous;
import java.time.Duration;

/**
 * The one thread of a program that has not begun. It is led from stop to stop by ptrace, without a
 * signal: by its system calls. Where it is held it waits by itself, in a {@code pause} of ours, and
 * nobody traces it, so that it is a thread as any other to who patches. A {@code pause} ends by a
 * signal that has a handler, and after execve there is none. All calls come from one OS thread.
 */
final class HeldProgram extends LedThread {
  private static final CodeBytes SYSCALL = CodeBytes.of(0x0f, 0x05);
  private static final int RET = 0xc3;
  private static final CodeBytes LANDING_PAD = CodeBytes.of(0xf3, 0x0f, 0x1e, 0xfa);

  /** States of the loader: RT_CONSISTENT and RT_ADD of link.h. */
  private static final int CONSISTENT = 0;

  private static final int LOADING = 1;
  private static final int PR_SET_PDEATHSIG = 1;
  private static final int SIGKILL = 9;
  private static final long ALL_SIGNALS = -1;

  /** What a thread that is held calls for us. */
  private static final ImmutableMap<Integer, long[]> CALLS =
      ImmutableMap.of(
          Kernel.SYS_PAUSE,
          new long[6],
          Kernel.SYS_GETPID,
          new long[6],
          Kernel.SYS_PRCTL,
          new long[] {PR_SET_PDEATHSIG, 0, 0, 0, 0, 0});

  /**
   * @param patience how long another tracer is waited for
   */
  HeldProgram(int pid, Duration patience) {
    super(pid, patience);
  }

  /** Traces it; from now on its execve is reported. */
  void seize() {
    int error = seize(ptrace::seizeBeforeStart);
    if (error != 0) {
      throw new LaunchFailedException(
          "the program's process " + pid + " can't be traced: errno " + -error,
          "see kernel.yama.ptrace_scope and the seccomp filter of this JVM; a set-user-ID program"
              + " takes CAP_SYS_PTRACE");
    }
  }

  /** Lets it call execve, and stops it before the first instruction behind. */
  void runToEntry() {
    int status = next();
    while (!ended && Ptrace.event(status) != Ptrace.EVENT_EXEC) {
      goOn(status, false);
      status = next();
    }
    if (!ended) {
      finishExec(CALLS, "this JVM");
    }
  }

  /** Lets it wait, untraced, until {@link #retake}. */
  void hold() {
    if (ended) {
      return;
    }
    scratch.copyFrom(saved);
    scratch.setSystemCall(gadget, Kernel.SYS_PAUSE, 0, 0, 0, 0, 0, 0);
    ptrace.setRegisters(pid, scratch);
    detach();
  }

  /** Stops it where it is held, and has it stand where it has to go on. */
  void retake() {
    if (ended || traced) {
      return;
    }
    seize();
    if (ended) {
      return;
    }
    interrupt();
    if (!ended) {
      ptrace.setRegisters(pid, saved);
    }
  }

  /**
   * Lets the loader map and relocate all objects, and stops it before the first constructor. Where
   * the program has no loader nothing happens.
   *
   * @throws LaunchFailedException if the loader is none that we know
   */
  void runToLoaded() {
    long loader = ended ? 0 : ProgramStart.loader(pid);
    if (loader == 0) {
      return;
    }
    Rendezvous rendezvous;
    try (ProcMemReader reader = new ProcMemReader(pid)) {
      rendezvous = ProgramStart.rendezvous(pid, loader, MemoryMap.read(pid), reader);
    }
    try (ProcMem memory = TargetMemory.open(pid)) {
      runTo(rendezvous, memory);
    }
  }

  /**
   * A system call instruction stands in the loader's function, for as long as nothing but the
   * loader runs: its stop says that the function was called, and disturbs no signal's state. RCX
   * and R11, which it overwrites, belong to nobody at a call. Another one stands at the
   * executable's entry, so that a loader that does not keep to what is known of it is found out.
   */
  private void runTo(Rendezvous rendezvous, ProcMem memory) {
    long entry = ProgramStart.entry(pid);
    CodeBytes original = memory.read(rendezvous.function(), LANDING_PAD.length() + 1);
    CodeBytes originalEntry = memory.read(entry, SYSCALL.length());
    if (original == null || originalEntry == null || !isReturn(original)) {
      throw new LaunchFailedException(
          "the loader's function that debuggers wait at is not one that does nothing",
          "leave other tools out that patch the loader");
    }
    memory.write(rendezvous.function(), SYSCALL);
    memory.write(entry, SYSCALL);
    boolean isLoading = false;
    boolean isThere = false;
    ptrace.runToSystemCall(pid, 0);
    while (!isThere) {
      int status = next();
      if (ended) {
        return;
      }
      long site = siteOf(status);
      if (Ptrace.event(status) == Ptrace.EVENT_EXEC || site == entry) {
        throw new LaunchFailedException(
            "the program would have begun, and its loader was not seen to be done", "");
      }
      if (site == rendezvous.function()) {
        leaveCall(site);
        int state = ended ? LOADING : readInt(memory, rendezvous.state());
        // Before it begins to load, as for objects of LD_AUDIT, nothing is said of the program's.
        isThere = isLoading && state == CONSISTENT;
        isLoading |= state == LOADING;
        if (!isThere && !ended) {
          returnFromFunction(memory);
        }
      } else {
        goOn(status, true);
      }
    }
    memory.write(rendezvous.function(), original.slice(0, SYSCALL.length()));
    memory.write(entry, originalEntry);
  }

  /** Where the system call instruction stands that is about to be done; 0: it is no such stop. */
  private long siteOf(int status) {
    return Ptrace.isSystemCallStop(status)
            && ptrace.isEntry(pid)
            && ptrace.getRegisters(pid, saved) == 0
        ? saved.rip() - SYSCALL.length()
        : 0;
  }

  /** Whether a function does nothing. */
  static boolean isReturn(CodeBytes code) {
    return code.at(0) == RET
        || (code.slice(0, LANDING_PAD.length()).equals(LANDING_PAD)
            && code.at(LANDING_PAD.length()) == RET);
  }

  /** Turns a call of ours into one that does nothing, and has the thread stand before it. */
  private void leaveCall(long site) {
    long rax = saved.origRax();
    scratch.copyFrom(saved);
    scratch.setOrigRax(Kernel.SYS_GETPID);
    ptrace.setRegisters(pid, scratch);
    finishCall();
    saved.setRip(site);
    saved.setRax(rax);
    saved.setOrigRax(-1);
    ptrace.setRegisters(pid, saved);
  }

  private void returnFromFunction(ProcMem memory) {
    CodeBytes address = memory.read(saved.rsp(), Long.BYTES);
    if (address == null) {
      throw new LaunchFailedException("the loader's stack can't be read", "");
    }
    saved.returnTo(littleEndian(address));
    ptrace.setRegisters(pid, saved);
    ptrace.runToSystemCall(pid, 0);
  }

  private static int readInt(ProcMem memory, long address) {
    CodeBytes bytes = memory.read(address, Integer.BYTES);
    if (bytes == null) {
      throw new LaunchFailedException("what the loader tells debuggers can't be read", "");
    }
    return (int) littleEndian(bytes);
  }

  static long littleEndian(CodeBytes bytes) {
    long value = 0;
    for (int i = 0; i < bytes.length(); i++) {
      value |= (long) bytes.at(i) << Byte.SIZE * i;
    }
    return value;
  }

  /** Lets it begin, as a child of the launcher that lives as long as it likes. */
  void letGo() {
    if (ended) {
      return;
    }
    ptrace.getSignalMask(pid);
    long mask = ptrace.word();
    ptrace.setSignalMask(pid, ALL_SIGNALS);
    long result = call(Kernel.SYS_PRCTL, PR_SET_PDEATHSIG, 0, 0, 0, 0, 0);
    if (ended) {
      return;
    }
    if (result != 0) {
      throw new LaunchFailedException(
          "prctl in the program's process failed with errno " + -result, "");
    }
    ptrace.setSignalMask(pid, mask);
    ptrace.setRegisters(pid, saved);
    detach();
  }

  /** Ends it: nothing of it has run. */
  void kill() {
    if (ended) {
      return;
    }
    Kernel.sendSignal(pid, SIGKILL);
    while (traced && !ended) {
      next();
    }
    ended = true;
  }
}
