package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.x86.detour.ReturnOverride;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Commands that patch a process. */
final class PatchCommands {
  private PatchCommands() {}

  @Command(
      name = "apply",
      mixinStandardHelpOptions = true,
      description = "Patch a site, and say how to go back.")
  static final class Apply implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Mixin private Arguments.Place place = new Arguments.Place();

    @ArgGroup(exclusive = true, multiplicity = "1")
    private Arguments.Change change = new Arguments.Change();

    @Mixin private Arguments.Decoders decoders = new Arguments.Decoders();
    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      if (change.returning != null) {
        override(change.returning);
      } else if (change.replacement != null) {
        replace(change.replacement);
      }
    }

    private void override(Arguments.Returning returning) {
      if (place.was != null) {
        throw new ParameterException(spec.commandLine(), "--was has no meaning with --return");
      }
      ReturnOverride override;
      try {
        override = returning.override();
      } catch (IllegalArgumentException bad) {
        throw new ParameterException(spec.commandLine(), String.valueOf(bad.getMessage()));
      }
      new Overriding(place, override, Look.planner(decoders))
          .run(format.json, spec.commandLine().getOut());
    }

    private void replace(Arguments.Replacement replacement) {
      Planned planned = Planned.make(place, replacement, decoders);
      try (TargetProcess process = TargetProcess.attach(place.pid)) {
        Patch patch = process.apply(planned.plan(), place.site.toString());
        Output.print(
            Applied.of(planned, patch, place.was), format.json, spec.commandLine().getOut());
      }
    }
  }

  @Command(
      name = "toggle",
      mixinStandardHelpOptions = true,
      description = "Patch a site and put the old bytes back, again and again, and measure it.")
  static final class Toggle implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Mixin private Arguments.Place place = new Arguments.Place();

    @ArgGroup(exclusive = true, multiplicity = "1")
    private Arguments.Replacement replacement = new Arguments.Replacement();

    @Option(
        names = "--count",
        paramLabel = "N",
        required = true,
        description = "How often to patch and go back.")
    private long count;

    @Option(
        names = "--interval",
        paramLabel = "DURATION",
        converter = Arguments.Time.class,
        description = "From one change to the next, as 500us, 10ms, 2s (default: at once).")
    private Duration interval = Duration.ZERO;

    @Mixin private Arguments.Decoders decoders = new Arguments.Decoders();
    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      if (count < 1) {
        throw new ParameterException(spec.commandLine(), "--count must be at least 1");
      }
      Planned planned = Planned.make(place, replacement, decoders);
      Measurement measurement = new Measurement();
      // The interruption is closed last: the JVM may end when the target has been left.
      try (Interruption interruption = Interruption.watch(measurement::stop);
          TargetProcess process = TargetProcess.attach(place.pid)) {
        long done = toggle(process, planned, measurement);
        Output.print(
            new Toggled(planned, done, count, measurement),
            format.json,
            spec.commandLine().getOut());
      }
    }

    private long toggle(TargetProcess process, Planned planned, Measurement measurement) {
      try (Progress progress = Progress.start(measurement, count)) {
        return process.toggle(planned.plan(), count, interval, measurement);
      }
    }
  }

  @Command(
      name = "revert",
      mixinStandardHelpOptions = true,
      description = "Put the old bytes of a patch back, whoever has made it.")
  static final class Revert implements Runnable {
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
        arity = "0..1",
        paramLabel = "ID",
        converter = Arguments.Id.class,
        description = "The patch, as status numbers it.")
    private @Nullable Long id;

    @Option(names = "--all", description = "All of them, the newest first.")
    private boolean all;

    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      if (all == (id != null)) {
        throw new ParameterException(spec.commandLine(), "either an ID or --all must be given");
      }
      try (TargetProcess process = TargetProcess.attach(pid)) {
        ImmutableList<Patch> patches =
            id == null ? process.patches().reverse() : ImmutableList.of(process.patch(id));
        Reverted reverted = Reverted.revert(pid, patches);
        if (all || reverted.left().isEmpty()) {
          Output.print(reverted, format.json, spec.commandLine().getOut());
        }
        reverted.throwFirstFailure();
      }
    }
  }

  @Command(
      name = "recover",
      mixinStandardHelpOptions = true,
      description = "Finish or roll back patches that their patcher was cut off in.")
  static final class Recover implements Runnable {
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
        Output.print(
            new Recovered(pid, process.recover()), format.json, spec.commandLine().getOut());
      }
    }
  }
}
