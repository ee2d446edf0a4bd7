package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.SharedMemory;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.process.ImageInMemory;
import java.util.Arrays;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The functions of one object that a probe is for, their patch while it stands, and what was
 * counted. Counts go on when the patch comes again, in the same place or another one.
 */
final class ArmedObject {
  private final TargetProcess process;
  private final ImageInMemory object;
  private final ThreadKey key;
  private final ProbePool pool;

  /** Where it counts, if that is not beside the code; nobody else ever gets that memory. */
  private final Optional<SharedMemory> shared;

  private ImmutableList<Target> targets;
  private ProbePatch patch;

  /** The patch that stands, or stood last. */
  private @Nullable Patch last;

  private boolean isArmed;

  /** What is to be added to what is read of the counters. */
  private long[] offset;

  /** What was counted when it was read last. */
  private long[] known;

  private long data;

  ArmedObject(
      TargetProcess process,
      ImageInMemory object,
      ImmutableList<Target> targets,
      ThreadKey key,
      ProbePool pool,
      Optional<SharedMemory> shared) {
    this.process = process;
    this.object = object;
    this.targets = targets;
    this.key = key;
    this.pool = pool;
    this.shared = shared;
    this.patch = new ProbePatch(object, targets, key, pool, shared, this::placed);
    this.offset = new long[targets.size()];
    this.known = new long[targets.size()];
  }

  ImmutableList<Target> targets() {
    return targets;
  }

  /** Other patches have come to the functions, or gone from there; the functions are the same. */
  void retarget(ImmutableList<Target> now) {
    targets = now;
    patch = new ProbePatch(object, now, key, pool, shared, this::placed);
  }

  /** Whether another patch of ours stands over some of its jumps. */
  boolean isCovered() {
    return isArmed && patch.isCovered(new Standing(process.standing()));
  }

  boolean isArmed() {
    return isArmed;
  }

  Optional<Patch> patch() {
    return Optional.ofNullable(last).filter(standing -> isArmed);
  }

  /** Reserves the pool near the object. */
  void reserve() {
    CounterTable largest = new CounterTable(pool.slots(), pool.threads());
    CounterTable smallest = new CounterTable(1, pool.threads());
    process.reserve(
        object.start(),
        object.end(),
        ProbePatch.codeSize(pool.slots()) + (long) Probes.SEVERAL * ProbeWriter.HEAD,
        shared.isPresent() ? 0 : largest.size() + Probes.SEVERAL * smallest.size());
    // The rest is zero.
    shared.ifPresent(
        memory ->
            process
                .objectMemory()
                .write(
                    memory.address(),
                    patch
                        .table()
                        .initial(memory.address())
                        .slice(0, Math.toIntExact(patch.table().row(0)))));
  }

  ApplyReport arm(String label) {
    Patch applied = process.apply(patch, label);
    last = applied;
    isArmed = true;
    return applied.report().orElseThrow();
  }

  private void placed(long where, boolean isGoneOnWith) {
    if (shared.isPresent() || (isGoneOnWith && last != null && where == data)) {
      return;
    }
    offset = counts();
    // Until the patch is applied, nothing new is counted.
    last = null;
    data = where;
    if (isGoneOnWith) {
      // What somebody else has counted there is not ours.
      long[] others = Counters.read(process::read, patch.table(), where);
      for (int i = 0; i < others.length; i++) {
        offset[i] -= others[i];
      }
    }
  }

  ApplyReport disarm() {
    Patch standing = last;
    if (standing == null || !isArmed) {
      throw new IllegalStateException("it is not armed");
    }
    ApplyReport report = standing.revert();
    isArmed = false;
    return report;
  }

  /** What was counted until now. */
  long[] counts() {
    if (shared.isPresent()) {
      return Counters.read(shared.get(), patch.table(), shared.get().address());
    }
    Patch counting = last;
    if (counting != null) {
      long[] read = Counters.read(process::read, patch.table(), data);
      // Else another patch may have had the memory by then.
      if (process.keepsMemory(counting)) {
        for (int i = 0; i < read.length; i++) {
          read[i] += offset[i];
        }
        known = read;
      }
    }
    return Arrays.copyOf(known, known.length);
  }
}
