package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.CodeReference;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.ledger.DetourNote;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.x86.livepatch.PatchNotes.GateArea;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Gives the memory of a live patch back, when nothing refers to it. */
final class Unloading {
  private final LivePatches patches;
  private final LoadedPatch patch;
  private final TargetProcess process;

  Unloading(LivePatches patches, LoadedPatch patch) {
    this.patches = patches;
    this.patch = patch;
    this.process = patches.process();
  }

  /** What refers to its memory, in words; empty: nothing that we know of does. */
  Optional<String> holder(PatchNotes notes) {
    Optional<String> chained = chained(notes).or(() -> caller(notes)).or(() -> lateCaller(notes));
    if (chained.isPresent()) {
      return chained;
    }
    ImmutableList.Builder<Extent> memory = ImmutableList.builder();
    memory.add(notes.object());
    notes.gates().forEach(area -> memory.add(area.memory()));
    List<Extent> waysIn = waysIn(notes);
    // A thread in the gates of another one may be about to go on in these.
    ImmutableList<Extent> others = ImmutableList.copyOf(waysIn);
    if (!others.isEmpty() && process.unused(others).size() < others.size()) {
      return Optional.of("a thread is in gates of another live patch that lead to it");
    }
    return process
        .reference(memory.build(), UnwinderWords.of(patches.memory(), notes))
        .map(CodeReference::describe);
  }

  /** Gates of other live patches that lead on to gates of this one. */
  private List<Extent> waysIn(PatchNotes notes) {
    List<Extent> found = new ArrayList<>();
    for (LoadedPatch other : patches.inCommand()) {
      if (other.id() == patch.id()) {
        continue;
      }
      for (GateArea area : other.notes().gates()) {
        if (area.functions().stream().anyMatch(led -> isOurs(notes, led.original()))) {
          found.add(area.memory());
        }
      }
    }
    return found;
  }

  private static boolean isOurs(PatchNotes notes, long address) {
    return notes.gates().stream().anyMatch(area -> area.memory().contains(address))
        || notes.object().contains(address);
  }

  /**
   * A patch that stands in the ledger and leads to its code: one under another, or another tool's.
   */
  private Optional<String> chained(PatchNotes notes) {
    for (PatchStatus status : process.status().patches()) {
      if (status.state() == PatchStatus.State.RETIRED) {
        continue;
      }
      boolean isOurs =
          status.entry().note().detour().stream()
              .flatMap(detour -> detour.bypass().pokes().stream())
              .map(Poke::address)
              .anyMatch(address -> isOurs(notes, address));
      if (isOurs) {
        return Optional.of(
            "patch %d (%s) leads to it, under another one"
                .formatted(status.entry().id(), status.entry().note().label()));
      }
    }
    return Optional.empty();
  }

  /** A patch that stands and whose code calls into it, in words: a probe's. */
  Optional<String> caller(PatchNotes notes) {
    return calling(notes).stream()
        .filter(status -> status.state() != PatchStatus.State.RETIRED)
        .findFirst()
        .map(Unloading::calls);
  }

  /** One that was reverted, and a thread is in its code. */
  private Optional<String> lateCaller(PatchNotes notes) {
    return calling(notes).stream().filter(this::isRun).findFirst().map(Unloading::calls);
  }

  private List<PatchStatus> calling(PatchNotes notes) {
    return process.status().patches().stream()
        .filter(status -> memory(status).stream().anyMatch(notes.object()::overlaps))
        .toList();
  }

  private static ImmutableList<Extent> memory(PatchStatus status) {
    return status.entry().note().detour().map(DetourNote::memory).orElse(ImmutableList.of());
  }

  private static String calls(PatchStatus status) {
    return "patch %d (%s) calls it".formatted(status.entry().id(), status.entry().note().label());
  }

  private boolean isRun(PatchStatus status) {
    ImmutableList<Extent> memory = memory(status);
    return process.unused(memory).size() < memory.size();
  }

  /** Unmaps all of it. */
  void unmap(PatchNotes notes) {
    String name = PatchHeader.name(patch.id());
    // The header goes last: until then others see what it is.
    for (GateArea area : notes.gates()) {
      if (!isBehindObject(notes, area)) {
        patches.memory().unmap(name, area.memory().start(), area.memory().end());
      }
    }
    long end =
        notes.gates().stream()
            .filter(area -> isBehindObject(notes, area))
            .mapToLong(area -> area.memory().end())
            .findFirst()
            .orElse(notes.object().end());
    patches.memory().unmap(name, notes.object().start(), end);
    patches.memory().unmap(name, patch.header().address(), notes.object().start());
    patches.listAnew();
  }

  private static boolean isBehindObject(PatchNotes notes, GateArea area) {
    return area.memory().start() == notes.object().end();
  }
}
