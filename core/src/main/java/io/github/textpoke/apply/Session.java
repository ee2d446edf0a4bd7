package io.github.textpoke.apply;

import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.SeccompException;
import io.github.textpoke.PatchException.SystemCallException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.process.Preflight;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * One stay with the target: an OS thread that seizes its threads, has a helper, and carries out
 * commands. When none has come for a while it leaves: it sees to it that no thread has a trap of
 * ours to report, and ends; the kernel releases the threads without stopping them. Between two
 * stays the target is as free as if we were not there.
 *
 * <p>ptrace ties tracing and, under {@code force_override=ptrace}, writing to one OS thread; so all
 * of it happens on this one. Any failure of a command goes to who gave it, and the thread lives on.
 */
final class Session {
  private static final long POLL_NANOS = 200_000;

  private static final System.Logger LOGGER = System.getLogger("io.github.textpoke");

  /** How long a JVM that is told to end waits for the target to be free. */
  private static final long SHUTDOWN_MILLIS = 10_000;

  /** For {@link Thread#join(long)}: without bound. */
  private static final long FOR_EVER = 0;

  private static final long RELEASE_POLL_NANOS = 20_000;

  private final int ourPid = (int) ProcessHandle.current().pid();
  private final int pid;
  private final AttachOptions options;
  private final int trapByte;
  private final Interference interference;
  private final @Nullable LentHelper lent;
  private final LinkedBlockingQueue<Command<?>> commands = new LinkedBlockingQueue<>();
  private final Thread thread;

  /** A JVM that is told to end does so when the target is whole and free. */
  private final Thread hook;

  private volatile @Nullable Seizer current;
  private volatile int threadId;
  private boolean closed;

  /** A command for the tracer's thread, and its answer. */
  private record Command<T>(Function<StepwiseEngine, T> work, CompletableFuture<T> answer) {
    void run(StepwiseEngine engine) {
      try {
        answer.complete(work.apply(engine));
      } catch (Throwable failure) { // to who gave the command
        answer.completeExceptionally(failure);
      }
    }
  }

  private Session(
      int pid,
      AttachOptions options,
      int trapByte,
      Interference interference,
      @Nullable LentHelper lent) {
    this.lent = lent;
    this.pid = pid;
    this.options = options;
    this.trapByte = trapByte;
    this.interference = interference;
    this.thread = new Thread(this::run, "textpoke-tracer-" + pid);
    thread.setDaemon(true);
    this.hook = new Thread(() -> leave(SHUTDOWN_MILLIS), "textpoke-leave-" + pid);
  }

  /**
   * Begins a stay that has not been asked for anything yet: {@link #begin} starts it.
   *
   * @param lent the helper that it is to use; null: it clones one
   */
  static Session of(
      int pid,
      AttachOptions options,
      int trapByte,
      Interference interference,
      @Nullable LentHelper lent) {
    return new Session(pid, options, trapByte, interference, lent);
  }

  /** Starts the stay with its first command. */
  <T> CompletableFuture<T> begin(Function<StepwiseEngine, T> work) {
    Command<T> command = new Command<>(work, new CompletableFuture<>());
    commands.add(command);
    try {
      Runtime.getRuntime().addShutdownHook(hook);
    } catch (IllegalStateException shuttingDown) {
      throw new WrongStateException("this JVM is shutting down");
    }
    thread.start();
    return command.answer;
  }

  /**
   * Hands a command over, unless this stay is ending.
   *
   * @return null where it is ending: begin another
   */
  synchronized <T> @Nullable CompletableFuture<T> submit(Function<StepwiseEngine, T> work) {
    if (closed) {
      return null;
    }
    Command<T> command = new Command<>(work, new CompletableFuture<>());
    commands.add(command);
    return command.answer;
  }

  /** For who has waited long for an answer: see {@link Seizer#unblockSeizing}. */
  void unblock() {
    Seizer seizer = current;
    if (seizer != null) {
      seizer.unblockSeizing();
    }
  }

  /** Ends the stay now, and waits until the kernel has released the threads. */
  void leave() {
    leave(FOR_EVER);
  }

