package io.github.textpoke.cli;

import io.github.textpoke.x86.probe.CallCondition;
import io.github.textpoke.x86.probe.ProbeAction;
import io.github.textpoke.x86.probe.ProbePool;
import io.github.textpoke.x86.probe.ProbeStands;
import java.io.PrintWriter;
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
        "Count calls of functions, take their times or print each on request, for a time, or until q"
            + " or Ctrl-C on a terminal; then all is taken back.")
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
      description =
          "[object:]glob, as 'libc:str*': * is any text, ? any character; or one instruction,"
              + " [object:]function+offset or 0xADDR.")
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
      names = "--capture",
      paramLabel = "ARGUMENTS",
      converter = CallArguments.Capture.class,
      description =
          "Print each call, with the integer arguments that are named and what it returns, as"
              + " 'arg1,arg2:u32,ret:i32'. Types are i8, u8 to i64, u64 (default: i64). With --json"
              + " one object for each line, and one at the end.")
  private ProbeAction.@Nullable Capture capture;

  @Option(
      names = "--when",
      paramLabel = "CONDITION",
      converter = CallArguments.Condition.class,
      description =
          "Only calls with such arguments, as 'arg1==0 && arg2:u32>=16 && arg3&0x40': compared by"
              + " ==, !=, <, <=, >, >=, or with a bit of a mask set.")
  private CallCondition condition = CallCondition.ALWAYS;

  @Option(
      names = "--records",
      paramLabel = "N",
      description =
          "How many calls --capture has room for until they are printed, of each object, a power of"
              + " two (default: 16384). What comes too fast is counted as lost.")
  private int records = 1 << 14;

  @Option(
      names = "--breakpoints",
      description =
          "Where no jump can stand, a breakpoint that stays: each pass traps, some ten microseconds,"
              + " and the process is traced meanwhile.")
  private boolean breakpoints;

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
    ProbeAction.Capture kept = capture;
    if (kept != null && latency) {
      throw new ParameterException(
          spec.commandLine(),
          "give --capture or --latency: a call that is captured with ret has" + " its time too");
    }
    ProbePool pool;
    try {
      pool = new ProbePool(slots, threads);
      kept = kept == null ? null : kept.keeping(records).when(condition);
    } catch (IllegalArgumentException bad) {
      throw new ParameterException(spec.commandLine(), String.valueOf(bad.getMessage()));
    }
    PrintWriter out = spec.commandLine().getOut();
    ProbeStands stands = breakpoints ? ProbeStands.BREAKPOINTS_TOO : ProbeStands.JUMPS;
    if (kept != null) {
      new Capturing(pid, pattern, kept, stands, pool, duration).run(format.json, out);
      return;
    }
    ProbeAction action = latency ? ProbeAction.latency() : ProbeAction.count();
    new Probing(pid, pattern, action.when(condition), stands, pool, duration).run(format.json, out);
  }
}
