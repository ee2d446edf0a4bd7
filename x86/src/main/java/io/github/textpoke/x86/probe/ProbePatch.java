package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.CodePatch;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.plan.X86Planner;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The jumps to the probe's slots at the functions of one object, with the slots' code and data. */
final class ProbePatch implements CodePatch {
  private final ImageInMemory object;
  private final X86Planner planner;
  private final ProbeSlots slots;
  private final ProbePool pool;
  private final Placed placed;

  /** Planning takes longer than arming: what was made for a place serves again there. */
  private @Nullable Kept kept;

  private record Kept(long code, long data, Made made) {}

  /** Hears where the patch stands, before a thread comes there. */
  @FunctionalInterface
  interface Placed {
    /**
     * @param data absolute address of the counters
     * @param isGoneOnWith whether they go on from what they were
     */
    void placed(long data, boolean isGoneOnWith);
  }

  /**
   * One for the functions of an object.
   *
   * @param planner of any of the functions
   */
  ProbePatch(
      ImageInMemory object, X86Planner planner, ProbeSlots slots, ProbePool pool, Placed placed) {
    this.object = object;
    this.planner = planner;
    this.slots = slots;
    this.pool = pool;
    this.placed = placed;
  }

  ProbeSlots slots() {
    return slots;
  }

  @Override
  public long nearStart() {
    return object.start();
  }

  @Override
  public long nearEnd() {
    return object.end();
  }

  @Override
  public int codeSize() {
    return slots.codeSize();
  }

  @Override
  public int dataSize() {
    return Math.toIntExact(slots.dataSize());
  }

  @Override
  public boolean keepsData() {
    return true;
  }

  @Override
  public ImmutableList<Extent> callees() {
    return slots.callees();
  }

  @Override
  public Optional<String> pool() {
    return Optional.of(pool.words());
  }

  @Override
  public void placed(long code, long data, boolean isGoneOnWith) {
    placed.placed(data, isGoneOnWith);
  }

  /** Whether another patch of ours, made since, stands over some of its jumps. */
  boolean isCovered(Standing standing) {
    Kept known = kept;
    return known != null
        && known.made.plan().pokes().stream()
            .anyMatch(
                poke ->
                    standing
                        .at(poke.address())
                        .filter(newest -> !newest.equals(poke.replacement()))
                        .isPresent());
  }

  @Override
  public Made make(long code, long data) {
    Kept known = kept;
    if (known != null && known.code == code && known.data == data) {
      return known.made;
    }
    ImmutableList.Builder<PatchPlan> plans = ImmutableList.builder();
    ImmutableList.Builder<PatchPlan> bypasses = ImmutableList.builder();
    CodeBytes bytes = slots.write(code, data, plans, bypasses);
    Made made =
        new Made(
            planner.batch(plans.build()),
            planner.batch(bypasses.build()),
            bytes,
            slots.initial(data));
    kept = new Kept(code, data, made);
    return made;
  }
}
