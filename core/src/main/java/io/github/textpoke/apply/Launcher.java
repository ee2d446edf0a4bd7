package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.LaunchFailedException;
import io.github.textpoke.apply.internal.LaunchLayout;
import io.github.textpoke.apply.internal.PokerProgram;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.NativeCode;
import org.jspecify.annotations.Nullable;

/**
 * One program's parent: a process that shares this JVM's memory and waits for the program's end. It
 * belongs to the OS thread that has started it, which must live as long as it does: all calls come
 * from there.
 */
final class Launcher {
  private static final long LOOK_NANOS = 100_000_000;

  private static final ImmutableList<String> STREAMS =
      ImmutableList.of("standard input", "standard output", "standard error");

  private static @Nullable NativeCode code;

  private final LaunchMemory order;
  private final NativeBytes memory;
  private final NativeBytes scratch = new NativeBytes(2 * Long.BYTES);
  private final int process;
  private final int pid;

  /** Starts it; the program's process waits until {@link #release}. */
  Launcher(LaunchMemory order, PokerProgram program) {
    this.order = order;
    this.memory = order.memory();
    long started = code(program).call(memory.address(0));
    if (started < 0) {
      throw new LaunchFailedException(
          "this JVM can't start a process of its own: errno " + -started, "");
    }
    process = (int) started;
    pid = awaitProgram();
  }

  private static synchronized NativeCode code(PokerProgram program) {
    NativeCode known = code;
    if (known == null) {
      known = NativeCode.map(program.launcher());
      if (known == null) {
        throw new LaunchFailedException(
            "this machine lets no JVM make code", "start the program, and attach to it");
      }
      code = known;
    }
    return known;
  }

  private int awaitProgram() {
    int child = memory.getInt(LaunchLayout.CHILD);
    while (child == 0) {
      memory.await(LaunchLayout.CHILD, 0, LOOK_NANOS, scratch);
      child = memory.getInt(LaunchLayout.CHILD);
      if (child == 0 && Kernel.reap(process, scratch) == process) {
        throw new LaunchFailedException("the launcher was killed", "");
      }
    }
    if (child < 0) {
      Kernel.awaitProcess(process, scratch);
      throw new LaunchFailedException(
          "the program's process could not be made: errno " + -child,
          child == -Errno.ENOSYS ? "Linux 5.9 or later has close_range" : "");
    }
    return child;
  }

  /** The program's process id. */
  int pid() {
    return pid;
  }

  /** Lets the program's process call execve. */
  void release() {
    memory.putInt(LaunchLayout.RELEASE, LaunchLayout.GO);
    memory.wake(LaunchLayout.RELEASE);
  }

  /** Why the program's process has ended before its program; null: it has come to its program. */
  @Nullable LaunchFailedException failure() {
    int errno = (int) -memory.getLong(LaunchLayout.ERROR);
    if (errno == 0) {
      return null;
    }
    int step = (int) memory.getLong(LaunchLayout.STEP);
    if (step == LaunchLayout.STEP_EXEC) {
      return new LaunchFailedException(
          "the program can't be executed: execve failed with errno " + errno,
          errno == Errno.ENOEXEC ? "name its interpreter" : "");
    }
    String what =
        switch (step) {
          case LaunchLayout.STEP_DIRECTORY -> "changing to its working directory";
          case LaunchLayout.STEP_DESCRIPTORS -> "closing its other descriptors";
          default -> "opening its " + STREAMS.get(step - LaunchLayout.STEP_STREAM);
        };
    return new LaunchFailedException(
        "the program was not started: " + what + " failed with errno " + errno, "");
  }

  /**
   * Waits for the program's end.
   *
   * @throws LaunchFailedException if the launcher was killed before
   */
  ProgramEnd awaitEnd() {
    Kernel.awaitProcess(process, scratch);
    // The launcher reads and writes what belongs to this object.
    java.lang.ref.Reference.reachabilityFence(order);
    if (memory.getLong(LaunchLayout.ENDED) == 0) {
      throw new LaunchFailedException(
          "it is not known how process " + pid + " ended: its parent was killed", "");
    }
    return ProgramEnd.ofStatus(memory.getInt(LaunchLayout.STATUS));
  }
}
