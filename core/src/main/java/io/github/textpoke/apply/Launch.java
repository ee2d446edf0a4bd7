package io.github.textpoke.apply;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSortedSet;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.LaunchFailedException;
import io.github.textpoke.process.ProcStatus;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * How to start a program so that patches are in place before its first instruction. Immutable: each
 * method returns another.
 *
 * <pre>{@code
 * try (Launched program =
 *     TargetProcess.launch(List.of("server", "--port", "80"))
 *         .patch(process -> Detours.in(process).at("libc:fsync").returning(...))
 *         .start()) {
 *   int code = program.waitFor().shellCode();
 * }
 * }</pre>
 *
 * <p>There are two moments, and the program stands still at both. At its entry nothing of it has
 * run: the executable, the loader and the vDSO are mapped. When it is loaded the loader has mapped
 * and relocated the shared objects. What runs between both is the loader itself, IFUNC resolvers of
 * the executable and of the objects, {@code __libc_early_init} of libc, and objects of {@code
 * LD_AUDIT}; no constructor, and nothing of the program's other code. A static program has no
 * loader, so for it both moments are the same. A program that is a script is its interpreter.
 *
 * <p>The program is started as {@link ProcessBuilder} would: with the environment that this JVM was
 * started with, its directory, user, limits, umask, process group, session and terminal, priority
 * and processors of the calling thread, signals ignored as in this JVM, and blocked as in its main
 * thread. What the JVM has changed when it began is changed for the program too: the soft limit of
 * open files ({@code -XX:-MaxFDLimit} leaves it), and whether SIGQUIT, SIGPIPE, SIGXFSZ, SIGUSR2
 * and signal 33 are ignored, which the program takes by default. Arguments are written in the
 * encoding that this JVM was started with. The program's parent is a small process of ours, the
 * launcher, which ends with the program or this JVM. A set-user-ID program is refused, for the
 * kernel does not change the user of one that is traced; one with file capabilities starts without
 * them, unless this JVM has CAP_SYS_PTRACE.
 *
 * <p>A program that is started by naming its loader is taken for a static one. Should this JVM end
 * before the program begins, the program ends too, without having run; afterwards it runs on. What
 * its children execute is not patched: see {@link NextProgram}. Linux 5.9 or later.
 */
public final class Launch {
  private static final int O_WRONLY = 1;
  private static final int O_CREAT = 0100;
  private static final int O_TRUNC = 01000;
  private static final int O_APPEND = 02000;
  private static final int SET_ID_BITS = 06000;
  private static final String DEFAULT_PATH = "/usr/local/bin:/bin:/usr/bin";

  private final ImmutableList<String> command;
  private final @Nullable Path directory;
  private final ProgramEnvironment environment;
  private final ImmutableList<Redirect> streams;
  private final ImmutableSortedSet<Integer> descriptors;
  private final AttachOptions options;
  private final ImmutableList<Consumer<TargetProcess>> atEntry;
  private final ImmutableList<Consumer<TargetProcess>> whenLoaded;
  private final boolean startsUnpatched;

  private Launch(
      ImmutableList<String> command,
      @Nullable Path directory,
      ProgramEnvironment environment,
      ImmutableList<Redirect> streams,
      ImmutableSortedSet<Integer> descriptors,
      AttachOptions options,
      ImmutableList<Consumer<TargetProcess>> atEntry,
      ImmutableList<Consumer<TargetProcess>> whenLoaded,
      boolean startsUnpatched) {
    this.command = command;
    this.directory = directory;
    this.environment = environment;
    this.streams = streams;
    this.descriptors = descriptors;
    this.options = options;
    this.atEntry = atEntry;
    this.whenLoaded = whenLoaded;
    this.startsUnpatched = startsUnpatched;
  }

  static Launch of(List<String> command) {
    checkArgument(!command.isEmpty(), "a command has at least the program's name");
    return new Launch(
        ImmutableList.copyOf(command),
        null,
        ProgramEnvironment.ofThisJvm(),
        ImmutableList.of(Redirect.INHERIT, Redirect.INHERIT, Redirect.INHERIT),
        ImmutableSortedSet.of(),
        AttachOptions.DEFAULT,
        ImmutableList.of(),
        ImmutableList.of(),
        false);
  }

