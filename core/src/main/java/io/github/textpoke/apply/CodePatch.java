package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.plan.PatchPlan;
import java.util.Optional;

/**
 * A patch that brings code of its own into the target. Where that will stand is not known before
 * room was found for it, so the plan is made when it is.
 */
public interface CodePatch {
  /** The absolute address of the first byte that the code must reach by 32-bit displacements. */
  long nearStart();

  /** The absolute address behind the last byte that it must reach. */
  long nearEnd();

  /** How many bytes of code it needs at most, at least one. */
  int codeSize();

  /** How many bytes of data it needs, 0 for none. The code may write there. */
  int dataSize();

  /**
   * Makes it for a place.
   *
   * @param code absolute address of {@link #codeSize} bytes, a multiple of {@link #ALIGNMENT}
   * @param data absolute address of {@link #dataSize} bytes, in reach of the code and a multiple of
   *     {@link #ALIGNMENT}; meaningless where none are needed
   */
  Made make(long code, long data);

  /**
   * Whether the old code of one site of the plan that was made leads inside of another. Then no
   * thread may be in a copy of the one that was made without the other.
   */
  default boolean hasCompanions() {
    return false;
  }

  /**
   * Whether what an earlier patch of the same code, which is reverted, has left in its data may be
   * gone on with, as it stands: then the same code is run again in the same place. Without data it
   * always is.
   */
  default boolean keepsData() {
    return false;
  }

  /**
   * The size of the pool that it must find its room in, and what enlarges it, in words; empty where
   * memory is mapped for it when there is none: see {@link TargetProcess#reserve}.
   */
  default Optional<String> pool() {
    return Optional.empty();
  }

  /**
   * Memory that is not its own and that its code calls into: it must be there, and not change, as
   * long as the patch has its code, also after it is reverted. That is noted in the ledger, for who
   * could take it away.
   */
  default ImmutableList<Extent> callees() {
    return ImmutableList.of();
  }

  /**
   * Told where the patch stands, before its plan is applied.
   *
   * @param code as for {@link #make}
   * @param data as for {@link #make}
   * @param isGoneOnWith whether code and data are those of an earlier patch; else the data is as it
   *     was made
   */
  default void placed(long code, long data, boolean isGoneOnWith) {}

  /** The alignment of code and data: a cache line. */
  int ALIGNMENT = 64;

  /**
   * A patch for its place.
   *
   * @param plan leads to the code
   * @param bypass inside the code: makes it lead on to what the plan replaces, so that the patch
   *     can go while another one stands over any of its sites; each poke is one instruction for one
   * @param code what is written before the plan is applied
   * @param data likewise
   */
  record Made(PatchPlan plan, PatchPlan bypass, CodeBytes code, CodeBytes data) {}
}
