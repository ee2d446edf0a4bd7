package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.apply.CodePatch;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.SharedMemory;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.process.ImageInMemory;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The functions of one object that a probe is for, their patch while it stands, and what was
 * counted. Counts go on when the patch comes again, in the same place or another one.
 */
final class ArmedObject {
  private final TargetProcess process;
  private final ImageInMemory object;
  private final ProbeAction action;
  private final ThreadKey key;
  private final OptionalInt threadId;

  /** Null: it calls nothing. */
  private final @Nullable Callee callee;

  private final ProbePool pool;

  /** Where it counts, if that is not beside the code; nobody else ever gets that memory. */
  private final Optional<SharedMemory> shared;

  private ImmutableList<Target> targets;
  private ProbePatch patch;

  /** The patch that stands, or stood last. */
  private @Nullable Patch last;

  private boolean isArmed;

  /** What is to be added to what is read of the counters. */
  private Tally offset;

  /** What was counted when it was read last. */
  private Tally known;

  private long data;

  /** What was there when the memory was given away; null: it is ours still. */
  private AtomicReference<@Nullable Tally> left = new AtomicReference<>();

  /** What is captured there; null: nothing. */
  private @Nullable CaptureRing ring;

  /** Of memory that was given away before anybody has drained it. */
  private long lost;

  /** Where it counted before: a call that began then may be counted there still. */
  private final List<Former> former = new ArrayList<>();

  /** A place of before. */
  private static final class Former {
    private final Patch patch;
    private final ProbeSlots slots;
    private final long data;
    private final Tally offset;
    private final AtomicReference<@Nullable Tally> left;
    private Tally known;

    private final @Nullable CaptureRing ring;

    Former(
        Patch patch,
        ProbeSlots slots,
        long data,
        Tally offset,
        AtomicReference<@Nullable Tally> left,
        Tally known,
        @Nullable CaptureRing ring) {
      this.patch = patch;
      this.slots = slots;
      this.data = data;
      this.offset = offset;
      this.left = left;
      this.known = known;
      this.ring = ring;
    }

    Tally tally(TargetProcess process) {
      known = read(process, patch, slots, data, left).map(offset::plus).orElse(known);
      return known;
    }

    long drain(TargetProcess process, TimeStampCounter.Scale scale, Consumer<CapturedCall> taken) {
      return ring == null
          ? 0
          : ring.drain(
              process::read,
              () -> process.keepsMemory(patch),
              () -> tally(process).total(),
              scale,
              taken);
    }
  }

  ArmedObject(
      TargetProcess process,
      ImageInMemory object,
      ProbeAction action,
      ImmutableList<Target> targets,
      ThreadKey key,
      ProbePool pool,
      Optional<SharedMemory> shared) {
    this.process = process;
    this.object = object;
    this.action = action;
    this.targets = targets;
    this.key = key;
    this.threadId =
        action instanceof ProbeAction.Capture && key == ThreadKey.POINTER
            ? ThreadKeys.threadIdAt(process)
            : OptionalInt.empty();
    this.callee =
        action instanceof ProbeAction.Calling calling ? Callee.of(calling, process.pid()) : null;
    this.pool = pool;
    this.shared = shared;
    this.patch = made(targets);
    this.offset = Tally.none(targets.size());
    this.known = offset;
  }

  private ProbePatch made(ImmutableList<Target> now) {
    return new ProbePatch(object, now.get(0).planner(), slots(now), pool, this::placed);
  }

  private ProbeSlots slots(ImmutableList<Target> now) {
    int functions = now.size();
    // A switch with patterns is of a later Java.
    if (action instanceof ProbeAction.Capture capture) {
      return new CaptureSlots(now, captures(capture), capture, key, threadId);
    }
    if (action instanceof ProbeAction.Latency) {
      LatencyTable table = new LatencyTable(functions, pool.threads());
      return new LatencySlots(now, table, action.condition(), key);
    }
    CounterTable table = new CounterTable(functions, pool.threads());
    if (callee != null) {
      return new CallSlots(now, table, action.condition(), key, callee);
    }
    return new CountSlots(now, table, action.condition(), key, shared);
  }

  private CaptureTable captures(ProbeAction.Capture capture) {
    return new CaptureTable(targets.size(), pool.threads(), capture.records(), capture.isAtExits());
  }

  ImmutableList<Target> targets() {
    return targets;
  }

  /** Other patches have come to the functions, or gone from there; the functions are the same. */
  void retarget(ImmutableList<Target> now) {
    targets = now;
    patch = made(now);
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
    ProbeSlots slots = patch.slots();
    process.reserve(
        object.start(),
        object.end(),
        Math.max(
            slots.codeSize(),
            CountSlots.codeSize(pool.slots()) + (long) Probes.SEVERAL * ProbeWriter.HEAD),
        Math.max(
            slots.dataSize() + CodePatch.ALIGNMENT,
            shared.isPresent() ? 0 : largest.size() + Probes.SEVERAL * smallest.size()));
    slots.prepare(process);
  }

