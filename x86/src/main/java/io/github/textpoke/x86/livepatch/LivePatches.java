package io.github.textpoke.x86.livepatch;

import static com.google.common.base.Preconditions.checkState;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.BadLivePatchException;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.NoSuchPatchException;
import io.github.textpoke.apply.ObjectMemory;
import io.github.textpoke.apply.StackObjects;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.process.FoundSymbol;
import io.github.textpoke.x86.detour.Detours;
import io.github.textpoke.x86.link.PatchObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The live patches of one process:
 *
 * <pre>{@code
 * LoadedPatch patch = LivePatches.in(process).load(Path.of("fix.so"));
 * patch.enable();
 * patch.disable();
 * patch.unload();
 * }</pre>
 *
 * <p>They stay in the process when this JVM ends, and any JVM finds them again. It reads each
 * object once, and keeps what it has found. Thread-safe.
 */
public final class LivePatches {
  private static final System.Logger LOGGER = System.getLogger("io.github.textpoke");

  private final TargetProcess process;
  private final LoadOptions options;
  private final ObjectMemory memory;
  private final Detours detours;
  private final ReadNotes read = new ReadNotes();
  private final FunctionParts parts;
  private final StackObjects stackObjects = new StackObjects();

  /** How many commands are under way, one within the other. */
  private int commands;

  /** As it was found in the command that is under way; null: not yet. */
  private @Nullable ImmutableList<LoadedPatch> found;

  private LivePatches(TargetProcess process, LoadOptions options) {
    this.process = process;
    this.options = options;
    this.memory = process.objectMemory();
    this.detours = Detours.in(process);
    this.parts = new FunctionParts(process);
  }

  /**
   * Those of {@code process}, with {@link LoadOptions#DEFAULT}.
   *
   * @param process stays yours to close
   */
  public static LivePatches in(TargetProcess process) {
    return in(process, LoadOptions.DEFAULT);
  }

  /**
   * Those of {@code process}.
   *
   * @param process stays yours to close
   */
  public static LivePatches in(TargetProcess process, LoadOptions options) {
    return new LivePatches(process, options);
  }

  /**
   * Loads a shared object whose description is in its section {@code .textpoke}; where it has none,
   * each function that it exports replaces the one of that name in the executable.
   *
   * @throws PatchException as {@link #load(String, byte[], LivePatch)}
   */
  public LoadedPatch load(Path file) {
    return load(file, Optional.empty());
  }

  /**
   * Loads a shared object.
   *
   * @param description file with the JSON text that describes it; empty: as {@link #load(Path)}
   * @throws PatchException as {@link #load(String, byte[], LivePatch)}
   */
  public LoadedPatch load(Path file, Optional<Path> description) {
    PatchObject object = PatchObject.parse(file.toString(), read(file));
    LivePatch patch =
        description
            .map(json -> LivePatch.parse(text(json)))
            .or(() -> object.spec().map(LivePatch::parse))
            .orElseGet(() -> byNames(file, object));
    return new PatchLoader(this, object).load(patch);
  }

  /**
   * Loads a shared object: maps it, resolves what it needs in the process, runs its initializers,
   * and makes ready what leads to its functions. None of those runs before it is {@linkplain
   * LoadedPatch#enable enabled}. The program's loader is not entered.
   *
   * @param name of the object, for messages and for {@link LoadedPatch#file}
   * @param object the bytes of the file
   * @throws PatchException of the type that names the cause; nothing stays in the process, but for
   *     what an initializer has done before one failed
   */
  public LoadedPatch load(String name, byte[] object, LivePatch patch) {
    return new PatchLoader(this, PatchObject.parse(name, object)).load(patch);
  }

