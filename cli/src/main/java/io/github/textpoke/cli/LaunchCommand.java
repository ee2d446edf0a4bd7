package io.github.textpoke.cli;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.Launched;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.SiteName;
import io.github.textpoke.x86.detour.Detours;
import io.github.textpoke.x86.detour.ReturnOverride;
import io.github.textpoke.x86.plan.X86Planner;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/**
 * Starts a program with patches in place. From then on the command is the program to who has
 * started it: it has its exit code, and passes signals on.
 */
@Command(
    name = "launch",
    mixinStandardHelpOptions = true,
    description =
        "Start a program with patches in place before its first instruction. The command ends as"
            + " the program does, with 128 and the signal's number if that has ended it; with"
            + " 125 if the program was not started.")
final class LaunchCommand implements Callable<Integer> {
  /** As env(1), nohup(1) and timeout(1) say that they have failed themselves. */
  static final int NOT_STARTED = 125;

  private static final String DESCRIPTORS = "textpoke.descriptors";

  @Spec
  @SuppressWarnings("NullAway.Init") // picocli sets it
  private CommandSpec spec;

  @Option(
      names = "--return",
      paramLabel = "SITE=VALUE",
      converter = ReturningConverter.class,
      description =
          "The function returns VALUE and does not run; of VALUE,VALUE,... one after the"
              + " other, then it runs again.")
  private List<Returning> returns = ImmutableList.of();

  @Mixin private Arguments.Decoders decoders = new Arguments.Decoders();

  @Parameters(
      arity = "1..*",
      paramLabel = "PROGRAM [ARGUMENT]",
      description = "What to start; write -- before it.")
  private List<String> command = ImmutableList.of();

  /** One {@code --return}. */
  record Returning(SiteName site, ReturnOverride override) {}

  /** {@code SITE=VALUE,...}. */
  static final class ReturningConverter implements ITypeConverter<Returning> {
    @Override
    public Returning convert(String text) {
      int at = text.lastIndexOf('=');
      if (at < 0) {
        throw new TypeConversionException("'" + text + "' is not of the form SITE=VALUE");
      }
      Arguments.Value number = new Arguments.Value();
      List<Long> values = new ArrayList<>();
      for (String word : text.substring(at + 1).split(",", -1)) {
        values.add(number.convert(word));
      }
      long[] more = values.stream().skip(1).mapToLong(Long::longValue).toArray();
      return new Returning(
          new Arguments.Site().convert(text.substring(0, at)),
          more.length == 0
              ? ReturnOverride.returning(values.get(0))
              : ReturnOverride.returningInOrder(values.get(0), more));
    }
  }

  @Override
  public Integer call() throws InterruptedException {
    X86Planner planner = Look.planner(decoders);
    List<Returning> left = new ArrayList<>(returns);
    Launch launch = TargetProcess.launch(command).keepDescriptors(descriptors());
    if (!left.isEmpty()) {
      launch =
          launch
              .patchAtEntry(process -> left.removeIf(each -> isDoneAtEntry(process, planner, each)))
              .patch(process -> left.forEach(each -> apply(process, planner, each)));
    }
    try (SignalsPassedOn signals = SignalsPassedOn.watch();
        Launched program = launch.start()) {
      signals.to(program);
      // It is on its own now, and may run for long.
      program.close();
      return program.waitFor().shellCode();
    } catch (RuntimeException failed) {
      spec.commandLine().getErr().println(Output.line(failed));
      return NOT_STARTED;
    }
  }

  /** Those that the script which has started this JVM was given: the JVM's own are others. */
  private static ImmutableSet<Integer> descriptors() {
    return Splitter.on(',')
        .omitEmptyStrings()
        .splitToStream(System.getProperty(DESCRIPTORS, ""))
        .map(Integer::valueOf)
        .filter(descriptor -> descriptor > 2)
        .collect(ImmutableSet.toImmutableSet());
  }

  private static void apply(TargetProcess process, X86Planner planner, Returning each) {
    Detours.in(process, planner).at(each.site().toString()).returning(each.override());
  }

  /** What is in the executable can be patched before the loader and IFUNC resolvers run. */
  private static boolean isDoneAtEntry(
      TargetProcess process, X86Planner planner, Returning returning) {
    long address;
    try {
      address = process.address(returning.site().toString());
    } catch (NoSuchSymbolException | AmbiguousSymbolException | PlanRefusedException later) {
      // Of an object that is not mapped yet; if it is of none, that is said when all are.
      return false;
    }
    if (!isOfExecutable(process.pid(), address)) {
      return false;
    }
    apply(process, planner, returning);
    return true;
  }

  private static boolean isOfExecutable(int pid, long address) {
    try {
      String executable = Files.readSymbolicLink(Path.of("/proc/" + pid + "/exe")).toString();
      return MemoryMap.read(pid)
          .at(address)
          .map(Mapping::path)
          .filter(executable::equals)
          .isPresent();
    } catch (IOException gone) {
      throw new UncheckedIOException(gone);
    }
  }
}
