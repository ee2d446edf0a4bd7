package io.github.textpoke.x86.livepatch;

import static io.github.textpoke.x86.livepatch.PatchState.DISABLED;
import static io.github.textpoke.x86.livepatch.PatchState.DISABLING;
import static io.github.textpoke.x86.livepatch.PatchState.ENABLED;
import static io.github.textpoke.x86.livepatch.PatchState.ENABLING;
import static io.github.textpoke.x86.livepatch.PatchState.REGISTERED;
import static io.github.textpoke.x86.livepatch.PatchState.UNREGISTERED;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.CodeInUseException;
import io.github.textpoke.PatchException.LivePatchFailedException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.apply.Turn;
import io.github.textpoke.apply.TurnSwitch;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.x86.livepatch.PatchNotes.GateArea;
import io.github.textpoke.x86.livepatch.PatchNotes.Led;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A live patch in a process, until it is unloaded. Each call is allowed in some states only, and
 * brings it from one to the other or leaves it in the one that it had. Thread-safe. It outlives its
 * {@link TargetProcess}: closing that leaves it as it is.
 */
public final class LoadedPatch {
  private static final System.Logger LOGGER = System.getLogger("io.github.textpoke");

  private final LivePatches patches;
  private final TargetProcess process;
  private final PatchHeader header;
  private final long id;
  private final String file;
  private final LivePatch description;

  private final Leading leading;

  /** As they were planned last; null: by another handle. */
  private @Nullable GateAreas ready;

  LoadedPatch(LivePatches patches, PatchHeader header) {
    this.patches = patches;
    this.process = patches.process();
    this.header = header;
    PatchNotes notes = notes();
    this.id = notes.id();
    this.file = notes.file();
    this.description = notes.patch();
    this.leading = new Leading(patches, header, id, description);
  }

  /** One that was just loaded. */
  LoadedPatch(LivePatches patches, PatchHeader header, GateAreas ready) {
    this(patches, header);
    this.ready = ready;
  }

  /**
   * Leads to the gates, so that to enable it is one store, for which no thread has to stop. They
   * stand above those of all other live patches, until it is unloaded.
   */
  void leadEarly() {
    if (ready == null || ready.areas().isEmpty()) {
      return;
    }
    // If we are killed meanwhile, it is mended as one that was to be enabled.
    header.setState(ENABLING);
    try {
      lead(others());
    } catch (TargetGoneException | TargetExecedException gone) {
      throw gone;
    } catch (PatchException failure) {
      LOGGER.log(
          System.Logger.Level.INFO,
          "live patch {0} is led to when it is enabled, not before: {1}",
          Long.toString(id),
          failure.getMessage());
    }
    header.setState(REGISTERED);
    // The first look of a JVM takes some times as long as the next, which is when it is enabled.
    patches.refreshForCommand();
    led(below());
  }

  /** The other live patches that can be enabled, or are. */
  private ImmutableList<LoadedPatch> others() {
    return patches.inCommand().stream()
        .filter(other -> other.id() != id && other.state() != UNREGISTERED)
        .collect(ImmutableList.toImmutableList());
  }

  /** Those that have a function in common with this one. */
  private ImmutableList<LoadedPatch> overlapping() {
    PatchNotes notes = notes();
    return others().stream()
        .filter(other -> other.notes().overlaps(notes))
        .collect(ImmutableList.toImmutableList());
  }

  /** The process that it is in. */
  public int pid() {
    return process.pid();
  }

  /** Its number among the live patches of the process, from 1. */
  public long id() {
    return id;
  }

  /** The file that it was loaded from, for people. */
  public String file() {
    return file;
  }

  /**
   * What is added to the link-time addresses of its object, modulo 2^64. With the object's file,
   * debuggers need it to know the object: no loader tells them of it.
   */
  public long bias() {
    return notes().bias();
  }

  /**
   * The absolute address of a function or of data that its object exports. The file that it was
   * loaded from says where that is.
   *
   * @param symbol without version, mangled
   * @throws NoSuchSymbolException if it exports none of that name
   * @throws WrongStateException if it was unloaded, or its file is not there any more or another
   *     one
   */
  public long address(String symbol) {
    return new ObjectSymbols(process, notes()).address(symbol);
  }

  /** Where its object is mapped. */
  public Extent object() {
    return notes().object();
  }

  /** As it was described. */
  public LivePatch description() {
    return description;
  }

  /**
   * What it is now.
   *
   * @throws WrongStateException if it was unloaded
   */
  public PatchState state() {
    return header
        .state()
        .orElseThrow(() -> new WrongStateException("live patch " + id + " was unloaded"));
  }

  /** Number of the patch in the ledger that leads to its functions; 0: none stands. */
  public long patch() {
    return header.patch();
  }

  PatchNotes notes() {
    return header
        .notes()
        .orElseThrow(
            () ->
                new WrongStateException(
                    "the notes of the live patch at 0x%x are damaged: the program has written there"
                        .formatted(header.address())));
  }

  PatchHeader header() {
    return header;
  }

