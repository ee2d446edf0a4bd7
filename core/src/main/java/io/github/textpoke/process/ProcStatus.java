package io.github.textpoke.process;

import io.github.textpoke.internal.Uninterruptibly;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * What /proc/TID/status tells of one thread at one moment.
 *
 * @param name command name
 * @param state one letter: R, S, D, T, t, Z, X
 * @param tgid the process it belongs to
 * @param tracer thread id of its tracer, 0: none
 * @param uid real user id
 * @param seccomp 0: none, 1: strict, 2: filter
 * @param threads how many threads its process has
 * @param pending signals queued for it and for its process; bit n-1 is signal n
 * @param blocked signals it blocks
 * @param ignored signals its process ignores
 * @param caught signals its process has handlers for
 */
public record ProcStatus(
    String name,
    char state,
    int tgid,
    int tracer,
    int uid,
    int seccomp,
    int threads,
    long pending,
    long blocked,
    long ignored,
    long caught) {

  /** The bit of SIGTRAP in a set of signals. */
  public static final long SIGTRAP_BIT = 1L << 4;

  private static final String FEATURES = "x86_Thread_features:";

  /** Reads it, or null where there is no such thread (any more). */
  public static @Nullable ProcStatus read(int tid) {
    String text = readProc("/proc/" + tid + "/status");
    return text == null ? null : parse(text);
  }

  static ProcStatus parse(String text) {
    String uid = field(text, "Uid:");
    return new ProcStatus(
        field(text, "Name:"),
        field(text, "State:").charAt(0),
        Integer.parseInt(field(text, "Tgid:")),
        Integer.parseInt(field(text, "TracerPid:")),
        Integer.parseInt(uid.substring(0, uid.indexOf('\t'))),
        text.contains("\nSeccomp:") ? Integer.parseInt(field(text, "Seccomp:")) : 0,
        text.contains("\nThreads:") ? Integer.parseInt(field(text, "Threads:")) : 0,
        hex(text, "SigPnd:") | hex(text, "ShdPnd:"),
        hex(text, "SigBlk:"),
        hex(text, "SigIgn:"),
        hex(text, "SigCgt:"));
  }

  /** Whether it is dead but for its entry. */
  public boolean isDead() {
    return state == 'Z' || state == 'X';
  }

  /** Whether an int3 of ours would change its or its process's signal state (force_sig). */
  public boolean losesSigtrapState() {
    return ((blocked | ignored) & SIGTRAP_BIT) != 0;
  }

  /** The thread ids of a process; empty where it has ended. */
  public static int[] threads(int pid) {
    return numbers("/proc/" + pid + "/task");
  }

  /** The ids of all processes. */
  public static int[] processes() {
    return numbers("/proc");
  }

  private static int[] numbers(String folder) {
    File file = new File(folder);
    String[] names = file.list();
    if (names == null) {
      if (file.exists()) {
        throw new UncheckedIOException(
            new IOException("can't list " + folder + "; are too many files open?"));
      }
      return new int[0];
    }
    return Arrays.stream(names)
        .filter(name -> Character.isDigit(name.charAt(0)))
        .mapToInt(Integer::parseInt)
        .toArray();
  }

  /**
   * Whether any thread of a process runs on a shadow stack (CET, SDM vol. 1, 17.1) at this moment.
   * A thread gets one by {@code arch_prctl} or from the thread that has made it; the loader asks
   * for it before the program begins. Kernels before 6.6 have none for programs.
   *
   * <p>Source: arch/x86/kernel/cpu/proc.c, {@code arch_proc_pid_thread_features}.
   */
  public static boolean hasShadowStacks(int pid) {
    for (int tid : threads(pid)) {
      String text = readProc("/proc/" + pid + "/task/" + tid + "/status");
      if (text != null && saysShadowStack(text)) {
        return true;
      }
    }
    return false;
  }

  /** Whether a status file says that its thread runs on a shadow stack. */
  static boolean saysShadowStack(String text) {
    return text.contains("\n" + FEATURES)
        && Arrays.asList(field(text, FEATURES).split("\\s+")).contains("shstk");
  }

  /**
   * How often a thread has ceased to run, by itself and preempted; -1 where there is no such thread
   * (any more). Every time that it does counts, before it is seen as blocked: so one that is
   * blocked twice with the same number has not run between (kernel/sched/core.c, {@code
   * __schedule}).
   */
  public static long switches(int tid) {
    String text = readProc("/proc/" + tid + "/status");
    return text == null
        ? -1
        : Long.parseLong(field(text, "voluntary_ctxt_switches:"))
            + Long.parseLong(field(text, "nonvoluntary_ctxt_switches:"));
  }

  /**
   * The process id of the only child that a thread has, 0 where it has none or several, or where
   * this kernel does not tell (CONFIG_PROC_CHILDREN).
   */
  public static int onlyChild(int pid, int tid) {
    String children = readProc("/proc/" + pid + "/task/" + tid + "/children");
    if (children == null || children.isBlank() || children.strip().indexOf(' ') >= 0) {
      return 0;
    }
    return Integer.parseInt(children.strip());
  }

  /**
   * The process and thread ids that a thread has in each pid namespace, from ours to its own; only
   * that in ours where this kernel does not tell.
   */
  public static int[] idsInNamespaces(int tid) {
    String text = readProc("/proc/" + tid + "/status");
    if (text == null || !text.contains("\nNSpid:")) {
      return new int[] {tid};
    }
    return Arrays.stream(field(text, "NSpid:").split("\\s+")).mapToInt(Integer::parseInt).toArray();
  }

  /** The command name of a process or thread, {@code ?} where it has ended. */
  public static String name(int pid) {
    String comm = readProc("/proc/" + pid + "/comm");
    return comm == null ? "?" : comm.strip();
  }

  /**
   * The text of a file of /proc, or null where the process has ended or may not be looked at.
   *
   * @throws UncheckedIOException if it is there and can't be read for another reason: the caller
   *     must not take that for an end
   */
  static @Nullable String readProc(String path) {
    Path file = Path.of(path);
    try {
      return Uninterruptibly.call(() -> Files.readString(file, StandardCharsets.ISO_8859_1));
    } catch (NoSuchFileException | AccessDeniedException gone) {
      return null;
    } catch (IOException failed) {
      // One that ends while its file is open answers ESRCH, and then has no file any more.
      if (Files.exists(file)) {
        throw new UncheckedIOException(failed);
      }
      return null;
    }
  }

  private static String field(String text, String name) {
    int at = text.startsWith(name) ? 0 : text.indexOf("\n" + name) + 1;
    int from = at + name.length();
    return text.substring(from, text.indexOf('\n', from)).strip();
  }

  private static long hex(String text, String name) {
    return Long.parseUnsignedLong(field(text, name), 16);
  }
}