  private void leave(long millis) {
    synchronized (this) {
      closed = true;
    }
    boolean interrupted = false;
    boolean waited = false;
    while (!waited && thread.isAlive()) {
      try {
        thread.join(millis);
        waited = true;
      } catch (InterruptedException later) {
        interrupted = true;
      }
    }
    // The kernel releases the tracees when the OS thread ends, a little after its Java thread.
    while (threadId != 0 && !thread.isAlive() && Kernel.isThreadOf(ourPid, threadId)) {
      LockSupport.parkNanos(RELEASE_POLL_NANOS);
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private synchronized boolean closeIfIdle() {
    if (commands.isEmpty()) {
      closed = true;
    }
    return closed;
  }

  private synchronized boolean isClosing() {
    return closed;
  }

  private void run() {
    threadId = Kernel.gettid();
    try {
      stay();
      removeHook();
    } catch (Throwable failure) { // to all who still wait
      synchronized (this) {
        closed = true;
      }
      for (Command<?> command = commands.poll(); command != null; command = commands.poll()) {
        command.answer.completeExceptionally(failure);
      }
      removeHook();
    }
  }

  private void removeHook() {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException shuttingDown) {
      // The hook runs, and waits for this very thread.
      LOGGER.log(System.Logger.Level.DEBUG, "left process {0} as this JVM ends", pid);
    }
  }

  private void stay() throws InterruptedException {
    try (ProcMem memory = TargetMemory.open(pid)) {
      Tracer tracer = new Tracer(pid, memory, new TrapDesk(), trapByte);
      Seizer seizer = new Seizer(tracer);
      current = seizer;
      Helper helper = helper(tracer, seizer);
      StepwiseEngine engine =
          new StepwiseEngine(
              tracer, seizer, helper, options.patience(), interference, this::isClosing);
      try {
        prepare(tracer, helper);
        serve(tracer, engine);
      } finally {
        if (!tracer.isOver()) {
          engine.abandon();
          new Drain(tracer).drain();
        }
        if (!tracer.isOver()) {
          tracer.sigtrap().restoreAfterDrain(helper);
          tracer.releaseParked();
          tracer.sigtrap().release(helper);
          helper.exit();
        }
      }
    }
  }

  /** Seizes the threads, and has a helper. */
  private Helper helper(Tracer tracer, Seizer seizer) {
    boolean isLent = lent != null && tracer.ptrace.seize(lent.tid()) == 0;
    if (lent != null && isLent) {
      tracer.setHelper(lent.tid());
    }
    seizer.seizeAll();
    if (lent == null || !isLent) {
      // None was lent, or it has left meanwhile, since nobody asked it for anything.
      return new Borrower(tracer, NeededCall.STEPWISE)
          .start(this::syscallInstruction, options.patience());
    }
    if (tracer.memory().read(lent.call(), 2) == null) {
      throw new TargetExecedException(pid);
    }
    return Helper.lent(tracer, lent);
  }

  /**
   * Found when the threads are seized: from then on an execve is reported. One that came before has
   * given the process other memory than that which was opened.
   */
  private long syscallInstruction(ProcMem memory) {
    long address = Preflight.of(pid).syscallInstruction();
    if (memory.read(address, 2) == null) {
      throw new TargetExecedException(pid);
    }
    return address;
  }

  private void prepare(Tracer tracer, Helper helper) {
    long result = helper.register();
    if (result == -Errno.EPERM || result == -Errno.EACCES) {
      throw new SeccompException(
          "process " + pid + " may not call membarrier: errno " + -result,
          "allow membarrier in its seccomp filter");
    }
    if (result == -Errno.EINVAL || result == -Errno.ENOSYS) {
      throw new UnsupportedTargetException(
          "this kernel has no membarrier(SYNC_CORE): errno " + -result,
          "Linux 4.16 or later has it");
    }
    if (result < 0) {
      throw new SystemCallException(
          "membarrier(SYNC_CORE) in process " + pid, (int) -result, Outcome.UNTOUCHED);
    }
    if (options.realtime() && lent == null) {
      NativeBytes scratch = new NativeBytes(8);
      NativeBytes affinity = new NativeBytes(Kernel.AFFINITY_SIZE);
      if (Kernel.setFifo(helper.tid(), scratch) == 0 && Kernel.setFifo(0, scratch) == 0) {
        // They take turns: on one processor, none has to be woken on another each time.
        int processor = Kernel.currentProcessor(scratch);
        Kernel.setAffinity(helper.tid(), processor, affinity);
        Kernel.setAffinity(0, processor, affinity);
      }
    }
    tracer.sigtrap().note(helper);
  }

  private void serve(Tracer tracer, StepwiseEngine engine) throws InterruptedException {
    long lastCommand = System.nanoTime();
    while (!tracer.isOver()) {
      Command<?> command = commands.poll();
      if (command == null) {
        if (isClosing()) {
          return;
        }
        command = commands.poll(POLL_NANOS, TimeUnit.NANOSECONDS);
      }
      tracer.handlePending();
      if (!tracer.isOver()) {
        engine.settle();
      }
      if (command != null) {
        command.run(engine);
        lastCommand = System.nanoTime();
      } else if (!tracer.holdsTraps()
          && System.nanoTime() - lastCommand > options.linger().toNanos()
          && closeIfIdle()) {
        return;
      }
    }
    synchronized (this) {
      closed = true;
    }
    for (Command<?> command = commands.poll(); command != null; command = commands.poll()) {
      command.run(engine);
    }
  }
}
