package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * What a thread needs behind and before its thread pointer to be one of glibc's, for a thread that
 * glibc has not made: its struct pthread, its table of thread-local variables (dtv), and a block of
 * them for each object, as elf/dl-tls.c and nptl/allocatestack.c lay them out.
 *
 * <ol>
 *   <li>Offsets are those that the target's libc tells debuggers. What it does not tell is of the
 *       ABI: the stack guard at 0x28, which compilers know, and the pointer guard at 0x30.
 *   <li>Each object's offset is proved on the main thread: its table leads to where it says.
 *   <li>Every object has its block, so that no access goes through the loader, unless the program
 *       loads another object meanwhile.
 *   <li>Restartable sequences are marked as not registered; glibc asks the kernel instead.
 *   <li>It is in none of glibc's lists of threads: the change of user that another thread makes
 *       (setuid) is not made for it.
 * </ol>
 *
 * <p>A process that glibc believes to have one thread has no locks; another thread would run into
 * that, so it is refused.
 */
public final class GlibcThread {
  private static final int PAGE = 4096;

  /** tcbhead_t (sysdeps/x86_64/nptl/tls.h). */
  private static final int TCB = 0;

  private static final int SELF = 0x10;
  private static final int MULTIPLE_THREADS = 0x18;
  private static final int STACK_GUARD = 0x28;
  private static final int POINTER_GUARD = 0x30;

  /** RSEQ_CPU_ID_REGISTRATION_FAILED (linux/rseq.h), in the second word of struct rseq. */
  private static final int NO_RSEQ = -2;

  private static final int RSEQ_CPU_ID = 4;
  private static final int RSEQ_SIZE = 32;

  private static final int DTV_ENTRY = 16;
  private static final int DTV_SURPLUS = 256;
  private static final int BLOCK_ALIGNMENT = 4096;
  private static final int MOST_THREADS = 1 << 16;

  private final GlibcSymbols glibc;
  private final ImmutableList<TlsModule> modules;
  private final long generation;
  private final int capacity;

  /** Thread pointer of the main thread. */
  private final long model;

  /** Where the kernel's list of robust mutexes begins; 0: not known. */
  private final int robust;

  /** Where struct rseq lies, from the thread pointer; 0: there is none. */
  private final long rseq;

  private final int below;
  private final int dtv;
  private final int resolver;
  private final int blocks;
  private final int size;

  /**
   * Reads what it takes from a living process.
   *
   * @param map of the process, as it is now
   * @throws UnsupportedTargetException if it is not known how to make a thread of that process's
   * @throws PatchException of another type if its memory can't be read
   */
  GlibcThread(int pid, MemoryMap map, GlibcSymbols glibc) {
    this.glibc = glibc;
    checkHasThreads();
    TlsModules read = new TlsModules(glibc, map);
    this.modules = read.read();
    this.model = mainThread(pid);
    long table = glibc.word(model + glibc.offset("pthread_dtvp"));
    this.generation =
        Math.max(read.generation(), glibc.word(table + glibc.offset("dtv_t_counter")));
    this.capacity = read.highest() + DTV_SURPLUS;
    checkOffsets(table);
    this.robust = robust(pid);
    this.rseq = glibc.ofLoader("__rseq_offset").map(glibc::word).orElse(0L);
    long deepest = Math.max(0, -rseq);
    for (TlsModule module : modules) {
      deepest = Math.max(deepest, module.offset());
    }
    this.below = roundUp((int) Math.min(deepest, Integer.MAX_VALUE / 2), PAGE) + PAGE;
    int thread = glibc.size("pthread");
    if (rseq + RSEQ_SIZE > thread) {
      throw glibc.refused("its restartable sequences lie behind the thread, at " + rseq);
    }
    this.dtv = below + roundUp(thread, DTV_ENTRY) + DTV_ENTRY;
    this.resolver = dtv + (capacity + 1) * DTV_ENTRY;
    this.blocks = roundUp(resolver + (int) glibc.sizeInLibc("_res"), BLOCK_ALIGNMENT);
    int end = blocks;
    for (TlsModule module : modules) {
      end += module.isStatic() ? 0 : roundUp((int) module.size(), BLOCK_ALIGNMENT);
    }
    this.size = roundUp(end, PAGE);
  }

  private static int roundUp(int value, int to) {
    return (value + to - 1) / to * to;
  }

  /** Where one of two says that there is but one thread, glibc may act as if there were. */
  private void checkHasThreads() {
    long count = glibc.word(glibc.inLibc("__nptl_nthreads")) & 0xffffffffL;
    if (count < 2) {
      throw new UnsupportedTargetException(
          "no thread of ours can call functions of the process: it has one thread, and glibc takes"
              + " no locks then",
          "programs that have started a thread have what it takes");
    }
  }

