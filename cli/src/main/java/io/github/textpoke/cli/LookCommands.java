package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.process.ResolvedSite;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.plan.X86Planner;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Commands that read a process, or files, and change nothing. */
final class LookCommands {
  private LookCommands() {}

  @Command(
      name = "symbols",
      mixinStandardHelpOptions = true,
      description = "List the functions of a process.")
  static final class Symbols implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Mixin private Arguments.Format format = new Arguments.Format();

    @Parameters(
        index = "0",
        paramLabel = "PID",
        converter = Arguments.Pid.class,
        description = "The target.")
    private int pid;

    @Parameters(
        index = "1",
        arity = "0..1",
        paramLabel = "GLOB",
        defaultValue = "*",
        description = "[object:]glob, where * is any text and ? any character (default: *).")
    private String glob = "*";

    @Override
    public void run() {
      try (Look look = new Look(pid)) {
        SymbolList list =
            new SymbolList(
                pid,
                look.resolver().symbols(glob).collect(ImmutableList.toImmutableList()),
                look.resolver().unreadableObjects());
        Output.print(list, format.json, spec.commandLine().getOut());
      }
    }
  }

  @Command(
      name = "inspect",
      mixinStandardHelpOptions = true,
      description = "Show the code around a site, and which patches are possible there.")
  static final class Inspect implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Mixin private Arguments.Place place = new Arguments.Place();
    @Mixin private Arguments.Decoders decoders = new Arguments.Decoders();
    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      X86Planner planner = Look.planner(decoders);
      try (Look look = new Look(place.pid)) {
        SiteResolver resolver = look.resolver();
        ResolvedSite site = resolver.resolve(place.site);
        CodeRegion code = Look.code(site, place.was);
        Inspection inspection =
            new Inspection(
                place.pid,
                site.address(),
                resolver.describe(site.address()).orElse(Output.hex(site.address())),
                planner.decoder().name(),
                planner.disassemble(code),
                planner.options(code, site.address()));
        Output.print(inspection, format.json, spec.commandLine().getOut());
      }
    }
  }

  @Command(
      name = "plan",
      mixinStandardHelpOptions = true,
      description = "Make and verify a plan, and show it; the process is not touched.")
  static final class Plan implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Mixin private Arguments.Place place = new Arguments.Place();

    @ArgGroup(exclusive = true, multiplicity = "1")
    private Arguments.Replacement replacement = new Arguments.Replacement();

    @Mixin private Arguments.Decoders decoders = new Arguments.Decoders();
    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      Output.print(
          Planned.make(place, replacement, decoders), format.json, spec.commandLine().getOut());
    }
  }

  @Command(
      name = "survey",
      mixinStandardHelpOptions = true,
      description =
          "Plan a detour of every function of ELF files, and count which can be had; no process is"
              + " touched.")
  static final class SurveyFiles implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Parameters(
        arity = "1..*",
        paramLabel = "FILE",
        description = "An executable or a shared object.")
    private List<Path> files = List.of();

    @Option(
        names = "--require-zydis",
        description =
            "Read the code with libZydis too, and fail where it is not there; takes longer.")
    private boolean requireZydis;

    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      X86Planner planner =
          requireZydis ? X86Planner.requiringZydis() : X86Planner.with(new TableDecoder());
      Output.print(Survey.of(files, planner), format.json, spec.commandLine().getOut());
    }
  }

  @Command(
      name = "status",
      mixinStandardHelpOptions = true,
      description = "List the patches in a process, whoever has made them.")
  static final class Status implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Parameters(
        index = "0",
        paramLabel = "PID",
        converter = Arguments.Pid.class,
        description = "The target.")
    private int pid;

    @Option(names = "--sites", description = "Show each site: what stood there, and what stands.")
    private boolean sites;

    @Mixin private Arguments.Format format = new Arguments.Format();

    @Override
    public void run() {
      Output.print(
          new PatchList(pid, TargetProcess.status(pid), sites),
          format.json,
          spec.commandLine().getOut());
    }
  }
}
