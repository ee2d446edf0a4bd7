package io.github.textpoke.x86.livepatch;

import io.github.textpoke.x86.link.PatchObject;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Loads objects of the fixtures with other descriptions than they have. */
final class Descriptions {
  /**
   * Of service_hold.so: a thread that is in hold stays there until the service is told to release
   * it, and ticks tell which version runs.
   */
  private static final LivePatch HOLD_AND_TICK =
      LivePatch.parse(
          """
          {"name": "hold and tick", "consistency": "when-unused", "objects": [{"name": "",
           "functions": [{"old": "hold", "new": "new_hold"}, {"old": "tick", "new": "new_tick"}]}]}
          """);

  private Descriptions() {}

  /** The one that is in the object. */
  static LivePatch of(Path file) {
    return LivePatch.parse(PatchObject.parse(file.toString(), bytes(file)).spec().orElseThrow());
  }

  static LoadedPatch load(LivePatches patches, Path file, LivePatch description) {
    return patches.load(file.toString(), bytes(file), description);
  }

  static LoadedPatch loadHoldAndTick(LivePatches patches, Path file) {
    return load(patches, file, HOLD_AND_TICK);
  }

  static LivePatch with(Consistency consistency, LivePatch description) {
    return new LivePatch(
        description.name(),
        description.version(),
        consistency,
        description.replaces(),
        description.objects(),
        description.callbacks());
  }

  /** One that leaves those below enabled. */
  static LivePatch notReplacing(LivePatch description) {
    return new LivePatch(
        description.name(),
        description.version(),
        description.consistency(),
        false,
        description.objects(),
        description.callbacks());
  }

  private static byte[] bytes(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
