package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.LaunchFailedException;
import io.github.textpoke.apply.internal.HoldLayout;
import io.github.textpoke.apply.internal.PokerProgram;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.process.ProgramStart;
import io.github.textpoke.process.ProgramStart.Rendezvous;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Two pages in a program that has not begun, in which it waits by itself; see {@link HoldLayout}.
 * It goes on by itself when nobody has been there for some seconds, so that it outlives this JVM.
 * They stay in the program: what stands there may still be run when it is of no use any more. All
 * calls but the beats come from one thread.
 */
final class HoldPages implements AutoCloseable {
  /** Of a function, so that no other begins in the bytes behind it. */
  private static final int ALIGNMENT = 16;

  private static final long BEAT_MILLIS = 500;
  private static final long LOOK_NANOS = 200_000;

  /** Longer than a loader takes on a busy machine. */
  private static final long LOADING_NANOS = 30_000_000_000L;

  private static final ScheduledExecutorService BEATS =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread made = new Thread(task, "textpoke-holding");
            made.setDaemon(true);
            return made;
          });

  private final int pid;
  private final long address;
  private final ProcMem memory;
  private final PokerProgram program;
  private final ScheduledFuture<?> beats;
  private long beat;
  private boolean isClosed;

  /**
   * Fills them; the program is stopped.
   *
   * @param address absolute, of mapped pages that may be read and written
   */
  HoldPages(int pid, long address, long start, PokerProgram program) {
    this.pid = pid;
    this.address = address;
    this.program = program;
    this.memory = TargetMemory.open(pid);
    boolean isFilled = false;
    try {
      write(address, program.holder(address));
      set(HoldLayout.START, start);
      set(HoldLayout.PAUSE + Long.BYTES, HoldLayout.PAUSE_NANOS);
      isFilled = true;
    } finally {
      if (!isFilled) {
        memory.close();
      }
    }
    this.beats =
        BEATS.scheduleAtFixedRate(this::beat, BEAT_MILLIS, BEAT_MILLIS, TimeUnit.MILLISECONDS);
  }

  /** Where the program waits before its first instruction. */
  long entry() {
    return address + HoldLayout.ENTRY;
  }

  private synchronized void beat() {
    if (!isClosed) {
      beat++;
      // Where the program has ended nobody needs it.
      memory.write(address + HoldLayout.BEAT, word(beat));
    }
  }

  /**
   * Lets it go on until the loader is done, and waits for that. Nothing happens where the program
   * has no loader.
   *
   * @throws LaunchFailedException if the loader is none that we know, or does not come so far
   */
  void goToLoaded() {
    long loader = ProgramStart.loader(pid);
    if (loader == 0) {
      return;
    }
    Rendezvous rendezvous;
    try (ProcMemReader reader = new ProcMemReader(pid)) {
      rendezvous = ProgramStart.rendezvous(pid, loader, MemoryMap.read(pid), reader);
    }
    long function = rendezvous.function();
    CodeBytes jump = program.jump(function, address + HoldLayout.LOADER);
    CodeBytes original = read(function, jump.length());
    if (original == null || function % ALIGNMENT != 0 || !HeldProgram.isReturn(original)) {
      throw new LaunchFailedException(
          "the loader's function that debuggers wait at is not one that does nothing",
          "leave other tools out that patch the loader");
    }
    set(HoldLayout.STATE, rendezvous.state());
    checkIsHeld();
    write(function, jump);
    set(HoldLayout.GO, HoldLayout.AT_ENTRY);
    awaitArrival();
    // Its one thread waits behind the jump.
    write(function, original);
  }

  /** The code of a program that runs is not to be written like this. */
  private void checkIsHeld() {
    if (isLate()) {
      throw new LaunchFailedException(
          "the program has begun before it was loaded: this JVM stood still for seconds", "");
    }
  }

  private void awaitArrival() {
    long deadline = System.nanoTime() + LOADING_NANOS;
    while (get(HoldLayout.ARRIVED) < HoldLayout.AT_LOADED) {
      ProcStatus status = ProcStatus.read(pid);
      if (status == null || status.isDead()) {
        throw new LaunchFailedException("the program has ended while it was loaded", "");
      }
      if (System.nanoTime() - deadline > 0) {
        throw new LaunchFailedException("the program's loader was not seen to be done", "");
      }
      // It tells nobody, which would take a system call of its own.
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }

  /** Whether the program has gone on by itself, since nobody seemed to be there. */
  boolean isLate() {
    CodeBytes late = read(address + HoldLayout.LATE, Long.BYTES);
    return late != null && HeldProgram.littleEndian(late) != 0;
  }

  /** Lets it begin. Idempotent; nothing happens where it has ended. */
  @Override
  public synchronized void close() {
    if (isClosed) {
      return;
    }
    isClosed = true;
    beats.cancel(false);
    memory.write(address + HoldLayout.GO, word(HoldLayout.AT_LOADED));
    memory.close();
  }

  private void set(int offset, long value) {
    write(address + offset, word(value));
  }

  private long get(int offset) {
    CodeBytes bytes = read(address + offset, Long.BYTES);
    if (bytes == null) {
      throw new LaunchFailedException("the program has ended before it began", "");
    }
    return HeldProgram.littleEndian(bytes);
  }

  private synchronized @Nullable CodeBytes read(long at, int length) {
    return memory.read(at, length);
  }

  private synchronized void write(long at, CodeBytes bytes) {
    if (memory.write(at, bytes) != bytes.length()) {
      throw new LaunchFailedException(
          "the program's memory can't be written: " + bytes.length() + " bytes", "");
    }
  }

  private static CodeBytes word(long value) {
    return CodeBytes.of(
        ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
  }
}
