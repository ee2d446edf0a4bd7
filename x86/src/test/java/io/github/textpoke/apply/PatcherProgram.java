package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import com.google.common.util.concurrent.Uninterruptibles;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.PlanJson;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.ProcMemReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;

/**
 * A JVM that patches a process and is made to be killed; {@link PatcherProcess} starts it. Its
 * arguments are a {@link Work}, a {@link PatcherLoad}, an {@link EngineChoice}, the target's
 * process id and the plans as JSON.
 *
 * <p>It reads single bytes from stdin: {@link #GO} lets it attach, {@link #END} ends it in good
 * order, and the end of stdin, so the end of whoever started it, ends it at once. What it prints
 * are the lines below.
 */
final class PatcherProgram {
  /** It may be told to go. */
  static final String READY = "ready";

  /** Every site has been patched, and the patches taken back, once more. */
  static final String WORKING = "working";

  /** It stands where it was told to stand, and will not go on. */
  static final String HELD = "held";

  /** The patching thread, or the tracer's, has met an OutOfMemoryError. */
  static final String OUT_OF_MEMORY = "out of memory";

  /** It has left the target because it was told to. */
  static final String ENDED = "ended";

  /** It gives up; the reason follows, as a stack trace. */
  static final String FAILED = "failed";

  static final int GO = 'g';
  static final int END = 'e';

  private static final int TOGGLES_PER_TURN = 50;

  /** On a busy machine, too, one poker does all of it. */
  private static final Duration LINGER_BETWEEN_TURNS = Duration.ofMillis(200);

  /** What a poker waits for a JVM that holds it, at each step, and then until it leaves. */
  private static final Duration LEASE = Duration.ofMillis(200);

  /** Behind the last step threads are still traced for so long: time enough to be killed in. */
  private static final Duration LINGER = Duration.ofMillis(500);

  /** Written without a new object, so that it works where the heap is full. */
  private static final byte[] OUT_OF_MEMORY_LINE = line(OUT_OF_MEMORY);

  private static final byte[] WORKING_LINE = line(WORKING);
  private static final byte[] FAILED_LINE = line(FAILED);

  private static final FileOutputStream OUT = new FileOutputStream(FileDescriptor.out);

  /** What it does with the target. */
  enum Work {
    /** Toggles all sites in turn, as fast as it can, until it is told to end. */
    TOGGLE,
    /** Attaches, patches a site, takes the patch back and leaves, again and again. */
    ATTACH,
    /** Stops for ever at a step of the first plan: {@code APPLY:STEP}. */
    APPLY,
    /** Stops for ever at a step of the way back: {@code REVERT:STEP}. */
    REVERT
  }

  /** What a killed one leaves is gone the sooner. */
  private static final Duration SHORT_LEASE = Duration.ofMillis(150);

  private final int pid;
  private final AttachOptions options;
  private final ImmutableList<PatchPlan> plans;
  private final CountDownLatch go = new CountDownLatch(1);
  private volatile boolean ending;
  private volatile long[] lastPoke = {};

  private PatcherProgram(int pid, AttachOptions options, ImmutableList<PatchPlan> plans) {
    this.pid = pid;
    this.options = options;
    this.plans = plans;
  }

  public static void main(String[] arguments) {
    String[] work = arguments[0].split(":");
    PatcherLoad load = PatcherLoad.valueOf(arguments[1]);
    PatcherProgram program =
        new PatcherProgram(
            Integer.parseInt(arguments[3]),
            AttachOptions.DEFAULT
                .withEngine(EngineChoice.valueOf(arguments[2]))
                .withLease(SHORT_LEASE),
            Arrays.stream(arguments)
                .skip(4)
                .map(PlanJson::read)
                .collect(ImmutableList.toImmutableList()));
    TargetProcess.ensureAvailability();
    daemon(program::obey, "commands");
    print(line(READY));
    Uninterruptibles.awaitUninterruptibly(program.go);
    try {
      switch (Work.valueOf(work[0])) {
        case TOGGLE -> program.toggle(load);
        case ATTACH -> program.attachAgainAndAgain();
        case APPLY -> program.holdAt(Integer.parseInt(work[1]), false);
        case REVERT -> program.holdAt(Integer.parseInt(work[1]), true);
      }
      print(line(ENDED));
    } catch (Throwable failure) { // to the test, which decides
      print(FAILED_LINE);
      giveUp(failure);
    }
  }

