package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableLongArray;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.apply.Patch;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import jdk.jfr.EventType;
import org.jspecify.annotations.Nullable;

/**
 * A probe on one function or on thousands, which can be armed and disarmed any number of times; its
 * counts go on. Armed, it stands in the target as one patch for each object that has some of the
 * functions: it outlives its {@link io.github.textpoke.apply.TargetProcess}, and any JVM can revert
 * it. Thread-safe, as long as its {@link Probes} are used by one thread.
 */
public final class Probe implements AutoCloseable {
  private final int pid;
  private final String label;
  private final ProbeAction action;
  private final ImmutableList<ArmedObject> objects;
  private final ImmutableList<UnprobedFunction> unprobed;
  private final UnaryOperator<ImmutableList<Target>> lookAgain;

  /** At the end of the last sampling period. */
  private ProbeSnapshot sampled;

  /**
   * @param lookAgain the functions as they stand when they are to be armed; the same list if they
   *     stand as before
   */
  Probe(
      int pid,
      String label,
      ProbeAction action,
      ImmutableList<ArmedObject> objects,
      ImmutableList<UnprobedFunction> unprobed,
      UnaryOperator<ImmutableList<Target>> lookAgain) {
    this.pid = pid;
    this.label = label;
    this.action = action;
    this.objects = objects;
    this.unprobed = unprobed;
    this.lookAgain = lookAgain;
    this.sampled = snapshotNow();
  }

  /** What it does at each call. */
  public ProbeAction action() {
    return action;
  }

  /**
   * The functions that it is for, by object, in the order of addresses. How it stands there may be
   * otherwise when it is armed anew.
   */
  public synchronized ImmutableList<ProbedFunction> functions() {
    return objects.stream()
        .flatMap(object -> object.targets().stream())
        .map(Target::function)
        .collect(ImmutableList.toImmutableList());
  }

  /** The functions that were asked for and can't be probed, with the reasons. */
  public ImmutableList<UnprobedFunction> unprobed() {
    return unprobed;
  }

  /** Whether all of it was armed by this handle, and not disarmed since. */
  public synchronized boolean isArmed() {
    return !objects.isEmpty() && objects.stream().allMatch(ArmedObject::isArmed);
  }

  /** Whether other patches of ours, which lead past it, stand over some of its jumps. */
  synchronized boolean isCovered() {
    return objects.stream().anyMatch(ArmedObject::isCovered);
  }