  private long mainThread(int pid) {
    int[] ids = ProcStatus.idsInNamespaces(pid);
    int id = ids[ids.length - 1];
    int list = glibc.offset("pthread_list");
    int tid = glibc.offset("pthread_tid");
    long head = glibc.inLoader("_rtld_global") + glibc.offset("rtld_global__dl_stack_user");
    long node = glibc.word(head + glibc.offset("list_t_next"));
    for (int i = 0; node != head && i < MOST_THREADS; i++) {
      long thread = node - list;
      if ((int) glibc.word(thread + tid) == id) {
        if (glibc.word(thread + SELF) != thread || glibc.word(thread + TCB) != thread) {
          throw glibc.refused("the main thread's header is not at its pointer");
        }
        return thread;
      }
      node = glibc.word(node + glibc.offset("list_t_next"));
    }
    throw glibc.refused("libc's list of threads has no main thread");
  }

  private void checkOffsets(long table) {
    for (TlsModule module : modules) {
      if (module.isStatic()) {
        long block =
            glibc.word(table + (long) module.id() * DTV_ENTRY + glibc.offset("dtv_t_pointer_val"));
        // A thread that has not used an object that was loaded later has no pointer yet.
        boolean isNotYet = block == 0 || block == -1;
        if (!isNotYet && block != model - module.offset()) {
          throw glibc.refused(
              "object %d has its variables %d below the thread pointer, expected %d"
                  .formatted(module.id(), model - block, module.offset()));
        }
      }
    }
  }

  private int robust(int pid) {
    long head = Kernel.robustList(pid, new NativeBytes(2 * Long.BYTES)) - model;
    return head > 0 && head < glibc.size("pthread") ? (int) head : 0;
  }

  /** How many bytes it takes, whole pages. */
  public int size() {
    return size;
  }

  /**
   * The absolute thread pointer of a thread whose memory begins at {@code start}, an address of a
   * page.
   */
  public long pointer(long start) {
    return start + below;
  }

  /** Where the kernel is to write the thread's id, and to clear it when it ends. */
  public long tid(long start) {
    return pointer(start) + glibc.offset("pthread_tid");
  }

  /** Absolute address of the function that the thread calls before all others. */
  public long beginning() {
    return glibc.inLibc("__ctype_init");
  }

  /** Absolute address of the function that the thread calls behind all others; 0: none. */
  public long end() {
    return glibc.ofLibc("__call_tls_dtors").orElse(0L);
  }

  /** The memory of a thread that begins at {@code start}, an address of a page. */
  public CodeBytes bytes(long start) {
    ByteBuffer bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    long pointer = pointer(start);
    bytes.putLong(below + TCB, pointer);
    bytes.putLong(below + SELF, pointer);
    bytes.putInt(below + MULTIPLE_THREADS, 1);
    bytes.putLong(below + STACK_GUARD, glibc.word(model + STACK_GUARD));
    bytes.putLong(below + POINTER_GUARD, glibc.word(model + POINTER_GUARD));
    bytes.putLong(below + glibc.offset("pthread_dtvp"), start + dtv);
    int list = glibc.offset("pthread_list");
    bytes.putLong(below + list + glibc.offset("list_t_next"), pointer + list);
    bytes.putLong(below + list + glibc.offset("list_t_prev"), pointer + list);
    if (robust != 0) {
      // Empty: it leads to itself. What follows is the distance from a list's entry to its futex.
      bytes.putLong(below + robust, pointer + robust);
      bytes.putLong(below + robust + Long.BYTES, glibc.word(model + robust + Long.BYTES));
    }
    if (rseq != 0) {
      bytes.putInt(below + (int) rseq + RSEQ_CPU_ID, NO_RSEQ);
    }
    bytes.putLong(dtv - DTV_ENTRY, capacity);
    bytes.putLong(dtv + glibc.offset("dtv_t_counter"), generation);
    int next = blocks;
    for (TlsModule module : modules) {
      int at = module.isStatic() ? below - (int) module.offset() : next;
      next += module.isStatic() ? 0 : roundUp((int) module.size(), BLOCK_ALIGNMENT);
      bytes.put(at, module.image().toByteArray());
      bytes.putLong(dtv + module.id() * DTV_ENTRY + glibc.offset("dtv_t_pointer_val"), start + at);
    }
    giveResolver(bytes, start);
    return CodeBytes.copyOf(bytes);
  }

  /**
   * A thread's state of the resolver is its own (nptl/pthread_create.c, start_thread), but at first
   * it leads to that of the main thread: the one word among the static variables that does.
   */
  private void giveResolver(ByteBuffer bytes, long start) {
    Optional<Long> shared = glibc.ofLibc("_res");
    for (int at = 0; shared.isPresent() && at < below; at += Long.BYTES) {
      if (bytes.getLong(at) == shared.get()) {
        bytes.putLong(at, start + resolver);
      }
    }
  }
}
