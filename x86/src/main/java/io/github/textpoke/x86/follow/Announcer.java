package io.github.textpoke.x86.follow;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.x86.detour.AnnouncedCalls;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.locks.LockSupport;

/**
 * One program whose calls of execve are announced: its process, and those that it forks.
 *
 * @param pid of the process that the program began in
 * @param calls what they announce themselves in
 * @param memory of {@code calls}, as it is mapped
 */
record Announcer(int pid, AnnouncedCalls calls, Mapping memory) {
  private static final String LABEL = "children are followed: ";

  /** In the order of the kinds of {@link ExecutedFile}. */
  private static final ImmutableList<String> FUNCTIONS =
      ImmutableList.of("execve", "execveat", "fexecve");

  /** What /proc/PID/syscall says of a thread that runs, or waits for a processor. */
  private static final String RUNS = "running";

  private static final long LOOK_NANOS = 100_000;
  private static final long LONGEST_NANOS = 300_000_000;

  /**
   * Has a program announce them.
   *
   * @throws PatchException of the type that names the cause
   */
  static Announcer in(TargetProcess process) {
    AnnouncedCalls calls = AnnouncedCalls.of(process, FUNCTIONS, LABEL, /* withThread= */ true);
    Mapping memory =
        MemoryMap.read(process.pid())
            .at(calls.address())
            .orElseThrow(() -> new IllegalStateException("what was mapped is not there"));
    return new Announcer(process.pid(), calls, memory);
  }

  /**
   * Whether a thread waits in that call: its id may be one of another namespace, and in ours be
   * that of any other thread.
   */
  boolean isWaiting(int tid) {
    String wanted =
        Kernel.SYS_FUTEX + " 0x" + Long.toHexString(calls.address() + AnnouncedCalls.WAITED_FOR);
    for (long pause = LOOK_NANOS, waited = 0; waited < LONGEST_NANOS; pause *= 2) {
      try {
        String now = Files.readString(Path.of("/proc/" + tid + "/syscall"));
        if (now.startsWith(wanted)) {
          return true;
        }
        if (!now.startsWith(RUNS)) {
          return false;
        }
      } catch (IOException none) {
        return false;
      }
      // It sleeps a millisecond each time; it may wait for a processor in between.
      LockSupport.parkNanos(pause);
      waited += pause;
    }
    return false;
  }

  /** Whether some process can still announce anything: it has the memory. */
  boolean isUsed() {
    ProcStatus status = ProcStatus.read(pid);
    return (status != null && !status.isDead())
        || MappedFiles.now(memory.path()).contains(memory.inode());
  }
}
