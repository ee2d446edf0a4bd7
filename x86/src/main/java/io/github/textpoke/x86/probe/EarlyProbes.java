package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ListMultimap;
import com.google.common.collect.MultimapBuilder;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.SharedMemory;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.process.FoundSymbol;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.x86.detour.AnnouncedCalls;
import io.github.textpoke.x86.detour.CallWatch;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Probes that are armed before a program begins, and whose counts can be read when it has ended:
 *
 * <pre>{@code
 * try (EarlyProbes probes = EarlyProbes.at(ProbeAction.count(), "main", "libc:malloc");
 *     Launched program = probes.in(TargetProcess.launch(List.of("server"))).start()) {
 *   program.waitFor();
 *   probes.snapshot().functions().forEach(System.out::println);
 * }
 * }</pre>
 *
 * <ol>
 *   <li>Functions of the executable and of the loader are probed at the program's entry, so each
 *       call is counted, the loader's own too; an IFUNC of the executable's is probed with the
 *       libraries.
 *   <li>Functions of the shared objects that the program is started with are probed when these are
 *       loaded: each call that a constructor or anything behind it makes is counted. Not counted is
 *       what runs before in them: IFUNC resolvers, {@code __libc_early_init}, and what these call.
 *       Objects that the program opens itself have no probes.
 *   <li>Calls are counted, timed or captured. The counters lie in memory that this JVM shares with
 *       the program. So they are there when the program has ended by itself, by a signal, or at
 *       once; and nothing traces the program. Children that it forks count along until they execute
 *       another program, and so does the program. A call is counted by a locked instruction, six
 *       nanoseconds more than an {@link ProbeAction#count ordinary} probe takes: a child's thread
 *       is taken for the one that has forked it.
 *   <li>A probe stands over other patches of the same {@link Launch} that were given before: it
 *       counts calls also where those have the function not run.
 * </ol>
 *
 * <p>Times and captured calls lie in memory of the program's own, so that children which it forks
 * have their own, that nobody reads. They are read while it runs, and once more when it ends by
 * itself or executes another program: libc's _exit and execve wait for that (two seconds at most,
 * once, if this JVM is gone). Of a program that is killed, what comes after the last look is
 * missing, of a fraction of a second.
 *
 * <p>Afterwards they are patches as any others: any JVM lists and reverts them. Of one launch.
 * Thread-safe.
 */
public final class EarlyProbes implements AutoCloseable {
  private static final System.Logger LOGGER = System.getLogger("io.github.textpoke");
  private static final String LABEL = "probes are read at the end: ";

  /** Where a program's memory goes. */
  private static final ImmutableList<String> ENDS =
      ImmutableList.of("_exit", "execve", "execveat", "fexecve");

  /** Between two looks at times. */
  private static final long LOOK_NANOS = 200_000_000;

  private static final int MOST_TAKEN = 100_000;

  private final ProbeAction action;
  private final ImmutableList<String> globs;
  private final ProbePool pool;

  /** Whether all that was asked for must be there. */
  private final boolean isStrict;

  /** What is armed, by what was asked for, in the order of arming. */
  private final ListMultimap<String, Probe> armed =
      MultimapBuilder.linkedHashKeys().arrayListValues().build();

  private final List<SharedMemory> memory = new ArrayList<>();

  /** Absolute addresses of the symbols that were looked at, and for what: each is of one probe. */
  private final Map<Long, String> seen = new HashMap<>();

  /** Which of what was asked for matches symbols of others. */
  private final Set<String> again = new HashSet<>();

  private final CallWatch watch = new CallWatch("textpoke-early-probes");
  private @Nullable Probes probes;

  /** Of our own, to read what lies in the program's memory; null: all lies in ours. */
  private @Nullable TargetProcess reading;

  /** What was read last of that. */
  private ProbeSnapshot last = new ProbeSnapshot(System.nanoTime(), ImmutableList.of());

  private long lastNanos;

  /** There is nothing more to read. */
  private boolean isOver;

