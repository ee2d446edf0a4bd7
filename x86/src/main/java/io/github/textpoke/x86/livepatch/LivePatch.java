package io.github.textpoke.x86.livepatch;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.BadLivePatchException;

/**
 * Describes a live patch: which functions of which objects it replaces by which of its own, and
 * how. Immutable; what becomes of it in a process is a {@link LoadedPatch}'s matter.
 *
 * @param name what it is, for people
 * @param version which version of that
 * @param consistency what the program sees of the change
 * @param replaces whether it stands in place of all live patches that are enabled: with it those
 *     are disabled at the same moment, and functions that it does not name run as they did before
 *     any
 * @param objects whose functions are replaced, each object once
 * @param callbacks of its own object
 */
public record LivePatch(
    String name,
    String version,
    Consistency consistency,
    boolean replaces,
    ImmutableList<PatchedObject> objects,
    Callbacks callbacks) {
  /** Checks that each object is named once. */
  public LivePatch {
    checkArgument(!name.isEmpty(), "a live patch without name");
    checkArgument(
        objects.stream().map(PatchedObject::name).distinct().count() == objects.size(),
        "an object is named twice: %s",
        objects);
  }

  /**
   * Reads the JSON text of a description:
   *
   * <pre>{@code
   * {"name": "fix", "version": "2", "consistency": "when-unused", "replace": false,
   *  "objects": [{"name": "", "buildId": "...",
   *               "functions": [{"old": "parse", "sympos": 1, "new": "parse_v2"}]}],
   *  "callbacks": {"prePatch": "check"}}
   * }</pre>
   *
   * <p>Only {@code name} and {@code objects} are needed; {@code consistency} is {@code immediate}
   * else. A function has {@code old} with or without {@code sympos}, or {@code address}, a
   * link-time one as a string of hexadecimal digits behind {@code 0x}.
   *
   * @throws BadLivePatchException if it is none
   */
  public static LivePatch parse(String json) {
    return new LivePatchReader(json).read();
  }

  /** The JSON text, of which {@link #parse} makes an equal one. */
  public String toJson() {
    return LivePatchWriter.write(this);
  }

  /** The functions of all objects. */
  public int count() {
    return objects.stream().mapToInt(object -> object.functions().size()).sum();
  }
}
