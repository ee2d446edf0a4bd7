package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.CodePatch;
import io.github.textpoke.apply.SharedMemory;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.DisplacingPlan;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.probe.Target.OwnJump;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The jumps to the probe's slots at the functions of one object, with the slots' code and data. */
final class ProbePatch implements CodePatch {
  private static final int JUMP_LENGTH = 5;

  /** What {@link ProbeWriter#slot} begins with. */
  private static final CodeBytes NOP = CodeBytes.ofHex("0f1f440000");

  private final ImageInMemory object;
  private final ImmutableList<Target> targets;
  private final CounterTable table;
  private final ThreadKey key;
  private final ProbePool pool;
  private final Optional<SharedMemory> shared;
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
   * @param shared where the counters lie; empty: beside the code
   */
  ProbePatch(
      ImageInMemory object,
      ImmutableList<Target> targets,
      ThreadKey key,
      ProbePool pool,
      Optional<SharedMemory> shared,
      Placed placed) {
    this.shared = shared;
    this.placed = placed;
    this.object = object;
    this.targets = targets;
    this.table = new CounterTable(targets.size(), pool.threads());
    this.key = key;
    this.pool = pool;
  }

  /** Bytes of code for so many functions. */
  static int codeSize(int functions) {
    return ProbeWriter.HEAD + functions * ProbeWriter.SLOT;
  }

  CounterTable table() {
    return table;
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
    return codeSize(targets.size());
  }

  @Override
  public int dataSize() {
    return shared.isPresent() ? 0 : Math.toIntExact(table.size());
  }

  @Override
  public boolean keepsData() {
    return true;
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
    long counters = shared.map(SharedMemory::address).orElse(data);
    ProbeWriter writer = new ProbeWriter(code, counters, table, key, shared.isPresent());
    ImmutableList.Builder<PatchPlan> plans = ImmutableList.builder();
    ImmutableList.Builder<PatchPlan> bypasses = ImmutableList.builder();
    for (int i = 0; i < targets.size(); i++) {
      Target target = targets.get(i);
      long slot = writer.nextSlot();
      long original = writer.slot(i, at -> displaced(target, slot, at, plans));
      CodeRegion nop = CodeRegion.of("probe slot", slot, NOP);
      bypasses.add(target.planner().replace(nop, slot, Assembly.jmp(original)));
    }
    X86Planner planner = targets.get(0).planner();
    Made made =
        new Made(
            planner.batch(plans.build()),
            planner.batch(bypasses.build()),
            writer.bytes(),
            shared.isPresent() ? CodeBytes.EMPTY : table.initial(data));
    kept = new Kept(code, data, made);
    return made;
  }

  /** Plans the jump to the slot, and returns what goes on from there as the function did. */
  private static CodeBytes displaced(
      Target target, long slot, long copy, ImmutableList.Builder<PatchPlan> plans) {
    if (target.jump().isPresent()) {
      // Whoever has put it there has proved that nobody enters what it stands for.
      OwnJump jump = target.jump().get();
      plans.add(target.planner().replace(jump.code(), target.site(), Assembly.jmp(slot)));
      return Assembly.jmp(jump.target()).at(copy, JUMP_LENGTH);
    }
    DisplacingPlan displacing =
        target.planner().displace(target.code(), target.site(), slot, copy, target.entrances());
    plans.add(displacing.plan());
    return displacing.copy().bytes();
  }
}
