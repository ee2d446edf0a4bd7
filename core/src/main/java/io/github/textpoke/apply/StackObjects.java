package io.github.textpoke.apply;

import io.github.textpoke.elf.CallFrames;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.MemoryReader;
import io.github.textpoke.process.SiteResolver;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What was read of a process's objects to look at stacks, for looks that follow: to read it anew
 * takes longer than to look. For one {@link ThreadStacks} at a time; not thread-safe.
 */
public final class StackObjects {
  /** By build-id: the mappings change often, and with them all images are read anew. */
  private final Map<String, CallFrames> framesById = new HashMap<>();

  private final Map<ElfImage, CallFrames> frames = new HashMap<>();
  private @Nullable MemoryMap map;
  private @Nullable SiteResolver resolver;

  /** None yet. */
  public StackObjects() {}

  /** What resolves addresses by these mappings. */
  SiteResolver resolver(int pid, MemoryMap now, MemoryReader memory) {
    SiteResolver known = resolver;
    if (known != null && now.equals(map)) {
      return known;
    }
    SiteResolver made = new SiteResolver(pid, now, memory);
    map = now;
    resolver = made;
    frames.clear();
    return made;
  }

  CallFrames framesOf(ElfImage image) {
    return frames.computeIfAbsent(
        image,
        wanted ->
            wanted
                .buildId()
                .map(id -> framesById.computeIfAbsent(id, unused -> CallFrames.of(wanted)))
                .orElseGet(() -> CallFrames.of(wanted)));
  }
}
