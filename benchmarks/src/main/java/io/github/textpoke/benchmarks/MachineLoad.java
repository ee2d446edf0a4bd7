package io.github.textpoke.benchmarks;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Splitter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * The CPU time of the whole machine since it started, in ticks, as the first line of {@code
 * /proc/stat} tells it.
 *
 * @param busy of all CPUs, what a hypervisor took away included
 * @param all busy or idle
 */
record MachineLoad(long busy, long all) {
  /** Columns of the line behind its name: user nice system idle iowait irq softirq steal. */
  private static final int COLUMNS = 8;

  private static final int IDLE = 3;
  private static final int IOWAIT = 4;

  /** Reads the line that begins with {@code cpu}. */
  static MachineLoad parse(String line) {
    List<String> words = Splitter.on(' ').omitEmptyStrings().splitToList(line);
    checkArgument(
        words.size() > COLUMNS && words.get(0).equals("cpu"), "no line of /proc/stat: %s", line);
    long all = 0;
    for (String ticks : words.subList(1, COLUMNS + 1)) {
      all += Long.parseLong(ticks);
    }
    long idle = Long.parseLong(words.get(1 + IDLE)) + Long.parseLong(words.get(1 + IOWAIT));
    return new MachineLoad(all - idle, all);
  }

  /** How busy all CPUs were from {@code before} to this, 0 to 100. */
  int percentSince(MachineLoad before) {
    return (int) (100 * (busy - before.busy) / Math.max(1, all - before.all));
  }

  /** How busy the machine is with others while this JVM sleeps for {@code time}, 0 to 100. */
  static int percentDuring(Duration time) {
    try {
      MachineLoad before = now();
      Thread.sleep(time.toMillis());
      return now().percentSince(before);
    } catch (IOException unreadable) {
      throw new UncheckedIOException("reading /proc/stat", unreadable);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", interrupted);
    }
  }

  private static MachineLoad now() throws IOException {
    return parse(Files.readAllLines(Path.of("/proc/stat")).get(0));
  }
}