  private Launch withEnvironment(ProgramEnvironment value) {
    return new Launch(
        command,
        directory,
        value,
        streams,
        descriptors,
        options,
        atEntry,
        whenLoaded,
        startsUnpatched);
  }

  private Launch withStream(int index, Redirect redirect) {
    checkArgument(
        redirect.type() != Redirect.Type.PIPE, "a stream is inherited, or a file; not a pipe");
    List<Redirect> changed = new ArrayList<>(streams);
    changed.set(index, redirect);
    return new Launch(
        command,
        directory,
        environment,
        ImmutableList.copyOf(changed),
        descriptors,
        options,
        atEntry,
        whenLoaded,
        startsUnpatched);
  }

  private Launch withPatches(
      ImmutableList<Consumer<TargetProcess>> first, ImmutableList<Consumer<TargetProcess>> then) {
    return new Launch(
        command,
        directory,
        environment,
        streams,
        descriptors,
        options,
        first,
        then,
        startsUnpatched);
  }

  private static <T> ImmutableList<T> and(ImmutableList<T> list, T last) {
    return ImmutableList.<T>builder().addAll(list).add(last).build();
  }

  /** In this directory; a relative one is below this JVM's. */
  public Launch directory(Path value) {
    return new Launch(
        command,
        value.toAbsolutePath(),
        environment,
        streams,
        descriptors,
        options,
        atEntry,
        whenLoaded,
        startsUnpatched);
  }

  /**
   * With a variable in its environment.
   *
   * @throws IllegalArgumentException if it has no such name, or can't be written in the encoding
   *     that this JVM was started with
   */
  public Launch environment(String name, String value) {
    return withEnvironment(environment.with(name, value));
  }

  /** Without a variable in its environment. */
  public Launch withoutEnvironment(String name) {
    return withEnvironment(environment.without(name));
  }

  /** With no variable but those that are given behind. */
  public Launch withEmptyEnvironment() {
    return withEnvironment(ProgramEnvironment.empty());
  }

  /**
   * With this standard input: inherited, as is the default, or a file.
   *
   * @throws IllegalArgumentException for a pipe
   */
  public Launch input(Redirect from) {
    checkArgument(
        from.type() == Redirect.Type.INHERIT || from.type() == Redirect.Type.READ,
        "%s is not to be read",
        from);
    return withStream(0, from);
  }

  /**
   * With this standard output: inherited, as is the default, or a file.
   *
   * @throws IllegalArgumentException for a pipe
   */
  public Launch output(Redirect to) {
    checkArgument(to.type() != Redirect.Type.READ, "%s is not to be written", to);
    return withStream(1, to);
  }

  /**
   * With this standard error: inherited, as is the default, or a file.
   *
   * @throws IllegalArgumentException for a pipe
   */
  public Launch error(Redirect to) {
    checkArgument(to.type() != Redirect.Type.READ, "%s is not to be written", to);
    return withStream(2, to);
  }

  /**
   * With these descriptors of this JVM besides its three streams, which it has alone else. Those
   * that this JVM was started with are known to who has started it.
   *
   * @throws IllegalArgumentException if one is below 3
   */
  public Launch keepDescriptors(Set<Integer> numbers) {
    ImmutableSortedSet<Integer> kept = ImmutableSortedSet.copyOf(numbers);
    checkArgument(kept.isEmpty() || kept.first() >= streams.size(), "%s: 0 to 2 are streams", kept);
    return new Launch(
        command,
        directory,
        environment,
        streams,
        kept,
        options,
        atEntry,
        whenLoaded,
        startsUnpatched);
  }

  /** Patches, and later {@link Launched#process}, with these options. */
  public Launch options(AttachOptions value) {
    return new Launch(
        command,
        directory,
        environment,
        streams,
        descriptors,
        value,
        atEntry,
        whenLoaded,
        startsUnpatched);
  }

