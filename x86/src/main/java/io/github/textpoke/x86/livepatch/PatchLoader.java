package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.BadLivePatchException;
import io.github.textpoke.PatchException.NoRoomException;
import io.github.textpoke.apply.ObjectMemory;
import io.github.textpoke.apply.ObjectSegment;
import io.github.textpoke.apply.ObjectSegment.Access;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.process.FoundSymbol;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.detour.Gates;
import io.github.textpoke.x86.link.Linked;
import io.github.textpoke.x86.link.LinkedSegment;
import io.github.textpoke.x86.link.LinkedSegment.Protection;
import io.github.textpoke.x86.link.Linker;
import io.github.textpoke.x86.link.PatchObject;
import io.github.textpoke.x86.link.PendingCall;
import io.github.textpoke.x86.livepatch.PatchNotes.CallbackAddresses;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Brings the object of a live patch into a process. Of one load. */
final class PatchLoader {
  /** How often a hole that was taken meanwhile is followed by another. */
  private static final int TRIES = 16;

  private static final ImmutableMap<Protection, Access> ACCESS =
      ImmutableMap.of(
          Protection.READ, Access.READ,
          Protection.READ_WRITE, Access.READ_WRITE,
          Protection.READ_EXECUTE, Access.READ_EXECUTE);

  private final LivePatches patches;
  private final TargetProcess process;
  private final ObjectMemory memory;
  private final Caller caller;
  private final PatchObject object;

  /** What is mapped, to be unmapped when something fails. */
  private final List<Extent> mapped = new ArrayList<>();

  PatchLoader(LivePatches patches, PatchObject object) {
    this.patches = patches;
    this.process = patches.process();
    this.memory = patches.memory();
    this.caller = new Caller(process, patches.options().callTime());
    this.object = object;
  }

  LoadedPatch load(LivePatch patch) {
    return patches.command(() -> loadAlone(patch));
  }

  private LoadedPatch loadAlone(LivePatch patch) {
    // What others have patched in an object that has gone since would be found there.
    patches.refreshForCommand();
    // One that is not loaded is awaited.
    Map<PatchedObject, TargetObject> targets = new LinkedHashMap<>();
    for (PatchedObject described : patch.objects()) {
      TargetObject.find(process, described).ifPresent(found -> targets.put(described, found));
    }
    ImageInMemory near =
        targets.values().stream().map(TargetObject::image).findFirst().orElseGet(this::executable);
    long id = 1 + patches.inCommand().stream().mapToLong(LoadedPatch::id).max().orElse(0);
    String name = PatchHeader.name(id);
    try {
      for (int i = 0; i < TRIES; i++) {
        Optional<LoadedPatch> loaded = tryToLoad(id, name, patch, targets, near);
        if (loaded.isPresent()) {
          return loaded.get();
        }
      }
    } catch (RuntimeException | Error failure) {
      try {
        giveBack(name);
      } catch (PatchException also) {
        failure.addSuppressed(also);
      }
      throw failure;
    }
    throw new NoRoomException(near.start(), "each hole was taken by the program meanwhile");
  }

  /** What refers to it, as a thread that could not be ended, keeps it. */
  private void giveBack(String name) {
    if (mapped.isEmpty()) {
      return;
    }
    if (process.reference(ImmutableList.copyOf(mapped), address -> false).isPresent()) {
      PatchHeader header = patches.header(mapped.get(0).start());
      header.setState(PatchState.UNREGISTERED);
      header.publish();
      return;
    }
    for (Extent extent : mapped) {
      memory.unmap(name, extent.start(), extent.end());
    }
  }

