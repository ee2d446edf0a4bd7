package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.SeccompException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.apply.internal.PokerProgram;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.linux.SharedMemory;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.Preflight;
import io.github.textpoke.process.ProcStatus;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Brings helper and poker into a target: borrows one thread for the clone of the helper, has the
 * helper map the code and the session's memory, and lets it go. It is the only part of the poker
 * engine that needs ptrace from here, so it runs on a thread of its own that ends with it, and no
 * thread of the target is traced from here afterwards.
 */
final class PokerStart {
  /** In /proc/PID/maps all that is ours begins with it. */
  static final String NAME = "textpoke";

  static final String CODE = NAME + "-code";
  static final String SESSION = NAME + "-session";
  private static final int MADV_DONTFORK = 10;
  private static final long PAGE = 4096;
  private static final long ALL_SIGNALS = -1;

  /** Size of the ledger's first segment in bytes. */
  private static final int LEDGER_SIZE = 1 << 16;

  /** How often a helper that has left before we came to it is followed by another. */
  private static final int STARTS = 5;

  private static final int LONGER = 8;

  /** A lease above this is not made longer. */
  private static final Duration LONG = Duration.ofSeconds(15);

  /**
   * Room for plans, of which pages are taken as they are used: some thousands of sites that
   * displace.
   */
  private static final int PLANS_SIZE = 1 << 24;

  private static final int OUR_PID = (int) ProcessHandle.current().pid();
  private static final long RELEASE_POLL_NANOS = 20_000;

  private volatile int threadId;
  private final int pid;
  private final AttachOptions options;
  private final PokerProgram program;
  private final Interference interference;
  private final int trapByte;
  private final int ledgerSize;
  private Duration lease;

  /**
   * @param ledgerSize bytes that a new segment of the ledger must have; 0: what is there will do
   * @param lease how long the helper waits for the first request
   */
  PokerStart(
      int pid,
      AttachOptions options,
      PokerProgram program,
      Interference interference,
      int trapByte,
      int ledgerSize,
      Duration lease) {
    this.ledgerSize = ledgerSize;
    this.lease = lease;
    this.pid = pid;
    this.options = options;
    this.program = program;
    this.interference = interference;
    this.trapByte = trapByte;
  }

  /** For a JVM that was too slow for the lease that it has asked for. */
  static Duration longer(Duration lease) {
    return lease.compareTo(LONG) > 0 ? lease : lease.multipliedBy(LONGER);
  }

  /**
   * Does it.
   *
   * @param map of the target, read just now: where there are thousands of threads it is long
   */
  PokerSession start(MemoryMap map) {
    ProcStatus status = ProcStatus.read(pid);
    SafeBorrower borrower = SafeBorrower.of(program);
    if (borrower != null && status != null && SafeBorrower.canBorrowFrom(status)) {
      return startSafely(borrower, status, map);
    }
    return startFromHere();
  }

  private PokerSession sessionOf(SafeBorrower.Borrowed borrowed, int size) {
    SharedMemory shared = SharedMemory.map(borrowed.session(), size);
    if (options.realtime()) {
      Kernel.setFifo(borrowed.helper(), new NativeBytes(Long.BYTES));
    }
    return new PokerSession(pid, borrowed.helper(), shared, borrowed.address(), interference);
  }

  /** By a process that shares our memory, but not our fate. */
  private PokerSession startSafely(SafeBorrower borrower, ProcStatus status, MemoryMap first) {
    if (status.state() == 'T') {
      throw new PokerUnavailableException("the process is stopped, and so would the helper be");
    }
    int size = SessionLayout.PLANS + PLANS_SIZE;
    try (ProcMem memory = TargetMemory.open(pid)) {
      NativeBytes beginning = new NativeBytes(SessionLayout.SCRATCH);
      fill(beginning, size, status);
      for (int attempt = 1; ; attempt++) {
        MemoryMap map = attempt == 1 ? first : MemoryMap.read(pid);
        boolean wantsLedger = ledgerSize > 0 || TargetLedger.segments(map).isEmpty();
        SafeBorrower.Borrowed borrowed =
            borrower.borrow(
                pid,
                options.patience(),
                syscallInstruction(memory, map),
                knownCode(memory, map),
                wantsLedger ? Math.max(ledgerSize, LEDGER_SIZE) : 0,
                size,
                beginning);
        try {
          return sessionOf(borrowed, size);
        } catch (UncheckedIOException helperIsGone) {
          // Its lease was over before this JVM, paused or short of CPU, came to it.
          if (attempt == STARTS) {
            throw new PokerUnavailableException(
                "the helper has ended: " + helperIsGone.getMessage());
          }
          lease = longer(lease);
          beginning.putLong(SessionLayout.LEASE, lease.toNanos());
        }
      }
    }
  }

