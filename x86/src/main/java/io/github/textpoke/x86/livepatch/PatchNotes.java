package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.ledger.Extent;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * What is noted of a live patch in the process that it is in, so that any JVM can go on with it.
 * All addresses are absolute. Immutable.
 *
 * @param id number among the live patches of the process, from 1
 * @param patch as it was described; some of its objects may not be loaded
 * @param file the object's file, for people
 * @param object where the object is mapped
 * @param bias what was added to its link-time addresses
 * @param text the executable part of that
 * @param callbacks where the patch's callbacks are; 0: there is none
 * @param finalizers functions to run before it is unloaded, in this order
 * @param frames its registered unwind information; 0: none is
 * @param replacements the functions that run instead, of all objects, in the order of the
 *     description
 * @param late words of the object to be bound whenever another object comes
 * @param gates of each patched object that was loaded when the patch was, or has come since; of
 *     several for one object the newest comes first
 */
record PatchNotes(
    long id,
    LivePatch patch,
    String file,
    Extent object,
    long bias,
    ImmutableList<Extent> text,
    CallbackAddresses callbacks,
    ImmutableList<Long> finalizers,
    long frames,
    ImmutableList<Long> replacements,
    ImmutableList<LateWord> late,
    ImmutableList<GateArea> gates) {

  /** Where callbacks are; 0: there is none. */
  record CallbackAddresses(long prePatch, long postPatch, long preUnpatch, long postUnpatch) {}

  /**
   * A word of the patch's object that holds an address of another object.
   *
   * @param object as the description names it
   * @param slot absolute address of the word
   * @param symbol of that object, as the patch's object asks for it
   * @param version that is asked for; empty: none
   * @param addend what is added to the symbol's address
   */
  record LateWord(String object, long slot, String symbol, String version, long addend) {}

  /**
   * Where the gates of one patched object are.
   *
   * @param object base name of its file
   * @param bias what is added to its link-time addresses: it may be loaded elsewhere next time
   * @param buildId of it; empty: it has none
   * @param memory of the gates; each has the same size
   * @param functions in the order of their gates
   */
  record GateArea(
      String object, long bias, String buildId, Extent memory, ImmutableList<Led> functions) {}

  /**
   * A function that is led through a gate.
   *
   * @param site by which it is found
   * @param address of its entry
   * @param length bytes
   * @param replacement the function that runs in its place
   * @param original where it runs as it was before
   */
  record Led(String site, long address, long length, long replacement, long original) {}

  /** The function at an entry, if it is among these. */
  Optional<Led> at(long address) {
    return gates.stream()
        .flatMap(area -> area.functions().stream())
        .filter(led -> led.address() == address)
        .findFirst();
  }

  /** Whether a function is led by both. */
  boolean overlaps(PatchNotes other) {
    Set<Long> entries = new HashSet<>();
    gates.forEach(area -> area.functions().forEach(led -> entries.add(led.address())));
    return other.gates.stream()
        .flatMap(area -> area.functions().stream())
        .anyMatch(led -> entries.contains(led.address()));
  }

  PatchNotes withGates(ImmutableList<GateArea> others) {
    return new PatchNotes(
        id,
        patch,
        file,
        object,
        bias,
        text,
        callbacks,
        finalizers,
        frames,
        replacements,
        late,
        others);
  }
}