  /** Calls that were taken and that nobody has asked for. */
  private final Deque<CapturedCall> taken = new ArrayDeque<>();

  private long lost;

  private EarlyProbes(
      ProbeAction action, ImmutableList<String> globs, ProbePool pool, boolean isStrict) {
    this.action = action;
    this.globs = globs;
    this.pool = pool;
    this.isStrict = isStrict;
  }

  /**
   * Probes on all functions that match, with {@link ProbePool#DEFAULT}.
   *
   * @param action what they do at each call
   * @param globs each {@code [object:]glob}, where {@code *} is any text and {@code ?} any
   *     character
   */
  public static EarlyProbes at(ProbeAction action, String... globs) {
    return at(action, ImmutableList.copyOf(globs), ProbePool.DEFAULT);
  }

  /**
   * Probes on all functions that match.
   *
   * @param action what they do at each call
   * @param globs each {@code [object:]glob}, where {@code *} is any text and {@code ?} any
   *     character
   * @param pool the room that those of one object get in the program
   */
  public static EarlyProbes at(ProbeAction action, List<String> globs, ProbePool pool) {
    return new EarlyProbes(action, ImmutableList.copyOf(globs), pool, true);
  }

  /**
   * The same for another launch, whose program need not have any of the functions; it gets probes
   * on those that it has.
   */
  public EarlyProbes whereFound() {
    return new EarlyProbes(action, globs, pool, false);
  }

  /**
   * The launch with these probes in it. Its start throws, beside what patching throws, {@link
   * NoSuchSymbolException} where nothing matches, and {@link UnsupportedPlanException} where no
   * function that matches can be probed.
   */
  public Launch in(Launch launch) {
    return launch
        .patchAtEntry(process -> armAtEntry(begin(process)))
        .patch(process -> armWhenLoaded(begun()));
  }

  private synchronized Probes begin(TargetProcess process) {
    if (probes != null) {
      throw new WrongStateException("these probes are of a program that was started already");
    }
    if (action instanceof ProbeAction.Calling) {
      throw new UnsupportedPlanException(
          "what a probe calls is of a live patch that the program does not have yet",
          "count the calls, or probe the program when it runs");
    }
    TargetProcess own = process;
    if (!isShared()) {
      own = TargetProcess.attach(process.pid());
      reading = own;
    }
    Probes finding = Probes.in(own, pool);
    probes = finding;
    return finding;
  }

  private boolean isShared() {
    return action instanceof ProbeAction.Count;
  }

  private synchronized Probes begun() {
    Probes finding = probes;
    if (finding == null) {
      throw new WrongStateException("the program's entry was passed without its probes");
    }
    return finding;
  }

  private synchronized void armAtEntry(Probes finding) {
    for (String glob : globs) {
      // Which implementation an IFUNC has is not chosen yet.
      arm(finding, glob, symbol -> symbol.symbol().kind() != Symbol.Kind.IFUNC);
    }
  }

  private synchronized void armWhenLoaded(Probes finding) {
    for (Probe probe : armed.values()) {
      if (probe.isCovered()) {
        // Nobody runs meanwhile, and it counts on.
        probe.disarm();
        probe.arm();
      }
    }
    for (String glob : globs) {
      arm(finding, glob, symbol -> true);
      checkIsProbed(glob);
    }
    TargetProcess own = reading;
    if (own != null) {
      AnnouncedCalls ends = AnnouncedCalls.of(own, ENDS, LABEL, /* withThread= */ false);
      watch.add(
          new CallWatch.Watched(
              ends, call -> look(/* isLast= */ true), () -> look(false), () -> isUsed(own.pid())));
    }
  }

  private synchronized boolean isUsed(int pid) {
    ProcStatus status = ProcStatus.read(pid);
    return !isOver && status != null && !status.isDead();
  }