  /**
   * Has its functions run, as its {@linkplain Consistency consistency} says: all of them, or none
   * if it fails.
   *
   * @throws WrongStateException if it is not registered or disabled
   * @throws LivePatchFailedException if a callback of it says no, or does not return
   * @throws CodeInUseException if threads stayed in the old functions for too long; it names them
   * @throws PatchException of another type that names the cause; the old functions run
   */
  public void enable() {
    enable(TransitionListener.NONE);
  }

  /** As {@link #enable()}; {@code listener} hears what it waits for. */
  public void enable(TransitionListener listener) {
    patches.command(
        () -> {
          mend();
          allow("enabled", REGISTERED, DISABLED);
          patches.refreshForCommand();
          ImmutableList<LoadedPatch> below = below();
          Optional<ImmutableList<GateArea>> led = led(below);
          if (led.isEmpty()) {
            takeBack();
          }
          enableAlone(below, led, listener);
          return id;
        });
  }

  /**
   * Has the functions run that ran before it was enabled.
   *
   * @throws WrongStateException if it is not enabled
   * @throws CodeInUseException if threads stayed in its functions for too long; it names them
   * @throws PatchException of another type that names the cause; its functions run
   */
  public void disable() {
    disable(TransitionListener.NONE);
  }

  /** As {@link #disable()}; {@code listener} hears what it waits for. */
  public void disable(TransitionListener listener) {
    patches.command(
        () -> {
          mend();
          allow("disabled", ENABLED);
          patches.retireGone();
          disableAlone(listener);
          return id;
        });
  }

  /**
   * Takes its object out of the process: runs its finalizers, and unmaps it when nothing refers to
   * it any more. Ask again for one that is unregistered already.
   *
   * @return what keeps it in the process, in words: then it is {@link PatchState#UNREGISTERED}, or,
   *     as long as a probe calls it, what it was; empty: it is gone
   * @throws WrongStateException if it is enabled
   */
  public Optional<String> unload() {
    return patches.command(
        () -> {
          mend();
          allow("unloaded", REGISTERED, DISABLED, UNREGISTERED);
          patches.retireGone();
          return unloadAlone();
        });
  }

  /**
   * Makes up for objects that the program has loaded or unloaded meanwhile: where it is enabled,
   * calls of its functions in a newly loaded object run the new ones from now on, those that are
   * under way the old ones; what stood in an object that has gone is struck from the ledger. Each
   * other call does so too.
   *
   * @return whether there was anything to do
   * @throws io.github.textpoke.PatchException.BadObjectException if an object has come whose
   *     build-id is not the one of the description; its functions run as they are
   * @throws PatchException of another type that names the cause
   */
  public boolean refresh() {
    return patches.command(
        () -> {
          mend();
          boolean hasGone = patches.retireGone();
          return come() || hasGone;
        });
  }

  void renumber() {
    leading.renumber();
  }

  /** Leads functions of objects that have come. The turn stands on new, so they run at once. */
  boolean come() {
    if (state() != ENABLED) {
      return false;
    }
    GateAreas gates = new GatePlanner(patches, this).come(leading.led());
    if (gates.areas().isEmpty()) {
      return false;
    }
    leading.lead(gates);
    return true;
  }

  private void allow(String what, PatchState... states) {
    PatchState now = state();
    if (!Arrays.asList(states).contains(now)) {
      throw new WrongStateException(
          "live patch %d ('%s') is %s and can't be %s"
              .formatted(id, description.name(), now.word(), what));
    }
  }

  /** Nobody else is at work: a change that is under way has nobody who does it. */
  void mend() {
    PatchState now = state();
    if (now != ENABLING && now != DISABLING) {
      return;
    }
    // What has gone can't be recovered; what was cut off elsewhere is not told from it before.
    patches.retireGone();
    process.recover();
    patches.retireGone();
    boolean isNew = Turn.endsNew(header.turnValue());
    boolean stands = !leading.standing().isEmpty();
    if (isNew && stands) {
      // Calls are under way in the new functions: to go back now would mix the two.
      header.setTurn(Turn.NEW);
      if (now == ENABLING && description.replaces()) {
        below().forEach(LoadedPatch::replaced);
      }
      header.setState(ENABLED);
      if (now == ENABLING) {
        call(notes().callbacks().postPatch(), "postPatch");
      }
      return;
    }
    header.setTurn(Turn.OLD);
    leading.takeBack();
    header.setState(DISABLED);
  }

  private Caller caller() {
    return new Caller(process, patches.options().callTime());
  }

  private void call(long callback, String what) {
    if (callback != 0) {
      caller().call(callback, "callback " + what + " of live patch " + id);
    }
  }