  /** The patches that it stands as in the target while it is armed. */
  public synchronized ImmutableList<Patch> patches() {
    return objects.stream()
        .flatMap(object -> object.patch().stream())
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * Arms it: for each object all functions in one plan, with three core syncs for all. A call that
   * begins later is counted. Where one object fails, those before are disarmed again.
   *
   * @return how it went, object by object
   * @throws WrongStateException if it is armed
   * @throws PatchException.PoolFullException if the pool has no room left
   * @throws PatchException of the type that names the cause
   */
  public synchronized ImmutableList<ApplyReport> arm() {
    if (objects.stream().anyMatch(ArmedObject::isArmed)) {
      throw new WrongStateException("the " + label + " is armed already");
    }
    List<ApplyReport> reports = new ArrayList<>();
    List<ArmedObject> armed = new ArrayList<>();
    for (ArmedObject object : objects) {
      try {
        ImmutableList<Target> now = lookAgain.apply(object.targets());
        if (now != object.targets()) {
          object.retarget(now);
        }
        reports.add(object.arm(label));
        armed.add(object);
      } catch (PatchException failure) {
        disarm(armed, failure);
        throw failure;
      }
    }
    return ImmutableList.copyOf(reports);
  }

  private static void disarm(List<ArmedObject> armed, PatchException failure) {
    for (ArmedObject object : armed) {
      try {
        object.disarm();
      } catch (PatchException also) {
        failure.addSuppressed(also);
      }
    }
  }

  /**
   * Disarms it. A call that has begun may be counted still, and {@link #snapshot} has it then.
   *
   * @return how it went, object by object
   * @throws WrongStateException if it is not armed, or somebody else has disarmed it
   * @throws PatchException of the type that names the cause; then the rest stays armed
   */
  public synchronized ImmutableList<ApplyReport> disarm() {
    if (objects.stream().noneMatch(ArmedObject::isArmed)) {
      throw new WrongStateException("the " + label + " is not armed");
    }
    ImmutableList.Builder<ApplyReport> reports = ImmutableList.builder();
    for (ArmedObject object : objects) {
      if (object.isArmed()) {
        reports.add(object.disarm());
      }
    }
    return reports.build();
  }

  /**
   * What was counted until now, since the probe was made. Stops nothing in the target.
   *
   * @throws PatchException if the target has ended, or can't be read
   */
  public ProbeSnapshot snapshot() {
    return snapshotNow();
  }

  private synchronized ProbeSnapshot snapshotNow() {
    double nanosPerTick =
        action instanceof ProbeAction.Latency ? TimeStampCounter.get().nanosPerTick() : 0;
    long nanos = System.nanoTime();
    ImmutableList.Builder<ProbeSnapshot.Counted> counted = ImmutableList.builder();
    for (ArmedObject object : objects) {
      Tally tally = object.tally();
      for (int i = 0; i < tally.counts().length; i++) {
        counted.add(
            new ProbeSnapshot.Counted(
                object.targets().get(i).function(),
                tally.counts()[i],
                latencies(tally.buckets()[i], nanosPerTick)));
      }
    }
    return new ProbeSnapshot(nanos, counted.build());
  }

  /**
   * Takes the calls that were captured and not taken yet; of a probe of {@link
   * ProbeAction#capture}. Stops nothing in the target, whether the probe is armed or not. What
   * nobody takes in time is overwritten, and counted as lost.
   *
   * @throws WrongStateException if it is a probe that captures nothing
   * @throws PatchException if the target has ended, or can't be read
   */
  public synchronized CapturedCalls drain() {
    if (!(action instanceof ProbeAction.Capture)) {
      throw new WrongStateException("the " + label + " captures nothing");
    }
    TimeStampCounter.Scale scale = TimeStampCounter.get().scale();
    ImmutableList.Builder<CapturedCall> calls = ImmutableList.builder();
    long lost = 0;
    for (ArmedObject object : objects) {
      lost += object.drain(scale, calls::add);
    }
    return new CapturedCalls(calls.build(), lost);
  }

  private Optional<Latencies> latencies(long @Nullable [] buckets, double nanosPerTick) {
    return action instanceof ProbeAction.Latency
        ? Optional.of(
            new Latencies(
                buckets == null ? ImmutableLongArray.of() : ImmutableLongArray.copyOf(buckets),
                nanosPerTick))
        : Optional.empty();
  }

  /**
   * As {@link #snapshot}, and ends a sampling period: for each function that was called since the
   * last one ended, or the probe was made, an event {@code io.github.textpoke.ProbeSample} of the
   * flight recorder (JFR) says how often, if that is on.
   */
  public synchronized ProbeSnapshot sample() {
    ProbeSnapshot now = snapshotNow();
    ProbeSnapshot before = sampled;
    sampled = now;
    if (EventType.getEventType(ProbeSampleEvent.class).isEnabled()) {
      for (int i = 0; i < now.functions().size(); i++) {
        ProbeSnapshot.Counted counted = now.functions().get(i);
        long calls = counted.count() - before.functions().get(i).count();
        if (calls != 0) {
          ProbeSampleEvent event = new ProbeSampleEvent();
          event.pid = pid;
          event.function = counted.function().name();
          event.address = counted.function().address();
          event.calls = calls;
          event.total = counted.count();
          event.period = now.nanos() - before.nanos();
          Optional<Latencies> times = since(counted, before.functions().get(i));
          event.p50 = times.map(Latencies::p50).orElse(0L);
          event.p99 = times.map(Latencies::p99).orElse(0L);
          event.commit();
        }
      }
    }
    return now;
  }

  private static Optional<Latencies> since(
      ProbeSnapshot.Counted now, ProbeSnapshot.Counted before) {
    return now.latencies().map(all -> all.since(before.latencies().orElseThrow()));
  }

  /** Disarms it if it is armed. */
  @Override
  public synchronized void close() {
    if (objects.stream().anyMatch(ArmedObject::isArmed)) {
      disarm();
    }
  }

  @Override
  public String toString() {
    return label;
  }
}
