package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.Preflight;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.process.SiteName;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.verify.Verifier;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A running process whose code is patched. Its threads are traced only while a patch is under way
 * and for a short time after ({@link AttachOptions#linger}); none is stopped for it but one, once,
 * for microseconds. Thread-safe; commands are carried out one after the other.
 *
 * <pre>{@code
 * try (TargetProcess process = TargetProcess.attach(pid)) {
 *   Patch patch = process.apply(plan);
 *   patch.revert();
 * }
 * }</pre>
 */
public final class TargetProcess implements AutoCloseable {
  private static final @Nullable Throwable UNAVAILABILITY_CAUSE = probe();

  private static final int TRAP_BYTE = 0xcc;
  private static final long LOOK_AFTER_MILLIS = 100;
  private static final int REMEMBERED_PLANS = 16;

  private final int pid;
  private final AttachOptions options;
  private final Interference interference;
  private final Preflight preflight;
  private final ProcMemReader reader;
  private MemoryMap map;
  private SiteResolver resolver;
  private final List<Patch> patches = new ArrayList<>();

  /** The plans that were used last: verified, and laid out for the engine. */
  private final Map<PatchPlan, CompiledPlan> compiled =
      new LinkedHashMap<>(REMEMBERED_PLANS, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<PatchPlan, CompiledPlan> eldest) {
          return size() > REMEMBERED_PLANS;
        }
      };

  private @Nullable Session session;
  private boolean closed;
  private int lastId;

  private TargetProcess(int pid, AttachOptions options, Interference interference) {
    this.pid = pid;
    this.options = options;
    this.interference = interference;
    this.preflight = Preflight.of(pid);
    preflight.checkProcess();
    this.reader = new ProcMemReader(pid);
    this.map = MemoryMap.read(pid);
    this.resolver = new SiteResolver(pid, map, reader);
  }

  private static @Nullable Throwable probe() {
    if (!System.getProperty("os.name").equals("Linux")) {
      return new UnsupportedOperationException(
          "this is " + System.getProperty("os.name") + "; patching needs Linux");
    }
    if (!System.getProperty("os.arch").equals("amd64")) {
      return new UnsupportedOperationException(
          "this is " + System.getProperty("os.arch") + "; patching needs x86-64");
    }
    try {
      Kernel.load();
      return null;
    } catch (LinkageError | RuntimeException cause) {
      return cause;
    }
  }

  /** Whether processes can be patched here. Planning and verifying work everywhere. */
  public static boolean isAvailable() {
    return UNAVAILABILITY_CAUSE == null;
  }

  /** Why {@link #isAvailable} is false; null where it is true. */
  public static @Nullable Throwable unavailabilityCause() {
    return UNAVAILABILITY_CAUSE;
  }

  /**
   * Does nothing where processes can be patched.
   *
   * @throws UnsupportedPlatformException where they can't, with the cause
   */
  public static void ensureAvailability() {
    if (UNAVAILABILITY_CAUSE != null) {
      throw new UnsupportedPlatformException(
          "processes can't be patched here: " + UNAVAILABILITY_CAUSE.getMessage(),
          UNAVAILABILITY_CAUSE);
    }
  }

  /**
   * Attaches with {@link AttachOptions#DEFAULT}.
   *
   * @throws PatchException of the type that names the cause; nothing was written
   */
  public static TargetProcess attach(int pid) {
    return attach(pid, AttachOptions.DEFAULT);
  }

  /**
   * Checks all that can be checked beforehand, seizes the threads once, and makes core syncs
   * possible, so that what is not allowed fails here and not in the middle of a patch. No thread is
   * stopped but the one that is borrowed.
   *
   * @throws PatchException of the type that names the cause; nothing was written
   */
  public static TargetProcess attach(int pid, AttachOptions options) {
    return attach(pid, options, Interference.NONE);
  }

  /** As {@link #attach(int, AttachOptions)}, with interference: for tests. */
  static TargetProcess attach(int pid, AttachOptions options, Interference interference) {
    ensureAvailability();
    TargetProcess process;
    try {
      process = new TargetProcess(pid, options, interference);
    } catch (PatchException failure) {
      throw Preflight.of(pid).orGone(failure);
    }
    try {
      process.execute(engine -> true);
    } catch (RuntimeException | Error failure) {
      process.close();
      throw failure;
    }
    return process;
  }

  /** The process id. */
  public int pid() {
    return pid;
  }

  /**
   * The absolute address of a site.
   *
   * @param site {@code 0xADDR} or {@code [object:]symbol[#n][+offset]}
   * @throws PatchException if it is no site, or there are none or several of the name
   */
  public long address(String site) {
    return resolver().resolve(SiteName.parse(site)).address();
  }

  /**
   * The function that holds a site, as it stands now, with the bytes that our patches have
   * replaced.
   *
   * @param site {@code 0xADDR} or {@code [object:]symbol[#n][+offset]}
   * @throws PatchException if there is no such function
   */
  public synchronized CodeRegion code(String site) {
    CodeRegion region = resolver().resolve(SiteName.parse(site)).code();
    Map<Long, Site> oldest = new LinkedHashMap<>();
    for (Patch patch : patches) {
      for (Poke poke : patch.plan().pokes()) {
        if (region.contains(poke.address())) {
          oldest.putIfAbsent(poke.address(), poke.site());
        }
      }
    }
    return new CodeRegion(
        region.name(),
        region.address(),
        region.bytes(),
        region.entryPoints(),
        ImmutableList.copyOf(oldest.values()),
        region.backing());
  }

  /** Finds symbols and describes addresses, in the objects that are loaded now. Not thread-safe. */
  public synchronized SiteResolver resolver() {
    MemoryMap now = MemoryMap.read(pid);
    if (!now.equals(map)) {
      map = now;
      resolver = new SiteResolver(pid, now, reader);
    }
    return resolver;
  }

  /** The patches of this handle that stand, oldest first. */
  public synchronized ImmutableList<Patch> patches() {
    return ImmutableList.copyOf(patches);
  }

  /**
   * Verifies a plan and applies it.
   *
   * @throws PatchException of the type that names the cause; its {@link PatchException#outcome}
   *     says whether the target is untouched or was rolled back
   */
  public synchronized Patch apply(PatchPlan plan) {
    CompiledPlan ready = compile(plan);
    ApplyReport report = execute(engine -> run(engine, ready));
    Patch patch = new Patch(this, ++lastId, plan, report);
    patches.add(patch);
    return patch;
  }

  synchronized ApplyReport revert(Patch patch) {
    CompiledPlan ready = compile(patch.plan().inverse());
    ApplyReport report = execute(engine -> run(engine, ready));
    patches.remove(patch);
    return report;
  }

  /**
   * Applies and reverts a plan {@code count} times in one go. The old bytes stand at the end.
   *
   * @param interval from the start of one poke to that of the next; zero: at once
   * @param listener hears of each poke
   * @return how often it was applied and reverted
   * @throws PatchException as {@link #apply}
   */
  public synchronized long toggle(
      PatchPlan plan, long count, Duration interval, ToggleListener listener) {
    CompiledPlan forth = compile(plan);
    CompiledPlan back = compile(plan.inverse());
    return execute(engine -> toggle(engine, forth, back, count, interval.toNanos(), listener));
  }

  private static long toggle(
      StepwiseEngine engine,
      CompiledPlan forth,
      CompiledPlan back,
      long count,
      long interval,
      ToggleListener listener) {
    long next = System.nanoTime();
    for (long i = 0; i < count; i++) {
      boolean goOn;
      try {
        goOn = timed(engine, forth, listener);
      } catch (PatchException failure) {
        throw failure;
      } catch (RuntimeException | Error ofListener) {
        engine.apply(back);
        throw ofListener;
      }
      next = engine.pace(next + interval);
      goOn &= timed(engine, back, listener);
      if (!goOn || engine.isLeaving()) {
        return i + 1;
      }
      next = engine.pace(next + interval);
    }
    return count;
  }

  private static boolean timed(StepwiseEngine engine, CompiledPlan plan, ToggleListener listener) {
    long traps = engine.traps();
    engine.apply(plan);
    return listener.poked(engine.nanos(), engine.traps() - traps, engine.parked());
  }

  private static ApplyReport run(StepwiseEngine engine, CompiledPlan plan) {
    long traps = engine.traps();
    engine.apply(plan);
    return new ApplyReport(
        StepwiseEngine.NAME,
        engine.nanos(),
        engine.traps() - traps,
        engine.parked(),
        engine.threads());
  }

  private CompiledPlan compile(PatchPlan plan) {
    CompiledPlan ready = compiled.get(plan);
    if (ready == null) {
      Verifier.check(plan).orThrow();
      try {
        preflight.checkPlan(plan);
      } catch (PatchException failure) {
        throw preflight.orGone(failure);
      }
      ready = new CompiledPlan(plan, interference.steps(plan.steps()));
      compiled.put(plan, ready);
    }
    return ready;
  }

  private synchronized <T> T execute(Function<StepwiseEngine, T> work) {
    try {
      return carryOut(work);
    } catch (PatchException failure) {
      throw preflight.orGone(failure);
    }
  }

  private <T> T carryOut(Function<StepwiseEngine, T> work) {
    if (closed) {
      throw new WrongStateException("process " + pid + " was closed");
    }
    Session stay = session;
    CompletableFuture<T> answer = stay == null ? null : stay.submit(work);
    if (stay == null || answer == null) {
      if (stay != null) {
        stay.leave();
      }
      preflight.checkProcess();
      checkSameProgram();
      stay = Session.of(pid, options, TRAP_BYTE, interference);
      session = stay;
      answer = stay.begin(work);
    }
    boolean interrupted = false;
    try {
      for (; ; ) {
        try {
          return answer.get(LOOK_AFTER_MILLIS, TimeUnit.MILLISECONDS);
        } catch (TimeoutException notYet) {
          stay.unblock();
        } catch (InterruptedException later) {
          // A patch that is under way is never abandoned.
          interrupted = true;
        }
      }
    } catch (ExecutionException failed) {
      throw rethrown(failed.getCause());
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** The memory that was opened when we attached is gone where the process has called execve. */
  private void checkSameProgram() {
    try {
      reader.read(preflight.syscallInstruction(), 1);
    } catch (TargetGoneException | UnwritableMappingException otherMemory) {
      TargetExecedException failure = new TargetExecedException(pid);
      failure.addSuppressed(otherMemory);
      throw failure;
    }
  }

  private static RuntimeException rethrown(@Nullable Throwable cause) {
    if (cause instanceof PatchException failure) {
      throw failure;
    }
    if (cause instanceof Error error) {
      throw error;
    }
    throw new IllegalStateException("the tracer's thread failed", cause);
  }

  /** Leaves the target: no thread is traced any more. Patches stay. Idempotent. */
  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      if (session != null) {
        session.leave();
      }
      reader.close();
    }
  }
}
