package io.github.textpoke.cli;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.Launched;
import io.github.textpoke.apply.ProgramEnd;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.SiteName;
import io.github.textpoke.x86.detour.Detours;
import io.github.textpoke.x86.detour.ReturnOverride;
import io.github.textpoke.x86.livepatch.EarlyReplacements;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.probe.CallCondition;
import io.github.textpoke.x86.probe.EarlyProbes;
import io.github.textpoke.x86.probe.ProbeAction;
import io.github.textpoke.x86.probe.ProbePool;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
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

  private static final long PERIOD_MILLIS = 20;

  /** Calls that there is room for until they are printed. */
  private static final int RECORDS = 1 << 14;

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

  @Option(
      names = "--replace",
      paramLabel = "SITE=FILE:SYMBOL",
      converter = ReplacingConverter.class,
      description =
          "The function SYMBOL of a shared object runs instead, from the first call on. The object"
              + " is a live patch then.")
  private List<Replacing> replacements = ImmutableList.of();

  @Option(
      names = "--probe",
      paramLabel = "SITE",
      description =
          "Count calls from the first one on, of all functions that match [object:]glob; how many"
              + " there were is printed to standard error when the program has ended. Those of"
              + " forked children count too.")
  private List<String> probes = ImmutableList.of();

  @Option(
      names = "--latency",
      description = "Take the time of each call that is probed: median and 99th percentile.")
  private boolean latency;

  @Option(
      names = "--capture",
      paramLabel = "ARGUMENTS",
      converter = CallArguments.Capture.class,
      description =
          "Print each call that is probed, with the integer arguments that are named and what it"
              + " returns, as 'arg1,arg2:u32,ret:i32': see 'probe --help'.")
  private ProbeAction.@Nullable Capture capture;

  @Option(
      names = "--when",
      paramLabel = "CONDITION",
      converter = CallArguments.Condition.class,
      description =
          "Count only calls with such arguments, as 'arg1==0 && arg2:u32>=16 && arg3&0x40'.")
  private @Nullable CallCondition condition;

  @Option(
      names = "--follow-children",
      description =
          "Do the same in each program that the program, its children and theirs execute. Each is"
              + " patched where it has the functions, and need not have them.")
  private boolean followsChildren;

  @Option(names = "--output", paramLabel = "FILE", description = "Print the counts to a file.")
  private @Nullable Path output;

  @Mixin private Arguments.Format format = new Arguments.Format();
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

  /** One {@code --replace}. */
  record Replacing(SiteName site, Path file, String symbol) {}

  /** {@code SITE=FILE:SYMBOL}. */
  static final class ReplacingConverter implements ITypeConverter<Replacing> {
    @Override
    public Replacing convert(String text) {
      int file = text.indexOf('=') + 1;
      int symbol = text.lastIndexOf(':') + 1;
      if (file < 2 || symbol <= file + 1 || symbol == text.length()) {
        throw new TypeConversionException("'" + text + "' is not of the form SITE=FILE:SYMBOL");
      }
      return new Replacing(
          new Arguments.Site().convert(text.substring(0, file - 1)),
          Path.of(text.substring(file, symbol - 1)),
          text.substring(symbol));
    }
  }

  @Override
  public Integer call() throws InterruptedException {
    if (probes.isEmpty() && (condition != null || latency || capture != null)) {
      throw new ParameterException(
          spec.commandLine(), "--when, --latency and --capture need --probe");
    }
    if (latency && capture != null) {
      throw new ParameterException(
          spec.commandLine(),
          "give --capture or --latency: a call that is captured with ret has its time too");
    }
    if (probes.isEmpty() && (format.json || output != null)) {
      throw new ParameterException(spec.commandLine(), "without --probe there is nothing to print");
    }
    try (PrintWriter out = out();
        EarlyProbes counting = counting()) {
      ProgramEnd end;
      try (Descendants descendants =
          new Descendants(
              counting, (launch, probing) -> patched(launch, probing, /* whereFound= */ true))) {
        end = run(counting, descendants, out);
        descendants.stopFollowing();
        if (!probes.isEmpty()) {
          ProbedProgram result = new ProbedProgram(command, end, counting, descendants.all());
          if (capture != null && format.json) {
            Output.printLine(result::json, out);
          } else {
            Output.print(result, format.json, out);
          }
        } else {
          descendants.all().stream()
              .filter(each -> each.program().failure().isPresent())
              .forEach(each -> out.println(each.title()));
        }
      }
      return end.shellCode();
    } catch (RuntimeException failed) {
      spec.commandLine().getErr().println(Output.line(failed));
      return NOT_STARTED;
    }
  }

  private EarlyProbes counting() {
    ProbeAction action = latency ? ProbeAction.latency() : ProbeAction.count();
    ProbeAction.Capture captures = capture;
    if (captures != null) {
      action = captures.keeping(RECORDS);
    }
    CallCondition meant = condition;
    EarlyProbes counting =
        EarlyProbes.at(meant == null ? action : action.when(meant), probes, ProbePool.DEFAULT);
    return followsChildren ? counting.whereFound() : counting;
  }

  private ProgramEnd run(EarlyProbes counting, Descendants descendants, PrintWriter out)
      throws InterruptedException {
    Launch launch =
        patched(
            TargetProcess.launch(command).keepDescriptors(descriptors()),
            counting,
            followsChildren);
    try (SignalsPassedOn signals = SignalsPassedOn.watch();
        Launched program = (followsChildren ? descendants.in(launch) : launch).start()) {
      signals.to(program);
      // It is on its own now, and may run for long.
      program.close();
      ProbeAction.Capture captures = capture;
      return captures == null
          ? program.waitFor()
          : printing(new CallPrinter(captures, format.json, out), program, counting, descendants);
    }
  }

  /** Prints calls until the program has ended, and those before its end. */
  private static ProgramEnd printing(
      CallPrinter printer, Launched program, EarlyProbes counting, Descendants descendants)
      throws InterruptedException {
    boolean isOver = false;
    while (!isOver) {
      isOver = hasEnded(program);
      printer.print(counting.drain());
      for (EarlyProbes each : descendants.probes()) {
        printer.print(each.drain());
      }
    }
    return program.waitFor();
  }

  private static boolean hasEnded(Launched program) throws InterruptedException {
    try {
      program.onExit().get(PERIOD_MILLIS, TimeUnit.MILLISECONDS);
      return true;
    } catch (TimeoutException notYet) {
      return false;
    } catch (ExecutionException known) {
      // waitFor() says why.
      return true;
    }
  }

  /**
   * With what was asked for. Probes come last: they count also the calls in which something else
   * runs.
   *
   * @param whereFound whether what the program does not have is left out
   */
  private Launch patched(Launch start, EarlyProbes counting, boolean whereFound) {
    X86Planner planner = Look.planner(decoders);
    List<Returning> left = new ArrayList<>(returns);
    Launch launch = start;
    if (!left.isEmpty()) {
      launch =
          launch
              .patchAtEntry(process -> left.removeIf(each -> isDoneAtEntry(process, planner, each)))
              .patch(
                  process ->
                      left.stream()
                          .filter(each -> !whereFound || isIn(process, each.site()))
                          .forEach(each -> apply(process, planner, each)));
    }
    Map<Path, EarlyReplacements> objects = new LinkedHashMap<>();
    for (Replacing each : replacements) {
      objects.merge(
          each.file,
          EarlyReplacements.by(each.file).replace(each.site.toString(), each.symbol),
          (others, one) -> others.replace(each.site.toString(), each.symbol));
    }
    for (EarlyReplacements object : objects.values()) {
      launch = (whereFound ? object.whereFound() : object).in(launch);
    }
    return probes.isEmpty() ? launch : counting.in(launch);
  }

  private static boolean isIn(TargetProcess process, SiteName site) {
    try {
      process.address(site.toString());
      return true;
    } catch (NoSuchSymbolException none) {
      return false;
    }
  }

  /** Opened before the program runs: what can't be written is said then. */
  private PrintWriter out() {
    Path file = output;
    if (file == null) {
      // Of the caller, who closes it.
      return new PrintWriter(spec.commandLine().getErr()) {
        @Override
        public void close() {
          flush();
        }
      };
    }
    try {
      return new PrintWriter(Files.newBufferedWriter(file));
    } catch (IOException unwritable) {
      throw new UncheckedIOException(unwritable);
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
