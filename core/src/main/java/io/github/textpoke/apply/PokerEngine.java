package io.github.textpoke.apply;

import com.google.common.base.Suppliers;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.CodeChangedException;
import io.github.textpoke.PatchException.EngineFailedException;
import io.github.textpoke.PatchException.EvacuationTimeoutException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.SignalStateException;
import io.github.textpoke.PatchException.SystemCallException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.apply.PokerSession.Answer;
import io.github.textpoke.apply.Recording.Marks;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.plan.Step;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.Preflight;
import io.github.textpoke.process.ProcStatus;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Has the poker carry plans out, inside the target. Once it has one it needs this JVM no more: a
 * pause of ours lengthens nothing, and our death leaves the plan done, or undone, and the target
 * free.
 */
final class PokerEngine implements Engine {
  static final String NAME = "poker";

  /** Why the poker does not carry a plan out that it could carry out if it were another. */
  static final String TOO_LONG = "a site is longer than the poker's tables allow";

  private static final long BREATH_NANOS = 50_000;

  /** How often a session that has ended before it took a request on is begun anew. */
  private static final int SESSIONS = 5;

  /** How often what the kernel does not permit is asked for again. */
  private static final int REFUSALS = 3;

  /** How often threads that were free since they were held are held again. */
  private static final int HOLDS = 100;

  private final int pid;
  private final AttachOptions options;
  private final Interference interference;
  private final Starter starter;
  private final StandingPatches standing;
  private final BooleanSupplier leaving;

  /** Where plans lie in the session's memory. */
  private final Map<CompiledPlan, Laid> laid = new IdentityHashMap<>();

  private @Nullable PokerSession session;

  /** How long the next session's helper waits for its first request. */
  private Duration lease;

  /** The hold that was asked for last, and whose sharers are seized. */
  private long held;

  /** Another object for every hold: as long as it is the same, nobody else could patch. */
  private Object hold = new Object();

  private String remark = "";

  private final NativeBytes scratch = new NativeBytes(Long.BYTES);
  private final SavedContexts contexts = new SavedContexts();

  /** Why the target's memory could not be looked at the last time; null: it could. */
  private @Nullable RuntimeException lookFailure;

  /** Traps of sessions that have ended. */
  private long earlierTraps;

  private long nanos;
  private long windowNanos;
  private int parked;
  private int threads;

  /** Brings helper and poker into the target. */
  @FunctionalInterface
  interface Starter {
    /**
     * Begins a session.
     *
     * @param ledgerSize bytes of room that the ledger must have; 0: what is there will do
     * @param lease how long the helper waits for the first request
     */
    PokerSession start(int ledgerSize, Duration lease);
  }

  /** A plan in the session's memory. */
  private record Laid(long address, String remark) {}