  /**
   * @param below the live patches that are enabled
   * @param led the gates to which its functions are led already
   */
  private void enableAlone(
      ImmutableList<LoadedPatch> below,
      Optional<ImmutableList<GateArea>> led,
      TransitionListener listener) {
    PatchState before = state();
    PatchNotes notes = notes();
    long refused =
        notes.callbacks().prePatch() == 0
            ? 0
            : caller().call(notes.callbacks().prePatch(), "callback prePatch of live patch " + id);
    if ((int) refused != 0) {
      throw new LivePatchFailedException(
          "callback prePatch of live patch %d ('%s') has returned %d: it does not want to be enabled"
              .formatted(id, description.name(), (int) refused),
          Outcome.UNTOUCHED,
          "");
    }
    header.setState(ENABLING);
    try {
      ImmutableList<GateArea> gates = led.orElseGet(() -> lead(below).notes());
      turn(true, () -> leftCode(gates), listener);
      if (description.replaces()) {
        below.forEach(LoadedPatch::replaced);
      }
    } catch (RuntimeException | Error failure) {
      header.setState(before);
      try {
        call(notes.callbacks().postUnpatch(), "postUnpatch");
      } catch (PatchException also) {
        failure.addSuppressed(also);
      }
      throw failure;
    }
    header.setState(ENABLED);
    call(notes.callbacks().postPatch(), "postPatch");
  }

  private ImmutableList<Extent> leftCode(ImmutableList<GateArea> gates) {
    return LeftCode.whenEnabled(
        patches,
        gates,
        notes(),
        patches.inCommand().stream().filter(other -> other.id() != id).toList());
  }

  /** The gates to which all of its functions are led; empty: that is not so. */
  private Optional<ImmutableList<GateArea>> led(ImmutableList<LoadedPatch> below) {
    long newest = header.patch();
    boolean isAbove =
        below.stream().filter(this::hasToStandAbove).allMatch(other -> other.patch() < newest);
    return isAbove ? new GatePlanner(patches, this).led(leading.led(), below) : Optional.empty();
  }

  private boolean hasToStandAbove(LoadedPatch enabled) {
    return description.replaces() || enabled.notes().overlaps(notes());
  }

  /**
   * Takes back what leads to its gates, with what stands above that of others that are not enabled.
   * What is below one that is enabled stays.
   */
  private void takeBack() {
    List<LoadedPatch> all = new ArrayList<>(overlapping());
    all.removeIf(other -> other.state() == ENABLED);
    all.add(this);
    boolean isAny = true;
    while (isAny) {
      isAny = false;
      for (LoadedPatch patch : all) {
        isAny |= patch.leading.takeBack();
      }
    }
  }

  /** Has the functions led to its gates, above all others. */
  private GateAreas lead(ImmutableList<LoadedPatch> below) {
    GateAreas gates = new GatePlanner(patches, this).gates(ready, leading.led(), below);
    ready = gates;
    patches.parts().find(gates);
    if (!gates.areas().isEmpty()) {
      leading.lead(gates);
    }
    return gates;
  }

  /** Those that are enabled. */
  private ImmutableList<LoadedPatch> below() {
    return patches.inCommand().stream()
        .filter(patch -> patch.id() != id && patch.state() == ENABLED)
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * Another one stands over all of it, and never leads to its functions: with its turn on old its
   * gates are ways to what was there before.
   */
  private void replaced() {
    header.setTurn(Turn.OLD);
    header.setState(DISABLED);
  }

  private void disableAlone(TransitionListener listener) {
    PatchNotes notes = notes();
    call(notes.callbacks().preUnpatch(), "preUnpatch");
    header.setState(DISABLING);
    try {
      turn(false, () -> LeftCode.whenDisabled(notes), listener);
    } catch (RuntimeException | Error failure) {
      header.setState(ENABLED);
      throw failure;
    }
    header.setState(DISABLED);
    call(notes.callbacks().postUnpatch(), "postUnpatch");
  }

  private void turn(
      boolean toNew, Supplier<ImmutableList<Extent>> left, TransitionListener listener) {
    if (description.consistency() == Consistency.IMMEDIATE) {
      header.setTurn(toNew ? Turn.NEW : Turn.OLD);
      return;
    }
    TurnSwitch what =
        new TurnSwitch(
            header.turn(),
            toNew,
            left.get(),
            new GatePlanner(patches, this).standing(),
            Transition.hold());
    new Transition(patches, listener).run(what, description.name());
  }

  private Optional<String> unloadAlone() {
    PatchNotes notes = notes();
    Optional<String> caller = new Unloading(patches, this).caller(notes);
    if (caller.isPresent()) {
      return caller;
    }
    takeBack();
    if (state() != UNREGISTERED) {
      for (long finalizer : notes.finalizers()) {
        caller().call(finalizer, "a finalizer of " + file);
      }
      new FrameRegistry(process, caller()).deregister(notes.frames());
      header.setState(UNREGISTERED);
    }
    Optional<String> held = new Unloading(patches, this).holder(notes);
    if (held.isEmpty()) {
      new Unloading(patches, this).unmap(notes);
    }
    return held;
  }

  /** What keeps it in the process; empty: it may be unmapped, or is not unregistered. */
  public Optional<String> heldBy() {
    return state() == UNREGISTERED
        ? patches.command(() -> new Unloading(patches, this).holder(notes()))
        : Optional.empty();
  }

  /** The function that it leads at an entry. */
  Optional<Led> at(long address) {
    return notes().at(address);
  }
}