  /** Starts a thread that does not keep the JVM alive. */
  static void daemon(Runnable body, String name) {
    Thread thread = new Thread(body, name);
    thread.setDaemon(true);
    thread.start();
  }

  private void obey() {
    try {
      for (int command = System.in.read(); command >= 0; command = System.in.read()) {
        if (command == GO) {
          go.countDown();
        } else if (command == END) {
          ending = true;
        }
      }
    } catch (IOException unreadable) {
      print(FAILED_LINE);
      giveUp(unreadable);
    }
    Runtime.getRuntime().halt(1);
  }

  private static void giveUp(Throwable failure) {
    try {
      failure.printStackTrace();
    } finally { // also where there is no memory left to say it
      Runtime.getRuntime().halt(1);
    }
  }

  private void toggle(PatcherLoad load) {
    boolean loaded = false;
    while (!ending) {
      try (TargetProcess process =
          TargetProcess.attach(pid, options.withLinger(LINGER_BETWEEN_TURNS))) {
        ImmutableList<PatchPlan> fitting = fitting();
        while (!ending) {
          for (PatchPlan plan : fitting) {
            process.toggle(plan, TOGGLES_PER_TURN, Duration.ZERO, this::hear);
          }
          print(WORKING_LINE);
          if (!loaded) {
            loaded = true;
            load.start();
          }
        }
      } catch (Throwable failure) {
        if (load != PatcherLoad.FULL_HEAP || !isOutOfMemory(failure)) {
          throw failure;
        }
        print(OUT_OF_MEMORY_LINE);
      }
    }
  }

  /** Takes some memory, which may not be there, between two changes. */
  private boolean hear(long nanos, long windowNanos, long traps, int parked) {
    lastPoke = new long[] {nanos, windowNanos, traps, parked};
    return !ending;
  }

  private static boolean isOutOfMemory(Throwable failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof OutOfMemoryError) {
        return true;
      }
    }
    return false;
  }

  private void attachAgainAndAgain() {
    while (!ending) {
      for (PatchPlan plan : fitting()) {
        try (TargetProcess process = TargetProcess.attach(pid, options)) {
          process.apply(plan).revert();
        }
      }
      print(WORKING_LINE);
    }
  }

  private void holdAt(int step, boolean whileReverting) {
    PatchPlan plan = plans.get(0);
    int steps = (whileReverting ? plan.inverse() : plan).steps().size();
    if (step > steps) {
      throw new IllegalStateException("there is no step " + step);
    }
    Hold hold = new Hold(step);
    try (TargetProcess process =
        TargetProcess.attach(pid, options.withLinger(LINGER).withLease(LEASE), hold)) {
      // A poker has not waited for this JVM where that was not there in time: then once more.
      while (true) {
        hold.armed = !whileReverting;
        Patch patch = process.apply(plan);
        if (step == steps && !whileReverting) {
          hold();
        }
        hold.armed = whileReverting;
        patch.revert();
        if (step == steps && whileReverting) {
          hold();
        }
      }
    }
  }

  private static void hold() {
    print(line(HELD));
    Uninterruptibles.awaitUninterruptibly(new CountDownLatch(1));
  }

  private static final class Hold implements Interference {
    private final int step;
    private volatile boolean armed;

    Hold(int step) {
      this.step = step;
    }

    @Override
    public boolean pauses() {
      return true;
    }

    @Override
    public void before(int next) {
      if (armed && next == step) {
        hold();
      }
    }
  }

  /** The plans, or the ways back where a patcher that was killed has left the new bytes. */
  private ImmutableList<PatchPlan> fitting() {
    ImmutableList.Builder<PatchPlan> fitting = ImmutableList.builder();
    try (ProcMemReader memory = new ProcMemReader(pid)) {
      for (PatchPlan plan : plans) {
        Poke poke = plan.pokes().get(0);
        boolean isNew = memory.read(poke.address(), poke.length()).equals(poke.replacement());
        fitting.add(isNew ? plan.inverse() : plan);
      }
    }
    return fitting.build();
  }

  private static byte[] line(String text) {
    return (text + "\n").getBytes(StandardCharsets.UTF_8);
  }

  private static void print(byte[] line) {
    try {
      OUT.write(line);
    } catch (IOException nobodyListens) {
      throw new UncheckedIOException(nobodyListens);
    }
  }
}