  /** From a thread of this JVM, where a filter has to be read, or single steps must be avoided. */
  private PokerSession startFromHere() {
    CompletableFuture<PokerSession> answer = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                answer.complete(run());
              } catch (Throwable failure) { // to who waits for it
                answer.completeExceptionally(failure);
              }
            },
            "textpoke-borrower-" + pid);
    thread.setDaemon(true);
    thread.start();
    try {
      return answer.join();
    } catch (CompletionException failed) {
      if (failed.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      if (failed.getCause() instanceof Error cause) {
        throw cause;
      }
      throw failed;
    } finally {
      awaitEnd(thread);
    }
  }

  /** The kernel releases the borrowed thread when this one ends, a little after its Java thread. */
  private void awaitEnd(Thread thread) {
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException later) {
        interrupted = true;
      }
    }
    while (threadId != 0 && Kernel.isThreadOf(OUR_PID, threadId)) {
      LockSupport.parkNanos(RELEASE_POLL_NANOS);
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private PokerSession run() {
    threadId = Kernel.gettid();
    ProcStatus status = ProcStatus.read(pid);
    if (status == null) {
      throw new NoSuchProcessException(pid);
    }
    if (status.state() == 'T') {
      throw new PokerUnavailableException("the process is stopped, and so would the helper be");
    }
    try (ProcMem memory = TargetMemory.open(pid)) {
      Tracer tracer = new Tracer(pid, memory, new TrapDesk(), trapByte);
      Helper helper = borrow(tracer);
      boolean begun = false;
      try {
        PokerSession session = begin(tracer, helper, memory, status);
        begun = true;
        return session;
      } finally {
        if (!begun && !tracer.isOver()) {
          helper.exit();
        }
      }
    }
  }

  private Helper borrow(Tracer tracer) {
    try {
      return new Borrower(tracer, NeededCall.ofPoker(program))
          .start(new Seizer(tracer), this::syscallInstruction, options.patience());
    } catch (SeccompException forbidden) {
      throw new PokerUnavailableException(forbidden.what());
    }
  }

  private long syscallInstruction(ProcMem memory) {
    return syscallInstruction(memory, MemoryMap.read(pid));
  }

  private long syscallInstruction(ProcMem memory, MemoryMap map) {
    long address = Preflight.of(pid).syscallInstruction(map);
    if (memory.read(address, 2) == null) {
      throw new TargetExecedException(pid);
    }
    return address;
  }

  private PokerSession begin(Tracer tracer, Helper helper, ProcMem memory, ProcStatus status) {
    int size = SessionLayout.PLANS + PLANS_SIZE;
    long code;
    long base;
    SharedMemory shared;
    try (TargetMappings mappings = new TargetMappings(pid, helper, memory)) {
      MemoryMap map = MemoryMap.read(pid);
      if (ledgerSize > 0 || TargetLedger.segments(map).isEmpty()) {
        mappings.mapLedger(Math.max(ledgerSize, LEDGER_SIZE));
      }
      code = code(mappings, memory, map);
      int fd = mappings.file(SESSION);
      shared = SharedMemory.map(mappings.path(fd), size);
      base =
          mappings.map(
              fd,
              size,
              TargetMappings.PROT_READ | TargetMappings.PROT_WRITE,
              TargetMappings.MAP_SHARED);
      // A child gets no session: it has neither helper nor poker.
      mappings.call("madvise", Kernel.SYS_MADVISE, base, size, MADV_DONTFORK);
      NativeBytes beginning = new NativeBytes(SessionLayout.SCRATCH);
      fill(beginning, size, status);
      shared.put(0, beginning.get(0, beginning.size()));
      shared.setLong(SessionLayout.HELPER, mappings.call("gettid", Kernel.SYS_GETTID));
      shared.setLong(SessionLayout.TARGET, mappings.call("getpid", Kernel.SYS_GETPID));
    }
    if (options.realtime()) {
      Kernel.setFifo(helper.tid(), new NativeBytes(Long.BYTES));
    }
    release(tracer.ptrace, helper, code, base);
    return new PokerSession(pid, helper.tid(), shared, base, interference);
  }

  /** Maps the code, unless it is there from an earlier session: it is never unmapped. */
  private long code(TargetMappings mappings, ProcMem memory, MemoryMap map) {
    long known = knownCode(memory, map);
    if (known != 0) {
      return known;
    }
    CodeBytes code = program.code();
    int fd = mappings.file(CODE);
    mappings.write(fd, code.toByteArray(), 0);
    // Never writable and executable at once.
    return mappings.map(
        fd,
        code.length() + PAGE - 1 & -PAGE,
        TargetMappings.PROT_READ | TargetMappings.PROT_EXEC,
        TargetMappings.MAP_PRIVATE);
  }

  /** Where our code is mapped already; 0: nowhere. */
  private long knownCode(ProcMem memory, MemoryMap map) {
    CodeBytes code = program.code();
    return map.mappings().stream()
        .filter(mapping -> mapping.path().equals("/memfd:" + CODE) && mapping.executable())
        .filter(mapping -> stands(code, memory.read(mapping.start(), code.length())))
        .mapToLong(Mapping::start)
        .findFirst()
        .orElse(0);
  }

  private static boolean stands(CodeBytes code, @Nullable CodeBytes found) {
    return found != null && found.equals(code);
  }

  /** What the session's memory begins with. */
  private void fill(NativeBytes to, int size, ProcStatus status) {
    for (int offset = 0; offset < to.size(); offset += Long.BYTES) {
      to.putLong(offset, 0);
    }
    to.putLong(SessionLayout.WRITTEN_BY, SessionLayout.VERSION);
    to.putLong(SessionLayout.STATE, SessionLayout.RUNNING);
    to.putLong(SessionLayout.LINGER, options.linger().toNanos());
    to.putLong(SessionLayout.LEASE, lease.toNanos());
    to.putLong(SessionLayout.SIZE, size);
    to.putLong(SessionLayout.FLAGS, flags(status));
    byte[] who = Who.WE.getBytes(StandardCharsets.UTF_8);
    to.put(
        SessionLayout.WHO,
        CodeBytes.copyOf(who, 0, Math.min(who.length, SessionLayout.WHO_SIZE - 1)));
    PlanLayout.putMasks(to);
    SafeBorrower.putRepeatable(to, SessionLayout.REPEATABLE);
  }

  static long flags(ProcStatus status) {
    long flags = 0;
    if ((status.caught() & ProcStatus.SIGTRAP_BIT) != 0) {
      flags |= SessionLayout.FLAG_HANDLER;
    }
    if ((status.ignored() & ProcStatus.SIGTRAP_BIT) != 0) {
      flags |= SessionLayout.FLAG_IGNORED;
    }
    if (TargetMemory.yamaScope().equals("1")) {
      flags |= SessionLayout.FLAG_YAMA;
    }
    return flags;
  }

  /** From here on the helper runs by itself. */
  private static void release(Ptrace ptrace, Helper helper, long code, long base) {
    Registers registers = new Registers();
    ptrace.getRegisters(helper.tid(), registers);
    registers.setEntry(code, base + SessionLayout.HELPER_STACK, base);
    ptrace.setRegisters(helper.tid(), registers);
    ptrace.setSignalMask(helper.tid(), ALL_SIGNALS);
    ptrace.detach(helper.tid());
  }
}
