package io.github.textpoke.apply;

import com.google.common.collect.ImmutableSet;
import com.google.common.collect.ImmutableSortedMap;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcStatus;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import org.assertj.core.api.SoftAssertions;

/**
 * What a process has that a patcher could leave something in, at one moment.
 *
 * @param threads by id
 * @param relatives processes and zombies that could be ours: children of the process, other
 *     children of its parent, and whoever shares its memory
 * @param files open files, by number
 * @param mappings but those that bear our name, which may stay, and the stack, which grows
 */
record TargetState(
    ImmutableSortedMap<Integer, ThreadState> threads,
    ImmutableSet<String> relatives,
    ImmutableSortedMap<Integer, String> files,
    ImmutableSet<String> mappings) {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final String OUR_MAPPINGS = "/memfd:textpoke";
  private static final long LOOK_NANOS = 1_000_000;

  /**
   * What a tracer could leave in a thread.
   *
   * @param tracer id of its tracer, 0: none
   * @param stopped whether it is held, or stopped by job control
   */
  record ThreadState(
      String name, int tracer, boolean stopped, long blocked, long ignored, long caught) {
    static ThreadState of(ProcStatus status) {
      boolean stopped = status.state() == 't' || status.state() == 'T';
      return new ThreadState(
          status.name(),
          status.tracer(),
          stopped,
          status.blocked(),
          status.ignored(),
          status.caught());
    }
  }

  static TargetState of(int pid) {
    return new TargetState(threadsOf(pid), relativesOf(pid), filesOf(pid), mappingsOf(pid));
  }

  private static ImmutableSortedMap<Integer, ThreadState> threadsOf(int pid) {
    ImmutableSortedMap.Builder<Integer, ThreadState> threads = ImmutableSortedMap.naturalOrder();
    for (int tid : ProcStatus.threads(pid)) {
      ProcStatus status = ProcStatus.read(tid);
      if (status != null) {
        threads.put(tid, ThreadState.of(status));
      }
    }
    return threads.buildOrThrow();
  }

  private static ImmutableSet<String> relativesOf(int pid) {
    int parent = parentOf(pid);
    ImmutableSet.Builder<String> relatives = ImmutableSet.builder();
    for (int other : ProcStatus.processes()) {
      int itsParent = parentOf(other);
      if (other != pid
          && (itsParent == pid
              || (itsParent == parent && parent != 0)
              || Kernel.compareMemory(pid, other) == 0)) {
        relatives.add(other + " " + ProcStatus.name(other));
      }
    }
    return relatives.build();
  }

  /** Zombies have one, too; 0 where there is no such process. */
  private static int parentOf(int pid) {
    try {
      String stat = Files.readString(Path.of("/proc", Integer.toString(pid), "stat"));
      // The name, in parentheses, may hold anything.
      return Integer.parseInt(stat.substring(stat.lastIndexOf(')') + 2).split(" ")[1]);
    } catch (IOException ended) {
      return 0;
    }
  }

  private static ImmutableSortedMap<Integer, String> filesOf(int pid) {
    ImmutableSortedMap.Builder<Integer, String> files = ImmutableSortedMap.naturalOrder();
    Path folder = Path.of("/proc", Integer.toString(pid), "fd");
    String[] numbers = folder.toFile().list();
    for (String number : numbers == null ? new String[0] : numbers) {
      try {
        files.put(
            Integer.valueOf(number), Files.readSymbolicLink(folder.resolve(number)).toString());
      } catch (IOException closedMeanwhile) {
        continue;
      }
    }
    return files.buildOrThrow();
  }

  private static ImmutableSet<String> mappingsOf(int pid) {
    return MemoryMap.read(pid).mappings().stream()
        .filter(mapping -> !isOurs(mapping) && !mapping.path().equals("[stack]"))
        .map(Mapping::toString)
        .collect(ImmutableSet.toImmutableSet());
  }

  private static boolean isOurs(Mapping mapping) {
    return mapping.path().startsWith(OUR_MAPPINGS);
  }

  /** How many mappings of a process bear our name. */
  static long ourMappings(int pid) {
    return MemoryMap.read(pid).mappings().stream().filter(TargetState::isOurs).count();
  }

  /** The processes, other than {@code pid} itself, that share its memory. */
  static ImmutableSet<Integer> sharersOf(int pid) {
    ImmutableSet.Builder<Integer> sharers = ImmutableSet.builder();
    for (int other : ProcStatus.processes()) {
      if (other != pid && Kernel.compareMemory(pid, other) == 0) {
        sharers.add(other);
      }
    }
    return sharers.build();
  }

  /**
   * Waits until the process {@code pid} is again as this says: what a killed patcher has left there
   * may take a moment to go.
   *
   * @throws AssertionError if it does not get there
   */
  void awaitAgain(int pid) {
    long deadline = System.nanoTime() + SOON.toNanos();
    // No event tells that a process, a thread or a file has gone.
    while (new File("/proc/" + pid + "/stat").exists() && !isState(pid)) {
      if (System.nanoTime() - deadline > 0) {
        assertIs(of(pid));
      }
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }

  private void assertIs(TargetState now) {
    SoftAssertions softly = new SoftAssertions();
    softly.assertThat(now.threads).as("threads").isEqualTo(threads);
    softly.assertThat(now.relatives).as("relatives").isEqualTo(relatives);
    softly.assertThat(now.files).as("files").isEqualTo(files);
    softly.assertThat(now.mappings).as("mappings").containsExactlyInAnyOrderElementsOf(mappings);
    softly.assertAll();
  }

  private boolean isState(int pid) {
    // Reading /proc of the target takes its locks: the cheap parts come first.
    return threads.equals(threadsOf(pid)) && of(pid).equals(this);
  }
}
