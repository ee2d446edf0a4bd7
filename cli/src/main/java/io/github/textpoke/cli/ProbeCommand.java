package io.github.textpoke.cli;

import io.github.textpoke.x86.probe.ProbeAction;
import io.github.textpoke.x86.probe.ProbePool;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Counts what a process calls. */
@Command(
    name = "probe",
    mixinStandardHelpOptions = true,
    description =
        "Count calls of functions, and take their times on request, for a time, or until q or Ctrl-C"
            + " on a terminal; then all is taken back.")
final class ProbeCommand implements Runnable {
  @Spec
  @SuppressWarnings("NullAway.Init") // picocli sets it
  private CommandSpec spec;

  @Parameters(
      index = "0",
      paramLabel = "PID",
      converter = Arguments.Pid.class,
      description = "The target.")
  private int pid;

  @Parameters(
      index = "1",
      paramLabel = "PATTERN",
      description = "[object:]glob, as 'libc:str*': * is any text, ? any character.")
  @SuppressWarnings("NullAway.Init") // picocli sets it
  private String pattern;

  @Option(
      names = "--for",
      paramLabel = "DURATION",
      converter = Arguments.Time.class,
      description = "For a time, as 500ms or 5s (default: until q or Ctrl-C).")
  private @Nullable Duration duration;

  @Option(
      names = "--latency",
      description =
          "Take the time of each call, from the entry to the return: median and 99th percentile.")
  private boolean latency;

  @Option(
      names = "--slots",
      paramLabel = "N",
      description = "How many functions of one object there is room for (default: 4096).")
  private int slots = ProbePool.DEFAULT.slots();

  @Option(
      names = "--threads",
      paramLabel = "N",
      description =
          "How many threads have counters of their own, a power of two (default: 128). Others share"
              + " some, which is slower.")
  private int threads = ProbePool.DEFAULT.threads();

  @Mixin private Arguments.Format format = new Arguments.Format();

  @Override
  public void run() {
    ProbePool pool;
    try {
      pool = new ProbePool(slots, threads);
    } catch (IllegalArgumentException bad) {
      throw new ParameterException(spec.commandLine(), String.valueOf(bad.getMessage()));
    }
    new Probing(pid, pattern, latency ? ProbeAction.latency() : ProbeAction.count(), pool, duration)
        .run(format.json, spec.commandLine().getOut());
  }
}
