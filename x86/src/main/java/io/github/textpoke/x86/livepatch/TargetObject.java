package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.process.FoundSymbol;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.x86.livepatch.PatchedFunction.At;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * An object of a process that a live patch names, and its functions.
 *
 * @param name base name of its file
 * @param image it in memory
 * @param sites of the functions, in the order of the description
 */
record TargetObject(String name, ImageInMemory image, ImmutableList<String> sites) {
  /**
   * Finds an object and its functions.
   *
   * @return empty where no object of that name is loaded
   * @throws NoSuchSymbolException if it has no such function
   * @throws io.github.textpoke.PatchException.AmbiguousSymbolException if it has several, and no
   *     position was given
   * @throws BadObjectException if it has another build-id
   */
  static Optional<TargetObject> find(TargetProcess process, PatchedObject described) {
    String name = name(process, described);
    SiteResolver resolver = process.resolver();
    Optional<FoundSymbol> any =
        resolver
            .symbols(name + ":*")
            .filter(found -> found.symbol().kind() == Symbol.Kind.FUNCTION)
            .filter(found -> found.symbol().size() > 0)
            .findFirst();
    if (any.isEmpty()) {
      return Optional.empty();
    }
    ImageInMemory image = resolver.objectAt(any.get().address());
    checkBuildId(name, image, described.buildId());
    ImmutableList.Builder<String> sites = ImmutableList.builder();
    for (PatchedFunction function : described.functions()) {
      String site =
          function.old() instanceof At at
              ? "0x" + Long.toHexString(at.address() + image.bias())
              : name + ":" + function.old();
      // Says now what is wrong with it.
      process.address(site);
      sites.add(site);
    }
    return Optional.of(new TargetObject(name, image, sites.build()));
  }

  /** By which its functions are found. */
  static String name(TargetProcess process, PatchedObject described) {
    return described.name().isEmpty() ? executable(process.pid()) : described.name();
  }

  /** The base name of the program's file. */
  static String executable(int pid) {
    try {
      return String.valueOf(Files.readSymbolicLink(Path.of("/proc/" + pid + "/exe")).getFileName());
    } catch (IOException gone) {
      throw new NoSuchProcessException(pid);
    }
  }

  private static void checkBuildId(String name, ImageInMemory image, Optional<String> expected) {
    Optional<String> found = image.image().buildId();
    if (expected.isPresent() && !found.equals(expected)) {
      throw new BadObjectException(
          name,
          "the patch is for another build: expected build-id "
              + expected.get()
              + ", found "
              + found.orElse("none"));
    }
  }
}
