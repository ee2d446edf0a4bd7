package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.PoolFullException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.apply.SharedMemory;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.process.FoundSymbol;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.probe.FunctionFinder.Wanted;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * Makes probes in one process:
 *
 * <pre>{@code
 * Probe probe = Probes.in(process).at("libc:str*", ProbeAction.count());
 * probe.arm();
 * ...
 * probe.snapshot().functions().forEach(System.out::println);
 * probe.disarm();
 * }</pre>
 *
 * <p>It reads each object once, and keeps what it has found. Not thread-safe.
 */
public final class Probes {
  /** Probes of a few functions that a pool has room for besides its slots. */
  static final int SEVERAL = 16;

  /** What memory is called that outlives the target. */
  private static final String COUNTERS = "counters";

  private static final long PAGE = 4096;

  private final TargetProcess process;
  private final ProbePool pool;
  private final FunctionFinder finder;

  private Probes(TargetProcess process, ProbePool pool) {
    this.process = process;
    this.pool = pool;
    this.finder = new FunctionFinder(process, X86Planner.create());
  }

  /**
   * Those of {@code process}, with {@link ProbePool#DEFAULT}.
   *
   * @param process stays yours to close
   */
  public static Probes in(TargetProcess process) {
    return in(process, ProbePool.DEFAULT);
  }

  /**
   * Those of {@code process}.
   *
   * @param process stays yours to close
   * @param pool the room that they get in the target
   */
  public static Probes in(TargetProcess process, ProbePool pool) {
    return new Probes(process, pool);
  }

  /** As {@link #at(String, ProbeAction, ProbeStands)}, with jumps alone. */
  public Probe at(String pattern, ProbeAction action) {
    return at(pattern, action, ProbeStands.JUMPS);
  }

  /**
   * A probe on all functions that match, or on one instruction. It is planned, and its pool
   * reserved in the target, but not armed yet. An IFUNC stands for the implementation that the
   * loader has chosen.
   *
   * <p>At an instruction inside of a function each pass is seen, whether control comes from the
   * instruction before or by a jump. A jump of the probe's displaces it and some that follow.
   *
   * @param pattern {@code [object:]glob}, where {@code *} is any text and {@code ?} any character;
   *     or a site: {@code 0xADDR}, or {@code [object:]symbol[#n]+offset}
   * @param action what it does at each call; at an instruction inside of a function it counts
   * @param stands what it may be where no jump can stand
   * @throws NoSuchSymbolException if nothing matches
   * @throws PoolFullException if more functions of one object match than the pool has slots
   * @throws UnsupportedPlatformException if times are asked for and the processor's time-stamp
   *     counter does not count evenly
   * @throws PatchException of the type that names the cause
   */
  public Probe at(String pattern, ProbeAction action, ProbeStands stands) {
    Wanted wanted = new Wanted(action, stands);
    FunctionFinder.Found found = find(pattern, symbol -> true, wanted);
    if (found.isEmpty()) {
      throw noSuchSymbol(pattern);
    }
    boolean isInside =
        found.objects().stream()
            .flatMap(object -> object.targets().stream())
            .anyMatch(Target::isInside);
    if (isInside && !(action instanceof ProbeAction.Count)) {
      throw new UnsupportedPlanException(
          "at an instruction inside of a function a probe counts, and does nothing else",
          "count there, or probe the function");
    }
    return probe(pattern, action, wanted, found, object -> Optional.empty());
  }

  private FunctionFinder.Found find(String glob, Predicate<FoundSymbol> isMeant, Wanted wanted) {
    if (wanted.action().takesTime()) {
      // Where it is of no use, that is to be said before anything is done.
      TimeStampCounter.get();
    }
    return finder.find(glob, isMeant, wanted);
  }

  static NoSuchSymbolException noSuchSymbol(String glob) {
    return new NoSuchSymbolException(
        glob,
        ImmutableList.of("any object"),
        "look at the symbols that there are: no function's name matches");
  }

  /**
   * As {@link #at}, with counters that outlive the program, and that its forked children share.
   *
   * @param isMeant which of the symbols that match are meant
   * @param files the memory that the counters lie in is added here: close it in the end
   * @return empty where nothing that is meant matches
   */
  Optional<Probe> outliving(
      String glob, ProbeAction action, Predicate<FoundSymbol> isMeant, List<SharedMemory> files) {
    Wanted wanted = new Wanted(action, ProbeStands.JUMPS);
    FunctionFinder.Found found = find(glob, isMeant, wanted);
    if (found.isEmpty()) {
      return Optional.empty();
    }
    // A forked child's stack is where its parent's is: they would take each other's times.
    boolean isShared = action instanceof ProbeAction.Count;
    return Optional.of(
        probe(
            glob,
            action,
            wanted,
            found,
            object -> isShared ? Optional.of(share(object, files)) : Optional.empty()));
  }

  private SharedMemory share(FunctionFinder.InObject each, List<SharedMemory> files) {
    long size = new CounterTable(each.targets().size(), pool.threads()).size();
    SharedMemory memory =
        process
            .objectMemory()
            .share(COUNTERS, each.object().start(), each.object().end(), size + PAGE - 1 & -PAGE);
    files.add(memory);
    return memory;
  }

  private Probe probe(
      String glob,
      ProbeAction action,
      Wanted wanted,
      FunctionFinder.Found found,
      Function<FunctionFinder.InObject, Optional<SharedMemory>> memory) {
    for (FunctionFinder.InObject each : found.objects()) {
      if (each.targets().size() > pool.slots()) {
        throw new PoolFullException(
            each.object().start(),
            CountSlots.codeSize(each.targets().size()),
            new CounterTable(each.targets().size(), pool.threads()).size(),
            pool.words());
      }
    }
    List<ArmedObject> objects =
        found.objects().stream()
            .map(
                each ->
                    new ArmedObject(
                        process,
                        each.object(),
                        action,
                        each.targets(),
                        each.key(),
                        pool,
                        memory.apply(each)))
            .collect(Collectors.toList());
    objects.forEach(ArmedObject::reserve);
    String label = "probe of " + glob + " (" + action + ")";
    process.prepare(
        objects.stream().map(ArmedObject::planned).collect(ImmutableList.toImmutableList()), label);
    return new Probe(
        process.pid(),
        label,
        action,
        ImmutableList.copyOf(objects),
        found.unprobed(),
        targets -> finder.lookAgain(targets, wanted));
  }
}