  /**
   * @param leaving whether to end a series of pokes
   */
  PokerEngine(
      int pid,
      AttachOptions options,
      Interference interference,
      Starter starter,
      StandingPatches standing,
      BooleanSupplier leaving) {
    this.pid = pid;
    this.options = options;
    this.interference = interference;
    this.starter = starter;
    this.standing = standing;
    this.lease = options.lease();
    this.leaving = leaving;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public long nanos() {
    return nanos;
  }

  @Override
  public long windowNanos() {
    return windowNanos;
  }

  @Override
  public long traps() {
    PokerSession now = session;
    return earlierTraps + (now == null ? 0 : now.memory.getLong(SessionLayout.TRAPS));
  }

  @Override
  public int parked() {
    return parked;
  }

  @Override
  public int threads() {
    return threads;
  }

  @Override
  public String remark() {
    return remark;
  }

  @Override
  public long pace(long time) {
    // Threads that have waited run before they may have to wait again. Too short to sleep.
    long breath = System.nanoTime() + BREATH_NANOS;
    while (breath - System.nanoTime() > 0) {
      Thread.onSpinWait();
    }
    while (time - System.nanoTime() > 0 && !leaving.getAsBoolean()) {
      LockSupport.parkNanos(time - System.nanoTime());
    }
    return Math.max(time, System.nanoTime());
  }

  @Override
  public boolean isLeaving() {
    return leaving.getAsBoolean();
  }

  /** Seizes the threads once, so that what is not allowed fails now. */
  void tryOut() {
    hold();
  }

  /** Lets the threads go and leaves the target. */
  void leave() {
    PokerSession now = session;
    if (now != null) {
      now.leave();
    }
    forgetSession();
  }

  /**
   * Lets the threads go, and lends the helper until it is given back: nobody else is to ask for
   * anything before that.
   *
   * @throws PokerUnavailableException if there can be none
   */
  LentHelper lend() {
    for (int i = 0; i < SESSIONS; i++) {
      if (session == null) {
        session = start(0);
      }
      held = 0;
      if (request(SessionLayout.COMMAND_RELEASE)
          && session.result() != SessionLayout.RESULT_CANCELLED) {
        return new LentHelper(session.helper(), session.memory.getLong(SessionLayout.LENT_CALL));
      }
    }
    throw new PokerUnavailableException("it did not stay in the target");
  }

  /**
   * A poker that stays has to do for as long as threads come to its breakpoints, on a processor
   * that others want too: in real time while a plan is under way, and else not.
   */
  private void setRealTime(PokerSession now, boolean isUnderWay) {
    if (!options.realtime() || !now.hasStanding()) {
      return;
    }
    for (int each : new int[] {now.helper(), now.poker()}) {
      if (each != 0 && isUnderWay) {
        Kernel.setFifo(each, scratch);
      } else if (each != 0) {
        Kernel.setNormal(each, scratch);
      }
    }
  }

  private PokerSession start(int ledgerSize) {
    PokerSession begun = starter.start(ledgerSize, lease);
    standing.adopt(begun);
    return begun;
  }

  /** Whether there are breakpoints that stay, and sleep while this engine does not hold. */
  boolean hasStanding() {
    PokerSession now = session;
    return now != null && now.hasStanding();
  }

  private void forgetSession() {
    PokerSession now = session;
    if (now != null) {
      earlierTraps += now.memory.getLong(SessionLayout.TRAPS);
    }
    session = null;
    held = 0;
    laid.clear();
  }

  /**
   * Begins a session, if there is none, and lays plans out in its memory, so that applying them
   * takes no longer than it must. They are laid out again where the session has ended by then.
   *
   * @param ledgerSize bytes of a new segment that the ledger must have; 0: what is there will do
   */
  void prepare(List<CompiledPlan> plans, int ledgerSize) {
    if (ledgerSize > 0) {
      leave();
    }
    PokerSession now = session;
    if (now == null) {
      now = start(ledgerSize);
      session = now;
      if (now.hasStanding()) {
        // They have slept since the session before had to leave.
        hold();
        now = session;
      }
    }
    if (now == null) {
      return;
    }
    for (CompiledPlan plan : plans) {
      if (PlanLayout.fits(plan) && layOut(now, plan) == null) {
        return;
      }
    }
  }

  @Override
  public void apply(CompiledPlan plan, Recording recording) {
    if (!PlanLayout.fits(plan)) {
      throw new UnsupportedPlanException(TOO_LONG, "allow the stepwise engine");
    }
    for (int i = 0; i < HOLDS; i++) {
      if (session == null || held == 0) {
        hold();
      }
      PokerSession now = session;
      if (now == null) {
        continue;
      }
      Laid where = layOut(now, plan);
      if (where == null) {
        // Late traps may still need the plans that fill the memory: it goes with its session.
        leave();
        continue;
      }
      if (!record(now, where, recording)) {
        continue;
      }
      now.memory.setLong(SessionLayout.PLAN, where.address);
      if (plan.displaces()) {
        now.onLook(() -> lookForContexts(now, plan));
      }
      now.memory.setLong(SessionLayout.WANTED_HOLD, held);
      setRealTime(now, true);
      boolean isAnswered = request(SessionLayout.COMMAND_APPLY);
      setRealTime(now, false);
      if (isAnswered && !isStale(now) && !isRefused(now)) {
        remark = where.remark;
        conclude(now, plan);
        return;
      }
      held = 0;
    }
    throw new EngineFailedException(
        new IllegalStateException("the poker does not hold the threads"), Outcome.UNTOUCHED);
  }

  @Override
  public boolean map(String name, long address, long size, int protection) {
    PokerSession done =
        ask(
            SessionLayout.COMMAND_MAP,
            now -> {
              now.memory.setLong(SessionLayout.MAP_ADDRESS, address);
              now.memory.setLong(SessionLayout.MAP_SIZE, size);
              now.memory.setLong(SessionLayout.MAP_PROTECTION, protection);
              byte[] text = (name + "\0").getBytes(StandardCharsets.US_ASCII);
              now.memory.put(SessionLayout.MAP_NAME, CodeBytes.of(text));
            });
    if (done.result() == -Errno.EEXIST) {
      return false;
    }
    if (done.result() < 0) {
      throw new PokerUnavailableException(
          "mapping memory in the target failed with errno " + -done.result());
    }
    check(done, null);
    return true;
  }

  @Override
  public void fill(long address, CodeBytes bytes) {
    for (int from = 0; from < bytes.length(); from += SessionLayout.IMAGE_SIZE) {
      int at = from;
      int end = Math.min(bytes.length(), from + SessionLayout.IMAGE_SIZE);
      PokerSession done =
          ask(
              SessionLayout.COMMAND_FILL,
              now -> {
                now.memory.setLong(SessionLayout.MAP_ADDRESS, address + at);
                now.memory.setLong(SessionLayout.MAP_SIZE, end - at);
                now.memory.put(SessionLayout.IMAGE, bytes, at, end);
              });
      check(done, null);
    }
  }

  /** Asks the poker, begun anew where it has left meanwhile, for what needs no hold. */
  private PokerSession ask(int command, Consumer<PokerSession> arguments) {
    for (int i = 0; i < HOLDS; i++) {
      if (session == null || held == 0) {
        hold();
      }
      PokerSession now = session;
      if (now != null) {
        arguments.accept(now);
        boolean isAnswered = request(command) && now.result() != SessionLayout.RESULT_CANCELLED;
        // That a thread can't be traced passes, where another patcher lets go of it just now; that
        // the program may not map does not.
        if (isAnswered && (!isRefused(now) || i >= REFUSALS)) {
          return now;
        }
      }
      held = 0;
    }
    throw new EngineFailedException(
        new IllegalStateException("the poker does not answer"), Outcome.UNTOUCHED);
  }

  @Override
  public void beginRecovery() {
    if (session == null) {
      session = start(0);
    }
    setFlag(SessionLayout.FLAG_HOLDS_TRAPS, true);
    hold();
  }

  @Override
  public void endRecovery() {
    setFlag(SessionLayout.FLAG_HOLDS_TRAPS, false);
    hold();
  }

  /** The program may have set or removed a handler for SIGTRAP since. */
  private void refreshFlags(PokerSession now) {
    ProcStatus status = ProcStatus.read(pid);
    if (status != null) {
      long holdsTraps = now.memory.getLong(SessionLayout.FLAGS) & SessionLayout.FLAG_HOLDS_TRAPS;
      now.memory.setLong(SessionLayout.FLAGS, PokerStart.flags(status) | holdsTraps);
    }
  }

  private void setFlag(int flag, boolean on) {
    PokerSession now = session;
    if (now != null) {
      long flags = now.memory.getLong(SessionLayout.FLAGS);
      now.memory.setLong(SessionLayout.FLAGS, on ? flags | flag : flags & ~flag);
    }
  }

  /** False where the session had to go, since only a new one can make room in the ledger. */
  private boolean record(PokerSession now, Laid where, Recording recording) {
    Marks marks;
    try {
      marks =
          recording.marks(
              hold,
              size -> {
                throw new LedgerRoomException(size);
              });
    } catch (LedgerRoomException full) {
      leave();
      session = start(full.size());
      return false;
    }
    int header = (int) (where.address - now.base);
    now.memory.setLong(header + SessionLayout.PLAN_PROGRESS, marks.address());
    now.memory.setLong(header + SessionLayout.PLAN_BEGUN, marks.begun());
    now.memory.setLong(header + SessionLayout.PLAN_DONE, marks.done());
    now.memory.setLong(header + SessionLayout.PLAN_UNDONE, marks.undone());
    return true;
  }

  private static boolean isStale(PokerSession now) {
    return now.result() == SessionLayout.RESULT_STALE
        || now.result() == SessionLayout.RESULT_CANCELLED;
  }

  /**
   * Whether it may not trace a thread that nobody traces: the kernel forbids it, or another patcher
   * has let go of it just now. Nothing was written.
   */
  private static boolean isRefused(PokerSession now) {
    return now.result() == -Errno.EPERM || now.result() == -Errno.EACCES;
  }

  /** Where the plan lies in the session's memory; null: that is full. */
  private @Nullable Laid layOut(PokerSession now, CompiledPlan plan) {
    Laid where = laid.get(plan);
    if (where == null) {
      long size = PlanLayout.size(plan, interference.pauses());
      if (SessionLayout.PLANS + size > now.memory.size()) {
        throw new PokerUnavailableException(
            "the plan takes " + size + " bytes of the session's memory");
      }
      if (now.next + size > now.memory.size()) {
        return null;
      }
      PlanLayout layout =
          new PlanLayout(
              now.memory, now.base, now.next, Suppliers.memoize(() -> MemoryMap.read(pid)));
      int header = layout.put(plan, interference.pauses(), options.patience());
      now.next = layout.next();
      where = new Laid(now.base + header, layout.remark());
      laid.put(plan, where);
    }
    return where;
  }

  /** Begins a session if there is none, and has all threads seized. */
  private void hold() {
    for (int i = 0; i < SESSIONS; i++) {
      if (session == null) {
        session = start(0);
      }
      refreshFlags(session);
      if (request(SessionLayout.COMMAND_HOLD)) {
        PokerSession now = session;
        boolean again = isRefused(now) && i < SESSIONS - 1;
        if (now.result() != SessionLayout.RESULT_CANCELLED && !again) {
          check(now, null);
          seizeSharers(now);
          if (now.hasStanding() && !request(SessionLayout.COMMAND_WAKE)) {
            continue;
          }
          setRealTime(now, false);
          held = now.memory.getLong(SessionLayout.HOLD);
          hold = new Object();
          threads = (int) now.memory.getLong(SessionLayout.THREADS);
          return;
        }
      }
    }
    throw new PokerUnavailableException("it did not stay in the target");
  }

  /** Whether the request was answered; else there is no session any more. */
  private boolean request(int command) {
    PokerSession now = session;
    if (now == null) {
      return false;
    }
    Answer answer = now.request(command, options.patience());
    if (answer == Answer.ANSWERED) {
      // We are heard of, so from now on silence means what it shall.
      lease = options.lease();
      now.memory.setLong(SessionLayout.LEASE, lease.toNanos());
      return true;
    }
    // It may be about to leave, and traces the threads that whoever comes next wants.
    boolean hasLeft = answer != Answer.CANCELLED || now.leave(options.patience());
    forgetSession();
    checkAlive();
    if (answer == Answer.CANCELLED && (!hasLeft || now.isStopped())) {
      throw new PokerUnavailableException(
          "the helper does not answer; the process may be stopped or frozen");
    }
    // This JVM, paused or short of CPU, was too slow for the helper, or the helper for us: it gets
    // more time.
    lease = PokerStart.longer(lease);
    return false;
  }

  private void checkAlive() {
    ProcStatus status = ProcStatus.read(pid);
    if (status == null || status.isDead()) {
      throw new TargetGoneException(pid, "while it was patched");
    }
  }

  /**
   * Processes that share the memory without being threads of the target run the same code. The
   * poker can't tell them from others; we can.
   */
  private void seizeSharers(PokerSession now) {
    List<Integer> sharers = new ArrayList<>();
    int ourselves = (int) ProcessHandle.current().pid();
    int depth = ProcStatus.idsInNamespaces(pid).length;
    int poker = now.memory.getInt(SessionLayout.POKER);
    for (int other : ProcStatus.processes()) {
      if (other != pid && other != ourselves && Kernel.compareMemory(pid, other) == 0) {
        int[] ids = ProcStatus.idsInNamespaces(other);
        if (ids.length < depth) {
          throw new PokerUnavailableException(
              "process " + other + " shares the memory and is in another pid namespace");
        }
        if (ids[depth - 1] != poker) {
          sharers.add(ids[depth - 1]);
        }
      }
    }
    if (sharers.isEmpty()) {
      return;
    }
    if (sharers.size() > SessionLayout.LIST_CAPACITY) {
      throw new PokerUnavailableException(sharers.size() + " processes share the memory");
    }
    for (int i = 0; i < sharers.size(); i++) {
      now.memory.setInt(SessionLayout.LIST + i * Integer.BYTES, sharers.get(i));
    }
    now.memory.setLong(SessionLayout.LIST_COUNT, sharers.size());
    if (request(SessionLayout.COMMAND_SEIZE)) {
      check(now, null);
    }
  }

  private void conclude(PokerSession now, CompiledPlan plan) {
    nanos = now.memory.getLong(SessionLayout.NANOS);
    windowNanos = now.memory.getLong(SessionLayout.WINDOW_NANOS);
    parked = (int) now.memory.getLong(SessionLayout.PARKED);
    threads = (int) now.memory.getLong(SessionLayout.THREADS);
    check(now, plan);
  }

  private static Outcome outcome(PokerSession now) {
    return switch ((int) now.memory.getLong(SessionLayout.RESULT_OUTCOME)) {
      case SessionLayout.OUTCOME_UNTOUCHED -> Outcome.UNTOUCHED;
      case SessionLayout.OUTCOME_ROLLED_BACK -> Outcome.ROLLED_BACK;
      default -> Outcome.UNKNOWN;
    };
  }

  /** Throws what the answer stands for. */
  private void check(PokerSession now, @Nullable CompiledPlan plan) {
    long result = now.result();
    if (result == 0) {
      return;
    }
    int where = (int) now.memory.getLong(SessionLayout.RESULT_STEP);
    long address = now.memory.getLong(SessionLayout.RESULT_ADDRESS);
    throw switch ((int) result) {
      case SessionLayout.RESULT_CHANGED -> changed(now, plan, where, address);
      case SessionLayout.RESULT_UNMAPPED ->
          new UnwritableMappingException(
              address, "no memory is mapped there, or it can't be written", outcome(now));
      case SessionLayout.RESULT_GONE -> new TargetGoneException(pid, "its last thread has ended");
      case SessionLayout.RESULT_EXECED -> new TargetExecedException(pid);
      case SessionLayout.RESULT_SIGTRAP_PENDING ->
          new SignalStateException(
              "thread "
                  + where
                  + " of process "
                  + pid
                  + " has a SIGTRAP pending: it could not be told from ours",
              "try again when the program has taken it");
      case SessionLayout.RESULT_TRACED -> Preflight.alreadyTraced(pid, tracer((int) address));
      case SessionLayout.RESULT_OTHER_PROC ->
          new PokerUnavailableException("/proc in the target is missing, or not of its processes");
      case SessionLayout.RESULT_DYING ->
          new EngineFailedException(
              new IllegalStateException("the poker ends again and again"), outcome(now));
      case SessionLayout.RESULT_TOO_MANY ->
          new PokerUnavailableException("it has more threads than the poker's table holds");
      case SessionLayout.RESULT_EVACUATION -> evacuationTimeout(now, plan, where, address);
      case SessionLayout.RESULT_KILLED ->
          new EngineFailedException(
              new IllegalStateException(
                  "the poker was killed in the middle of the patch; another one has undone it"),
              outcome(now));
      default ->
          outcome(now) == Outcome.UNTOUCHED
              ? failed((int) -result, where)
              : new SystemCallException("tracing process " + pid, (int) -result, outcome(now));
    };
  }

  /** Nothing was written: the stepwise engine may be able to. */
  private static PokerUnavailableException failed(int errno, int where) {
    if (errno == Errno.EPERM || errno == Errno.EACCES) {
      return new PokerUnavailableException(
          "the target may not trace its own thread "
              + where
              + " (errno "
              + errno
              + "): it is not dumpable, or Yama forbids it");
    }
    return new PokerUnavailableException(
        "it can't trace the target or open its memory from inside: errno " + errno);
  }

  /** The thread of ours with an id of the target's namespace; ids are the same where it is ours. */
  private int tracer(int inNamespace) {
    ProcStatus status = ProcStatus.read(pid);
    return status == null || status.tracer() == 0 ? inNamespace : status.tracer();
  }

  /** No thread is inside any more; a fiber may be that no thread runs. */
  private void lookForContexts(PokerSession now, CompiledPlan plan) {
    int answer = SessionLayout.A_CONTEXT;
    lookFailure = null;
    try (ProcMem memory = TargetMemory.open(pid)) {
      long[] stacks = new long[(int) now.memory.getLong(SessionLayout.STACKS_COUNT)];
      for (int i = 0; i < stacks.length; i++) {
        stacks[i] = now.memory.getLong(SessionLayout.STACKS + i * Long.BYTES);
      }
      long deadline = System.nanoTime() + options.patience().toNanos();
      if (contexts.isFree(memory, pid, plan.evacuated, stacks, deadline, () -> beat(now))) {
        answer = SessionLayout.NO_CONTEXT;
      } else {
        now.memory.setLong(SessionLayout.CONTEXT_AT, contexts.at());
        now.memory.setLong(SessionLayout.CONTEXT_BOUNDARY, contexts.boundary());
      }
    } catch (RuntimeException failure) {
      // The plan is under way: it is taken back, and this is said with it.
      lookFailure = failure;
    } finally {
      now.memory.setInt(SessionLayout.CONTEXTS, answer);
      now.memory.wake(SessionLayout.CONTEXTS);
    }
  }

  /** Tells the poker that we are at work. */
  private static void beat(PokerSession now) {
    now.memory.setLong(SessionLayout.CONTEXT_AT, now.memory.getLong(SessionLayout.CONTEXT_AT) + 1);
  }

  private EvacuationTimeoutException evacuationTimeout(
      PokerSession now, @Nullable CompiledPlan plan, int thread, long boundary) {
    CompiledPlan evacuated = Objects.requireNonNull(plan, "only a plan evacuates");
    if (thread == 0) {
      EvacuationTimeoutException found =
          new EvacuationTimeoutException(
              evacuated.displacedSite(),
              boundary,
              now.memory.getLong(SessionLayout.RESULT_FOUND),
              options.patience(),
              outcome(now));
      RuntimeException why = lookFailure;
      if (boundary == 0 && why != null) {
        found.addSuppressed(why);
      }
      return found;
    }
    return Straggler.of(
            ours(thread),
            evacuated.evacuated,
            boundary,
            now.memory.getLong(SessionLayout.RESULT_FOUND))
        .failure(
            evacuated.displacedSite(),
            (int) now.memory.getLong(SessionLayout.RESULT_FOUND + Long.BYTES),
            options.patience(),
            outcome(now));
  }

  /** A thread of the target, as we number it; as the target does where it has ended. */
  private int ours(int inNamespace) {
    int depth = ProcStatus.idsInNamespaces(pid).length;
    for (int tid : ProcStatus.threads(pid)) {
      int[] ids = ProcStatus.idsInNamespaces(tid);
      if (ids.length >= depth && ids[depth - 1] == inNamespace) {
        return tid;
      }
    }
    return inNamespace;
  }

  private static PatchException changed(
      PokerSession now, @Nullable CompiledPlan plan, int step, long address) {
    CodeBytes found = now.memory.get(SessionLayout.RESULT_FOUND, SessionLayout.SITE_MOST);
    CodeBytes expected = found;
    if (plan != null && step >= 0 && plan.steps.get(step) instanceof Step.Write write) {
      expected = write.expected();
    } else if (plan != null) {
      expected =
          plan.plan.pokes().stream()
              .filter(poke -> poke.address() == address)
              .map(poke -> poke.site().bytes())
              .findFirst()
              .orElse(found);
    }
    return new CodeChangedException(
        address, expected, found.slice(0, expected.length()), outcome(now));
  }
}
