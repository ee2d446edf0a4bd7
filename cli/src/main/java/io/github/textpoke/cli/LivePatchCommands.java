package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.x86.livepatch.LivePatches;
import io.github.textpoke.x86.livepatch.LoadOptions;
import io.github.textpoke.x86.livepatch.LoadedPatch;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code textpoke livepatch}: functions of a process are replaced by those of a shared object. */
@Command(
    name = "livepatch",
    mixinStandardHelpOptions = true,
    description = "Replace functions of a process by those of a shared object.",
    subcommands = {
      LivePatchCommands.Load.class,
      LivePatchCommands.Enable.class,
      LivePatchCommands.Disable.class,
      LivePatchCommands.Unload.class,
      LivePatchCommands.ListAll.class
    })
final class LivePatchCommands implements Runnable {
  @Spec
  @SuppressWarnings("NullAway.Init") // picocli sets it
  private CommandSpec spec;

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "a command is missing");
  }

  /** {@code PID ID}. */
  static final class Chosen {
    @Parameters(
        index = "0",
        paramLabel = "PID",
        converter = Arguments.Pid.class,
        description = "The target.")
    private int pid;

    @Parameters(
        index = "1",
        paramLabel = "ID",
        converter = Arguments.Id.class,
        description = "Its number, as 'livepatch list' shows it.")
    private long id;
  }

  /** {@code --wait DURATION}. */
  static final class Patience {
    @Option(
        names = "--wait",
        paramLabel = "DURATION",
        converter = Arguments.Time.class,
        description =
            "How long to wait for threads to leave the code, as 500ms, 2s (default: 10s).")
    private Duration duration = LoadOptions.DEFAULT.patience();

    private LivePatches of(TargetProcess process) {
      return LivePatches.in(process, LoadOptions.DEFAULT.withPatience(duration));
    }
  }

  @Command(
      name = "load",
      mixinStandardHelpOptions = true,
      description = "Load a shared object, and say its number. Its functions do not run yet.")
  static final class Load implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Parameters(
        index = "0",
        paramLabel = "PID",
        converter = Arguments.Pid.class,
        description = "The target.")
    private int pid;

    @Parameters(index = "1", paramLabel = "FILE.so", description = "The shared object.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path file;

    @Option(
        names = "--spec",
        paramLabel = "FILE.json",
        description = "Its description (default: the one in its section .textpoke).")
    private @Nullable Path description;

    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      try (TargetProcess process = TargetProcess.attach(pid)) {
        LoadedPatch patch =
            LivePatches.in(process)
                // Others, gdb among them, have another working directory.
                .load(file.toAbsolutePath(), Optional.ofNullable(description));
        Output.print(LivePatchResult.of(pid, patch), format.json, spec.commandLine().getOut());
      }
    }
  }

  @Command(
      name = "enable",
      mixinStandardHelpOptions = true,
      description = "Have the functions of a live patch run.")
  static final class Enable implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Mixin private Chosen chosen = new Chosen();
    @Mixin private Patience patience = new Patience();
    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      try (TargetProcess process = TargetProcess.attach(chosen.pid)) {
        LoadedPatch patch = patience.of(process).find(chosen.id);
        try (Blockers blockers = Blockers.on(spec.commandLine().getErr())) {
          patch.enable(blockers);
        }
        Output.print(
            LivePatchResult.of(chosen.pid, patch), format.json, spec.commandLine().getOut());
      }
    }
  }

  @Command(
      name = "disable",
      mixinStandardHelpOptions = true,
      description = "Have the functions run that ran before a live patch was enabled.")
  static final class Disable implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Mixin private Chosen chosen = new Chosen();
    @Mixin private Patience patience = new Patience();
    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      try (TargetProcess process = TargetProcess.attach(chosen.pid)) {
        LoadedPatch patch = patience.of(process).find(chosen.id);
        try (Blockers blockers = Blockers.on(spec.commandLine().getErr())) {
          patch.disable(blockers);
        }
        Output.print(
            LivePatchResult.of(chosen.pid, patch), format.json, spec.commandLine().getOut());
      }
    }
  }

  @Command(
      name = "unload",
      mixinStandardHelpOptions = true,
      description = "Take a live patch out of the process, or say what keeps it there.")
  static final class Unload implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Mixin private Chosen chosen = new Chosen();
    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      try (TargetProcess process = TargetProcess.attach(chosen.pid)) {
        Optional<String> held = LivePatches.in(process).find(chosen.id).unload();
        Output.print(
            new LivePatchResult.Unloaded(chosen.pid, chosen.id, held),
            format.json,
            spec.commandLine().getOut());
      }
    }
  }

  @Command(
      name = "list",
      mixinStandardHelpOptions = true,
      description = "List the live patches in a process, whoever has loaded them.")
  static final class ListAll implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Parameters(
        index = "0",
        paramLabel = "PID",
        converter = Arguments.Pid.class,
        description = "The target.")
    private int pid;

    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      try (TargetProcess process = TargetProcess.attach(pid)) {
        ImmutableList<LivePatchResult.Row> rows =
            LivePatches.in(process).list().stream()
                .map(LivePatchResult.Row::of)
                .collect(ImmutableList.toImmutableList());
        Output.print(
            new LivePatchResult.Listed(pid, rows), format.json, spec.commandLine().getOut());
      }
    }
  }
}