  /** What is going to be armed. */
  CodePatch planned() {
    return patch;
  }

  ApplyReport arm(String label) {
    if (callee != null) {
      callee.check();
    }
    Patch applied = process.apply(patch, label + breakpoints());
    last = applied;
    isArmed = true;
    lookLast(applied, patch.slots(), data, left);
    patch.slots().begin(process, data);
    return applied.report().orElseThrow();
  }

  /** A call that has begun may be counted until no thread is there. */
  private void lookLast(
      Patch applied, ProbeSlots slots, long where, AtomicReference<@Nullable Tally> into) {
    if (shared.isEmpty()) {
      process.beforeFree(applied, () -> into.set(slots.read(process, where)));
    }
  }

  /** Where it is a breakpoint, and why: for who finds the patch. */
  private String breakpoints() {
    List<ProbedFunction> stopped =
        targets.stream().filter(Target::isBreakpoint).map(Target::function).toList();
    if (stopped.isEmpty()) {
      return "";
    }
    return targets.size() == 1
        ? "; " + stopped.get(0).stand()
        : "; int3 at %d of %d: %s"
            .formatted(
                stopped.size(),
                targets.size(),
                stopped.stream().map(ProbedFunction::name).collect(Collectors.joining(", ")));
  }

  private void placed(long where, boolean isGoneOnWith) {
    if (shared.isPresent()) {
      return;
    }
    if (!isGoneOnWith || last == null || where != data) {
      Tally before = tallyHere();
      if (last != null && where != data) {
        former.add(new Former(last, patch.slots(), data, offset, left, before, ring));
        before = Tally.none(targets.size());
      } else if (ring != null) {
        lost += ring.close(before.total());
      }
      offset = before;
      known = before;
      last = null;
      data = where;
      left = new AtomicReference<>();
      if (isGoneOnWith) {
        // What somebody else has counted there is not ours.
        offset = offset.minus(patch.slots().read(process, where));
      }
      ring = ring(where, before.total(), isGoneOnWith);
    }
    if (isGoneOnWith) {
      // Whoever has disarmed it may not have done so.
      patch.slots().pause(process, where);
    }
  }

  private @Nullable CaptureRing ring(long where, long counted, boolean isGoneOnWith) {
    if (!(action instanceof ProbeAction.Capture capture)) {
      return null;
    }
    ImmutableList<ProbedFunction> functions =
        targets.stream().map(Target::function).collect(ImmutableList.toImmutableList());
    CaptureRing made = new CaptureRing(captures(capture), where, capture, functions, counted);
    if (isGoneOnWith) {
      made.skip(process::read);
    }
    return made;
  }

  /**
   * Takes the calls that were captured.
   *
   * @return how many have got lost since the last time
   */
  long drain(TimeStampCounter.Scale scale, Consumer<CapturedCall> taken) {
    long sum = lost;
    lost = 0;
    for (Former place : former) {
      sum += place.drain(process, scale, taken);
    }
    Patch capturing = last;
    if (ring != null && capturing != null) {
      sum +=
          ring.drain(
              process::read,
              () -> process.keepsMemory(capturing),
              () -> tallyHere().total(),
              scale,
              taken);
    }
    return sum;
  }

  ApplyReport disarm() {
    Patch standing = last;
    if (standing == null || !isArmed) {
      throw new IllegalStateException("it is not armed");
    }
    if (process.keepsMemory(standing)) {
      patch.slots().pause(process, data);
    }
    ApplyReport report = standing.revert();
    isArmed = false;
    return report;
  }

  /** What was counted until now. */
  Tally tally() {
    if (shared.isPresent()) {
      return patch.slots().read(process, data);
    }
    Tally sum = tallyHere();
    for (Former place : former) {
      sum = sum.plus(place.tally(process));
    }
    return sum;
  }

  private Tally tallyHere() {
    Patch counting = last;
    if (counting != null) {
      known = read(process, counting, patch.slots(), data, left).map(offset::plus).orElse(known);
    }
    return known;
  }

  /** What was counted there; empty where another handle has given the memory away. */
  private static Optional<Tally> read(
      TargetProcess process,
      Patch patch,
      ProbeSlots slots,
      long data,
      AtomicReference<@Nullable Tally> left) {
    Tally now = slots.read(process, data);
    // Else another patch may have had the memory by then.
    return process.keepsMemory(patch) ? Optional.of(now) : Optional.ofNullable(left.get());
  }
}
