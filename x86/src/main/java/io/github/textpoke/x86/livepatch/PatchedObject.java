package io.github.textpoke.x86.livepatch;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * An object of a process some functions of which a live patch replaces.
 *
 * @param name base name of its file, as in a site; empty: the executable
 * @param buildId what its build-id must be, lower-case hexadecimal digits; empty: any
 * @param functions at least one
 */
public record PatchedObject(
    String name, Optional<String> buildId, ImmutableList<PatchedFunction> functions) {
  /** Checks that there are functions. */
  public PatchedObject {
    checkArgument(!functions.isEmpty(), "no functions of %s", name);
  }
}
