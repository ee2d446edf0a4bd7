package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import com.google.common.hash.Hashing;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.NoRoomException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.apply.CallOutcome.Returned;
import io.github.textpoke.apply.ObjectSegment.Access;
import io.github.textpoke.apply.internal.CallLayout;
import io.github.textpoke.process.GlibcThread;
import io.github.textpoke.process.GlibcThreads;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.MemoryReader;
import io.github.textpoke.process.NearHole;
import io.github.textpoke.process.ProcStatus;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;

/**
 * Calls one function of a target on a thread of ours, with a stack and thread-local variables of
 * its own. It lies, in this order: the code that calls, what that finds, a guard, the stack, the
 * thread. Assumes that nobody else patches the target meanwhile.
 *
 * <p>The code that calls ends the thread by itself, so nothing is left to do if this JVM is killed.
 */
final class FunctionCall {
  /** The mappings' name. */
  static final String NAME = "call";

  private static final int PAGE = 4096;
  private static final int STACK = 256 << 10;

  /** Where each part begins. */
  private static final int MEMORY_AT = PAGE;

  /** Offset in the memory: not 0 where nobody runs, and somebody may again. */
  private static final int RESTS = PAGE - Long.BYTES;

  private static final int GUARD_AT = 2 * PAGE;
  private static final int STACK_AT = 3 * PAGE;
  private static final int THREAD_AT = STACK_AT + STACK;

  /** How often a hole that was taken meanwhile is followed by another. */
  private static final int TRIES = 16;

  private final int pid;
  private final MemoryReader reader;
  private final CodeBytes code;
  private final GlibcThreads threads;

  /**
   * @param code of {@link io.github.textpoke.apply.internal.PokerProgram#caller}
   * @param threads of the target
   */
  FunctionCall(int pid, MemoryReader reader, CodeBytes code, GlibcThreads threads) {
    this.pid = pid;
    this.reader = reader;
    this.code = code;
    this.threads = threads;
  }

  CallOutcome run(StepwiseStay engine, long function, long first, long second, Duration timeout) {
    MemoryMap map = MemoryMap.read(pid);
    check(map, function);
    GlibcThread thread = threads.read(map, reader);
    CodeBytes memory = memory(thread, function, first, second);
    long rested = rested(map, thread);
    long base = rested;
    if (rested == 0) {
      base = place(engine, map, function, thread, memory);
    } else {
      // Whose patcher is killed while it runs is not used again.
      engine.fill(base + MEMORY_AT, memory);
    }
    long size = THREAD_AT + (long) thread.size();
    Clone clone =
        new Clone(
            Clone.OF_THREAD,
            base + THREAD_AT,
            thread.tid(base + THREAD_AT),
            thread.pointer(base + THREAD_AT));
    CallOutcome outcome;
    try {
      outcome = engine.call(clone, base, base + MEMORY_AT, timeout);
    } catch (PatchException failure) {
      if (failure.outcome() == Outcome.UNTOUCHED && rested == 0) {
        ObjectMemory.unmap(pid, engine, NAME, base, base + size);
      }
      throw failure;
    }
    if (outcome instanceof Returned) {
      rest(engine, base, thread);
    }
    return outcome;
  }

  /**
   * Memory in which a thread of ours has run, and may run again as the same thread: allocators keep
   * what they know of a thread in its thread-local variables, some of them in lists of all threads.
   * So it is never unmapped, nor written anew.
   *
   * @return absolute address; 0: there is none
   */
  private long rested(MemoryMap map, GlibcThread thread) {
    for (Mapping mapping : map.mappings()) {
      if (mapping.executable() && ObjectMemory.isOurs(mapping, NAME)) {
        boolean isWhole =
            map.at(mapping.start() + THREAD_AT + thread.size() - 1)
                .filter(end -> ObjectMemory.isOurs(end, NAME))
                .isPresent();
        if (isWhole
            && reader.read(mapping.start(), code.length()).equals(code)
            && reader
                .read(mapping.start() + MEMORY_AT + RESTS, Long.BYTES)
                .equals(mark(mapping.start(), thread))) {
          return mapping.start();
        }
      }
    }
    return 0;
  }

  private static void rest(StepwiseStay engine, long base, GlibcThread thread) {
    engine.fill(base + MEMORY_AT + RESTS, mark(base, thread));
  }

  /** Says as what thread it began: libraries that come later may have other variables. */
  private static CodeBytes mark(long base, GlibcThread thread) {
    byte[] sum = Hashing.sha256().hashBytes(thread.bytes(base + THREAD_AT).toByteArray()).asBytes();
    return CodeBytes.copyOf(sum, 0, Long.BYTES);
  }

  private void check(MemoryMap map, long function) {
    if (map.at(function).filter(Mapping::executable).isEmpty()) {
      throw new UnwritableMappingException(
          function, "no function is there: it is not mapped executable", Outcome.UNTOUCHED);
    }
    if (ProcStatus.hasShadowStacks(pid)) {
      throw new UnsupportedTargetException(
          "no thread of ours can call functions of process " + pid + ": it has shadow stacks",
          "start it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off");
    }
  }

  private CodeBytes memory(GlibcThread thread, long function, long first, long second) {
    ByteBuffer bytes = ByteBuffer.allocate(PAGE).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(CallLayout.BEGINNING, thread.beginning());
    bytes.putLong(CallLayout.FUNCTION, function);
    bytes.putLong(CallLayout.FIRST, first);
    bytes.putLong(CallLayout.SECOND, second);
    bytes.putLong(CallLayout.END, thread.end());
    bytes.putInt(CallLayout.MXCSR, CallLayout.MXCSR_AT_START);
    return CodeBytes.copyOf(bytes);
  }

  private long place(
      StepwiseStay engine, MemoryMap first, long function, GlibcThread thread, CodeBytes memory) {
    MemoryMap map = first;
    long size = THREAD_AT + (long) thread.size();
    for (int i = 0; i < TRIES; i++) {
      long base =
          NearHole.find(map, function, function, size)
              .orElseThrow(
                  () ->
                      new NoRoomException(
                          function, "no hole of %d bytes is free within 2 GiB".formatted(size)));
      ImmutableList<ObjectSegment> segments =
          ImmutableList.of(
              new ObjectSegment(base, PAGE, Access.READ_EXECUTE, code),
              new ObjectSegment(base + MEMORY_AT, PAGE, Access.READ_WRITE, memory),
              new ObjectSegment(base + GUARD_AT, PAGE, Access.NONE, CodeBytes.EMPTY),
              new ObjectSegment(base + STACK_AT, STACK, Access.READ_WRITE, CodeBytes.EMPTY),
              new ObjectSegment(
                  base + THREAD_AT,
                  thread.size(),
                  Access.READ_WRITE,
                  thread.bytes(base + THREAD_AT)));
      if (ObjectMemory.map(engine, NAME, segments)) {
        return base;
      }
      map = MemoryMap.read(pid);
    }
    throw new NoRoomException(function, "each hole was taken by the program meanwhile");
  }
}
