package io.github.textpoke.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** The command line's entry. */
@Command(
    name = "textpoke",
    mixinStandardHelpOptions = true,
    version = "textpoke 0.1.0-SNAPSHOT",
    description = "Patches machine code in a running Linux process, without stopping it.",
    subcommands = {
      LookCommands.Symbols.class,
      LookCommands.Inspect.class,
      LookCommands.Plan.class,
      LookCommands.SurveyFiles.class,
      LookCommands.Status.class,
      PatchCommands.Apply.class,
      PatchCommands.Toggle.class,
      PatchCommands.Revert.class,
      PatchCommands.Recover.class,
      LaunchCommand.class,
      ProbeCommand.class,
      LivePatchCommands.class,
      HelpCommand.class
    },
    footerHeading = "%nSITE is 0xADDR or [object:]symbol[#n][+offset].%n",
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:done",
      "1:unexpected failure",
      "2:bad usage, or no such site or patch",
      "3:refused: a rule or the bytes found forbid it, and nothing was written",
      "4:not permitted, or not possible on this process or machine",
      "5:no such process, or the target has ended",
      "6:rolled back: the old bytes stand"
    })
public final class Main implements Runnable {
  @Option(
      names = "--debug",
      scope = ScopeType.INHERIT,
      description = "Show the stack trace of a failure.")
  private boolean debug;

  @Spec
  @SuppressWarnings("NullAway.Init") // picocli sets it
  private CommandSpec spec;

  /** Runs a command and ends the JVM with its exit code. */
  public static void main(String[] args) {
    PrintWriter out = new PrintWriter(System.out, false, UTF_8);
    PrintWriter err = new PrintWriter(System.err, true, UTF_8);
    System.exit(run(out, err, args));
  }

  /** Runs a command and returns its exit code. */
  static int run(PrintWriter out, PrintWriter err, String... args) {
    Main main = new Main();
    return new CommandLine(main)
        .setOut(out)
        .setErr(err)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setParameterExceptionHandler(Main::onBadUsage)
        .setExecutionExceptionHandler(main::onFailure)
        .execute(args);
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "a command is missing");
  }

  private static int onBadUsage(ParameterException failure, String[] args) {
    CommandLine command = failure.getCommandLine();
    command
        .getErr()
        .println(
            Output.usage(
                String.valueOf(failure.getMessage()), command.getCommandSpec().qualifiedName()));
    return ExitCode.USAGE;
  }

  private int onFailure(Exception failure, CommandLine command, ParseResult parsed) {
    command.getErr().println(Output.line(failure));
    if (debug) {
      failure.printStackTrace(command.getErr());
    }
    return ExitCode.of(failure);
  }
}