  /** Reads what lies in the program's memory, which may be gone soon. */
  private synchronized void look(boolean isLast) {
    if (isOver) {
      return;
    }
    try {
      if (action instanceof ProbeAction.Capture) {
        armed.values().forEach(this::take);
      }
      if (isLast || System.nanoTime() - lastNanos > LOOK_NANOS) {
        last = live();
        lastNanos = System.nanoTime();
      }
    } catch (TargetGoneException | TargetExecedException gone) {
      // What was read before is all that there is.
      isOver = true;
      LOGGER.log(System.Logger.Level.DEBUG, "the probed program is gone", gone);
    } catch (PatchException unreadable) {
      isOver = true;
      LOGGER.log(System.Logger.Level.WARNING, "the probes can't be read any more: {0}", unreadable);
    }
  }

  private void take(Probe probe) {
    CapturedCalls calls = probe.drain();
    lost += calls.lost();
    for (CapturedCall each : calls.calls()) {
      if (taken.size() == MOST_TAKEN) {
        taken.removeFirst();
        lost++;
      }
      taken.addLast(each);
    }
  }

  /**
   * Takes the calls that were captured and not taken yet, of probes of {@link ProbeAction#capture}.
   * Of a hundred thousand that nobody takes the oldest get lost.
   *
   * @throws WrongStateException if the probes capture nothing
   */
  public synchronized CapturedCalls drain() {
    if (!(action instanceof ProbeAction.Capture)) {
      throw new WrongStateException("these probes capture nothing");
    }
    look(false);
    CapturedCalls all = new CapturedCalls(ImmutableList.copyOf(taken), lost);
    taken.clear();
    lost = 0;
    return all;
  }

  private void arm(Probes finding, String glob, Predicate<FoundSymbol> isMeant) {
    Map<Long, String> now = new HashMap<>();
    Optional<Probe> found =
        finding.outliving(
            glob,
            action,
            symbol -> {
              if (!isMeant.test(symbol)) {
                return false;
              }
              String other = seen.get(symbol.address());
              if (other != null && !other.equals(glob)) {
                again.add(glob);
              }
              now.put(symbol.address(), glob);
              return other == null;
            },
            memory);
    now.forEach(seen::putIfAbsent);
    if (found.isPresent()) {
      armed.put(glob, found.get());
      found.get().arm();
    }
  }

  private void checkIsProbed(String glob) {
    Collection<Probe> found = armed.get(glob);
    if (!isStrict || again.contains(glob)) {
      return;
    }
    if (found.isEmpty()) {
      throw Probes.noSuchSymbol(glob);
    }
    if (found.stream().allMatch(probe -> probe.functions().isEmpty())) {
      UnprobedFunction first = found.iterator().next().unprobed().get(0);
      throw new UnsupportedPlanException(
          first.name() + " can't be probed: " + first.reason(), "probe what calls it");
    }
  }

  /** The functions that are probed, each once, in the order of what was asked for. */
  public synchronized ImmutableList<ProbedFunction> functions() {
    return armed.values().stream()
        .flatMap(probe -> probe.functions().stream())
        .collect(ImmutableList.toImmutableList());
  }

  /** The functions that were asked for and can't be probed, with the reasons. */
  public synchronized ImmutableList<UnprobedFunction> unprobed() {
    return armed.values().stream()
        .flatMap(probe -> probe.unprobed().stream())
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * What was counted until now, in the program and in children that it has forked; the program need
   * not be there any more. When it and those have ended, it is exact.
   */
  public synchronized ProbeSnapshot snapshot() {
    if (reading != null) {
      look(true);
      return last;
    }
    return live();
  }

  private ProbeSnapshot live() {
    long nanos = System.nanoTime();
    return new ProbeSnapshot(
        nanos,
        armed.values().stream()
            .flatMap(probe -> probe.snapshot().functions().stream())
            .collect(ImmutableList.toImmutableList()));
  }

  /** Lets go of the counters; the probes stay in the program. Idempotent. */
  @Override
  public void close() {
    // It waits for who looks, who must not wait for us.
    watch.close();
    synchronized (this) {
      memory.forEach(SharedMemory::close);
      TargetProcess own = reading;
      if (own != null) {
        own.close();
      }
    }
  }
}