  /**
   * Patches at the program's entry: before the loader, and before IFUNC resolvers. No shared object
   * is mapped, and no IFUNC is chosen.
   *
   * @param patches is called by {@link #start}, on its thread; the process belongs to {@link
   *     Launched}
   */
  public Launch patchAtEntry(Consumer<TargetProcess> patches) {
    return withPatches(and(atEntry, patches), whenLoaded);
  }

  /**
   * Patches when all objects are mapped and relocated: before any constructor.
   *
   * @param patches is called by {@link #start}, on its thread; the process belongs to {@link
   *     Launched}
   */
  public Launch patch(Consumer<TargetProcess> patches) {
    return withPatches(atEntry, and(whenLoaded, patches));
  }

  /**
   * Where patching fails, takes back what stands and starts the program unpatched; {@link
   * Launched#failure} says why. Else it is ended, without having run.
   */
  public Launch unpatchedOnFailure() {
    return new Launch(
        command, directory, environment, streams, descriptors, options, atEntry, whenLoaded, true);
  }

  AttachOptions options() {
    return options;
  }

  ImmutableList<Consumer<TargetProcess>> atEntry() {
    return atEntry;
  }

  ImmutableList<Consumer<TargetProcess>> whenLoaded() {
    return whenLoaded;
  }

  boolean startsUnpatched() {
    return startsUnpatched;
  }

  /**
   * Starts the program, patches it and lets it go.
   *
   * @throws LaunchFailedException if it can't be started
   * @throws PatchException what patching throws, and any other exception of it; the program was
   *     ended, and has not run
   */
  public Launched start() {
    return new Launching(this).start();
  }

  // ---------------------------------------------------------------- as the kernel reads it

  /** What the launcher is told. */
  LaunchMemory.Order order() {
    Path file = file();
    checkHasNoUserOfItsOwn(file);
    int us = (int) ProcessHandle.current().pid();
    ProcStatus main = ProcStatus.read(us);
    Path where = directory;
    List<LaunchMemory.@Nullable Stream> opened = new ArrayList<>();
    for (int i = 0; i < streams.size(); i++) {
      opened.add(stream(streams.get(i)));
    }
    return new LaunchMemory.Order(
        ProgramEnvironment.bytes(file.toString()),
        command.stream().map(ProgramEnvironment::bytes).collect(ImmutableList.toImmutableList()),
        environment.strings(),
        where == null ? null : ProgramEnvironment.bytes(where.toString()),
        Collections.unmodifiableList(opened),
        descriptors,
        main == null ? 0 : main.blocked());
  }

  private static LaunchMemory.@Nullable Stream stream(Redirect redirect) {
    File file = redirect.file();
    if (file == null) {
      return null;
    }
    int flags =
        switch (redirect.type()) {
          case READ -> 0;
          case WRITE -> O_WRONLY | O_CREAT | O_TRUNC;
          case APPEND -> O_WRONLY | O_CREAT | O_APPEND;
          case INHERIT, PIPE -> throw new IllegalStateException("it has no file: " + redirect);
        };
    return new LaunchMemory.Stream(ProgramEnvironment.bytes(file.getAbsolutePath()), flags);
  }

  /** The executable file, looked for as execvp(3) does, in this JVM's PATH. */
  private Path file() {
    String name = command.get(0);
    if (name.indexOf('/') >= 0) {
      Path given = Path.of(name);
      Path where = directory;
      return where == null ? given : where.resolve(given);
    }
    String path = System.getenv("PATH");
    for (String folder : (path == null ? DEFAULT_PATH : path).split(":", -1)) {
      Path file = Path.of(folder).resolve(name);
      if (Files.isRegularFile(file) && Files.isExecutable(file)) {
        return file.toAbsolutePath();
      }
    }
    throw new LaunchFailedException(
        "no program '" + name + "' in the folders of PATH", "name it with its folder");
  }

  private static void checkHasNoUserOfItsOwn(Path file) {
    if (!Files.exists(file)) {
      throw new LaunchFailedException("no program " + file, "");
    }
    try {
      int mode = (Integer) Files.getAttribute(file, "unix:mode");
      if ((mode & SET_ID_BITS) != 0) {
        throw new LaunchFailedException(
            file + " changes its user or group when it is started, but not if it is traced",
            "start it, and attach to it");
      }
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }
}