  private Optional<LoadedPatch> tryToLoad(
      long id,
      String name,
      LivePatch patch,
      Map<PatchedObject, TargetObject> targets,
      ImageInMemory near) {
    ImmutableList<String> others =
        patch.objects().stream()
            .map(PatchedObject::name)
            .filter(described -> !described.isEmpty())
            .collect(ImmutableList.toImmutableList());
    int words = others.isEmpty() ? 0 : LateSymbols.mostWords(object);
    long headerSize = PatchHeader.size(patch, patch.count() + words);
    long gatesSize =
        targets.values().stream().findFirst().map(first -> first.sites().size()).stream()
            .mapToLong(GateAreas::size)
            .sum();
    long start = GateAreas.roomApart(memory, near, headerSize + object.size() + gatesSize);
    long base = start + headerSize;
    LateSymbols symbols =
        new LateSymbols(
            process.resolver().scope(),
            others,
            patch.objects().stream()
                .filter(described -> !targets.containsKey(described))
                .map(PatchedObject::name)
                .collect(ImmutableList.toImmutableList()));
    Linked linked = Linker.link(object, base, symbols);
    long turn = PatchHeader.turn(start);
    Optional<GateAreas.Area> nearest =
        targets.entrySet().stream()
            .findFirst()
            .map(
                first ->
                    GateAreas.plan(
                        patches.detours(),
                        first.getValue().name(),
                        first.getValue().image(),
                        ways(first.getValue(), first.getKey(), linked),
                        base + object.size(),
                        turn));
    PatchNotes notes =
        new PatchNotes(
            id,
            patch,
            object.name(),
            new Extent(base, object.size()),
            linked.bias(),
            text(linked),
            callbacks(patch.callbacks(), linked),
            RunOnce.finalizers(linked),
            0,
            replacements(patch, linked),
            symbols.words(object, linked.bias()),
            nearest.stream().map(GateAreas.Area::notes).collect(ImmutableList.toImmutableList()));
    ImmutableList.Builder<ObjectSegment> segments = ImmutableList.builder();
    segments.add(
        new ObjectSegment(start, headerSize, Access.READ_WRITE, PatchHeader.initial(notes)));
    linked.segments().forEach(segment -> segments.add(segment(segment)));
    nearest.map(GateAreas.Area::segment).ifPresent(segments::add);
    if (!memory.map(name, segments.build())) {
      return Optional.empty();
    }
    mapped.add(new Extent(start, headerSize + object.size() + gatesSize));
    ImmutableList.Builder<GateAreas.Area> areas = ImmutableList.builder();
    nearest.ifPresent(areas::add);
    for (Map.Entry<PatchedObject, TargetObject> other :
        targets.entrySet().stream().skip(1).toList()) {
      TargetObject target = other.getValue();
      GateAreas.Area area =
          GateAreas.map(
              memory,
              name,
              patches.detours(),
              target.name(),
              target.image(),
              ways(target, other.getKey(), linked),
              turn);
      mapped.add(area.memory());
      areas.add(area);
    }
    GateAreas gates = new GateAreas(areas.build());
    if (!targets.isEmpty()) {
      process.prepare(gates.plan());
    }
    initialize(linked);
    long frames = new FrameRegistry(process, caller).register(linked.ehFrame());
    PatchHeader header = patches.header(start);
    header.setNotes(
        new PatchNotes(
            id,
            patch,
            object.name(),
            notes.object(),
            notes.bias(),
            notes.text(),
            notes.callbacks(),
            notes.finalizers(),
            frames,
            notes.replacements(),
            notes.late(),
            gates.notes()));
    header.publish();
    patches.listAnew();
    LoadedPatch loaded = new LoadedPatch(patches, header, gates);
    loaded.leadEarly();
    return Optional.of(loaded);
  }

  private ImageInMemory executable() {
    String name = TargetObject.executable(process.pid());
    long any =
        process
            .resolver()
            .symbols(name + ":*")
            .filter(found -> found.symbol().kind() == Symbol.Kind.FUNCTION)
            .mapToLong(FoundSymbol::address)
            .findFirst()
            .orElseThrow(
                () ->
                    new BadLivePatchException(
                        object.name(), "no object that it patches is loaded yet", null));
    return process.resolver().objectAt(any);
  }

  private static ImmutableList<Long> replacements(LivePatch patch, Linked linked) {
    return patch.objects().stream()
        .flatMap(described -> described.functions().stream())
        .map(function -> linked.address(function.replacement()))
        .collect(ImmutableList.toImmutableList());
  }

  private static ImmutableList<Gates.Way> ways(
      TargetObject target, PatchedObject described, Linked linked) {
    ImmutableList.Builder<Gates.Way> ways = ImmutableList.builder();
    for (int i = 0; i < target.sites().size(); i++) {
      String replacement = described.functions().get(i).replacement();
      ways.add(new Gates.Way(target.sites().get(i), linked.address(replacement)));
    }
    return ways.build();
  }

  private static CallbackAddresses callbacks(Callbacks callbacks, Linked linked) {
    return new CallbackAddresses(
        callbacks.prePatch().map(linked::address).orElse(0L),
        callbacks.postPatch().map(linked::address).orElse(0L),
        callbacks.preUnpatch().map(linked::address).orElse(0L),
        callbacks.postUnpatch().map(linked::address).orElse(0L));
  }

  private static ImmutableList<Extent> text(Linked linked) {
    return linked.segments().stream()
        .filter(segment -> segment.protection() == Protection.READ_EXECUTE)
        .map(segment -> new Extent(segment.address(), segment.size()))
        .collect(ImmutableList.toImmutableList());
  }

  private static ObjectSegment segment(LinkedSegment segment) {
    Access access = ACCESS.get(segment.protection());
    if (access == null) {
      throw new IllegalStateException("a protection that is not known here: " + segment);
    }
    return new ObjectSegment(segment.address(), segment.size(), access, segment.bytes());
  }

  private void initialize(Linked linked) {
    for (PendingCall call : linked.pendingCalls()) {
      long value = caller.call(call.resolver(), "the resolver of an IFUNC of " + object.name());
      memory.write(
          call.slot(),
          CodeBytes.of(
              ByteBuffer.allocate(Long.BYTES)
                  .order(ByteOrder.LITTLE_ENDIAN)
                  .putLong(value + call.addend())
                  .array()));
    }
    for (long initializer : RunOnce.initializers(linked)) {
      caller.call(initializer, "an initializer of " + object.name());
    }
  }
}
