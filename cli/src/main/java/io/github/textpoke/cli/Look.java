package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.Preflight;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.process.ResolvedSite;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.x86.plan.X86Planner;
import org.jspecify.annotations.Nullable;

/** Reads a process and touches nothing of it: no thread is traced. */
final class Look implements AutoCloseable {
  private final ProcMemReader memory;
  private final Preflight preflight;
  private final SiteResolver resolver;

  Look(int pid) {
    preflight = Preflight.of(pid);
    preflight.checkProcess();
    memory = new ProcMemReader(pid);
    resolver = new SiteResolver(pid, MemoryMap.read(pid), memory);
  }

  SiteResolver resolver() {
    return resolver;
  }

  Preflight preflight() {
    return preflight;
  }

  /**
   * The site's function, told what stood at the site before it was patched.
   *
   * @param was null where it was not patched
   */
  static CodeRegion code(ResolvedSite site, @Nullable CodeBytes was) {
    CodeRegion code = site.code();
    if (was == null) {
      return code;
    }
    if (!code.contains(site.address() + was.length() - 1)) {
      throw new BadSiteException(
          site.name().toString(), "of the " + was.length() + " bytes of --was not all are in it");
    }
    return new CodeRegion(
        code.name(),
        code.address(),
        code.bytes(),
        code.entryPoints(),
        ImmutableList.of(new Site(site.address(), was)),
        code.backing());
  }

  static X86Planner planner(Arguments.Decoders decoders) {
    return decoders.requireZydis ? X86Planner.requiringZydis() : X86Planner.create();
  }

  @Override
  public void close() {
    memory.close();
  }
}