  /** The live patches in the process, whoever has loaded them, by number. */
  public ImmutableList<LoadedPatch> list() {
    return PatchHeader.all(memory, read).stream()
        .filter(header -> header.notes().isPresent() && header.state().isPresent())
        .map(header -> new LoadedPatch(this, header))
        .sorted(Comparator.comparingLong(LoadedPatch::id))
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * A live patch in the process, whoever has loaded it.
   *
   * @throws NoSuchPatchException if there is none with that number
   */
  public LoadedPatch find(long id) {
    ImmutableList<LoadedPatch> all = list();
    return all.stream()
        .filter(patch -> patch.id() == id)
        .findFirst()
        .orElseThrow(
            () ->
                new NoSuchPatchException(
                    process.pid(), id, all.stream().map(LoadedPatch::id).toList()));
  }

  /**
   * Has each live patch make up for objects that have come or gone; see {@link
   * LoadedPatch#refresh}.
   *
   * @return whether there was anything to do
   * @throws PatchException as {@link LoadedPatch#refresh}; those that were enabled before are
   *     refreshed
   */
  public boolean refresh() {
    return command(this::refreshAlone);
  }

  /**
   * Until that is closed, has every dlopen of the program wait before the constructors until all
   * live patches are {@linkplain #refresh refreshed}: some ten milliseconds. So the first call of a
   * function in a new library, and those of its constructors, run what replaces it; only IFUNC
   * resolvers run before. What goes wrong with a live patch is logged, and the dlopen goes on.
   *
   * <p>A dlopen waits for about a second at most: where a command takes longer, or this JVM is
   * suspended, it goes on with the old functions, and they are replaced later. Where this JVM is
   * killed, one dlopen waits for that long, and none after it. What is left of its detour goes with
   * the next watch. Close it before the process's handle.
   *
   * @throws PatchException if the C library has no {@code _dl_catch_exception} that can be
   *     detoured: it is not glibc, or the program was linked statically
   */
  public ObjectWatch watch() {
    return ObjectWatch.start(this);
  }

  /** Has nobody else patch the target until {@code work} is done. */
  <T> T command(Supplier<T> work) {
    return process.exclusively(
        () -> {
          commands++;
          try {
            return work.get();
          } finally {
            commands--;
            found = null;
          }
        });
  }

  /** As {@link #list}, in a command: nobody else loads or unloads one meanwhile. */
  ImmutableList<LoadedPatch> inCommand() {
    checkState(commands > 0, "no command is under way");
    if (found == null) {
      found = list();
    }
    return found;
  }

  /** One has come, or is gone. */
  void listAnew() {
    found = null;
  }

  /** In the order in which they were enabled, so that the newest one's functions run. */
  private boolean refreshAlone() {
    ImmutableList<LoadedPatch> all = inOrder();
    all.forEach(LoadedPatch::mend);
    boolean isAny = retireGone();
    for (LoadedPatch patch : all) {
      isAny |= patch.come();
    }
    return isAny;
  }

  /** Has the ledger forget what stood in objects that are gone. */
  boolean retireGone() {
    boolean hasGone = new GoneObjects(this).retire();
    if (hasGone) {
      inCommand().forEach(LoadedPatch::renumber);
    }
    return hasGone;
  }

  private ImmutableList<LoadedPatch> inOrder() {
    return inCommand().stream()
        .sorted(Comparator.comparingLong(LoadedPatch::patch))
        .collect(ImmutableList.toImmutableList());
  }

  /** Before a command: what is wrong with an object that another patch waits for is logged. */
  void refreshForCommand() {
    ImmutableList<LoadedPatch> all = inOrder();
    all.forEach(patch -> orWarn(patch, patch::mend));
    retireGone();
    all.forEach(patch -> orWarn(patch, patch::come));
  }

  private static void orWarn(LoadedPatch patch, Runnable work) {
    try {
      work.run();
    } catch (PatchException failure) {
      LOGGER.log(
          System.Logger.Level.WARNING,
          "live patch {0} could not be refreshed: {1}",
          patch.id(),
          failure.getMessage());
    }
  }

  private LivePatch byNames(Path file, PatchObject object) {
    String executable = TargetObject.executable(process.pid());
    ImmutableList<PatchedFunction> functions =
        object.dynamicSymbols().stream()
            .filter(symbol -> symbol.isExported() && symbol.isDefined())
            .map(symbol -> symbol.name())
            .distinct()
            .filter(name -> isFunctionOf(executable, name))
            .map(name -> new PatchedFunction(new PatchedFunction.Named(name, 0), name))
            .collect(ImmutableList.toImmutableList());
    if (functions.isEmpty()) {
      throw new BadLivePatchException(
          file.toString(),
          "it has no section .textpoke, and exports no function that " + executable + " has",
          null);
    }
    return new LivePatch(
        String.valueOf(file.getFileName()),
        "",
        Consistency.IMMEDIATE,
        false,
        ImmutableList.of(new PatchedObject("", Optional.empty(), functions)),
        Callbacks.NONE);
  }

  private boolean isFunctionOf(String executable, String name) {
    return !name.contains("*")
        && !name.contains("?")
        && process
            .resolver()
            .symbols(executable + ":" + name)
            .map(FoundSymbol::symbol)
            .anyMatch(symbol -> symbol.name().equals(name));
  }

  static byte[] read(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (IOException unreadable) {
      throw new BadObjectException(file.toString(), "it can't be read: " + unreadable);
    }
  }

  private static String text(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException unreadable) {
      throw new BadLivePatchException(
          file.toString(), "it can't be read: " + unreadable, unreadable);
    }
  }

  TargetProcess process() {
    return process;
  }

  LoadOptions options() {
    return options;
  }

  ObjectMemory memory() {
    return memory;
  }

  PatchHeader header(long address) {
    return new PatchHeader(memory, address, read);
  }

  Detours detours() {
    return detours;
  }

  FunctionParts parts() {
    return parts;
  }

  /** For the command that is under way. */
  StackObjects stackObjects() {
    return stackObjects;
  }
}
