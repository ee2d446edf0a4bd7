package io.github.textpoke;

import com.google.common.base.Joiner;
import com.google.common.collect.ImmutableList;
import java.time.Duration;
import java.util.List;

/**
 * The sealed root of all that can go wrong, and its catalogue: each subtype says what, where, what
 * was found and expected, what you can do, and by {@link #outcome} what is true of the target now.
 * Unchecked.
 */
public abstract sealed class PatchException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What is true of the target after the failure. */
  public enum Outcome {
    /** Nothing was written. */
    UNTOUCHED("the target is untouched"),
    /** Something was written, and all of it was taken back. */
    ROLLED_BACK("the patch was rolled back: the old bytes stand"),
    /** The failure came when the new bytes stood already. */
    FINISHED("the patch was finished: the new bytes stand"),
    /** The target has ended or runs another program: there is nothing to take back. */
    GONE("the target no longer runs the code"),
    /** Rolling back failed too. The message says what stands where. */
    UNKNOWN("the state of the site is not known");

    private final String words;

    Outcome(String words) {
      this.words = words;
    }

    /** In words, fit for a message. */
    public String words() {
      return words;
    }
  }

  private final transient String what;
  private final Outcome outcome;
  private final transient String remedy;

  /**
   * @param what what happened, where, found against expected
   * @param outcome what is true of the target now
   * @param remedy what the user can do; empty where nothing can be done
   */
  PatchException(String what, Outcome outcome, String remedy) {
    this(what, outcome, remedy, null);
  }

  PatchException(
      String what,
      Outcome outcome,
      String remedy,
      @org.jspecify.annotations.Nullable Throwable cause) {
    super(
        Joiner.on("; ")
            .skipNulls()
            .join(
                what,
                outcome == Outcome.UNTOUCHED ? null : outcome.words(),
                remedy.isEmpty() ? null : remedy),
        cause);
    this.what = what;
    this.outcome = outcome;
    this.remedy = remedy;
  }

  /** What happened and where, without outcome and remedy. */
  public final String what() {
    return what;
  }

  /** What is true of the target now. */
  public final Outcome outcome() {
    return outcome;
  }

  /** What you can do about it; may be empty. */
  public final String remedy() {
    return remedy;
  }

  private static String hex(long address) {
    return "0x" + Long.toHexString(address);
  }

  /** A planner's rule forbids the plan. Nothing was touched: planning never touches a process. */
  public static final class PlanRefusedException extends PatchException {
    private static final long serialVersionUID = 1L;
    private final int rule;
    private final long address;
    private final transient String disassembly;
    private final transient String reason;

    /**
     * @param rule number of the rule in the README's table
     * @param address absolute address of the offending instruction
     * @param disassembly what stands there, as text or bytes
     * @param reason the rule broken, and how
     */
    public PlanRefusedException(int rule, long address, String disassembly, String reason) {
      this(rule, address, disassembly, reason, "");
    }

    /** As above, with what the user can do instead. */
    public PlanRefusedException(
        int rule, long address, String disassembly, String reason, String remedy) {
      super(
          "plan refused by rule "
              + rule
              + " at "
              + hex(address)
              + " ["
              + disassembly
              + "]: "
              + reason,
          Outcome.UNTOUCHED,
          remedy);
      this.rule = rule;
      this.address = address;
      this.disassembly = disassembly;
      this.reason = reason;
    }

    /** Number of the rule in the README's table. */
    public int rule() {
      return rule;
    }

    /** Absolute address of the offending instruction. */
    public long address() {
      return address;
    }

    /** What stands there, as text or bytes. */
    public String disassembly() {
      return disassembly;
    }

    /** The rule broken, and how. */
    public String reason() {
      return reason;
    }
  }

  /** The verifier found an interleaving in which a thread runs what is neither old nor new. */
  public static final class UnsafePlanException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param counterexample the interleaving, as a person reads it
     */
    public UnsafePlanException(String counterexample) {
      super(
          "the plan is not safe: " + counterexample,
          Outcome.UNTOUCHED,
          "make plans with a planner, and do not reorder their steps");
    }
  }

  /**
   * A site or symbol that is not written as {@code 0xADDR} or {@code [object:]symbol[#n][+offset]}.
   */
  public static final class BadSiteException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param text what was given
     * @param reason why it is none
     */
    public BadSiteException(String text, String reason) {
      super(
          "'" + text + "' is no site: " + reason,
          Outcome.UNTOUCHED,
          "write 0xADDR or [object:]symbol[#n][+offset]");
    }
  }

  /** A text that is no plan that this version can read back. */
  public static final class BadPlanException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param where position in the text, such as {@code $.pokes[2].address}
     * @param reason what was found there, and what was expected
     */
    public BadPlanException(
        String where, String reason, @org.jspecify.annotations.Nullable Throwable cause) {
      super(
          "no plan: at " + where + ": " + reason,
          Outcome.UNTOUCHED,
          "make the plan again from the code",
          cause);
    }
  }

  /** No symbol of that name. */
  public static final class NoSuchSymbolException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param symbol as asked for
     * @param searched the objects that were searched
     * @param remedy what the user can do
     */
    public NoSuchSymbolException(String symbol, List<String> searched, String remedy) {
      super(
          "no symbol '" + symbol + "' in " + String.join(", ", searched),
          Outcome.UNTOUCHED,
          remedy);
    }
  }

  /** Several symbols of that name. */
  public static final class AmbiguousSymbolException extends PatchException {
    private static final long serialVersionUID = 1L;
    private final transient ImmutableList<String> candidates;

    /**
     * @param symbol as asked for
     * @param candidates each as it can be asked for without ambiguity, {@code object:symbol#n};
     *     what it is may stand behind it in parentheses
     */
    public AmbiguousSymbolException(String symbol, List<String> candidates) {
      super(
          "'"
              + symbol
              + "' is ambiguous: "
              + candidates.size()
              + " match: "
              + String.join(", ", candidates),
          Outcome.UNTOUCHED,
          "name one of them");
      this.candidates = ImmutableList.copyOf(candidates);
    }

    /** Each candidate as it can be asked for without ambiguity. */
    public ImmutableList<String> candidates() {
      return candidates;
    }
  }

  /** A file that is no ELF object that we can read, or not the one that is mapped. */
  public static final class BadObjectException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param object path or name
     * @param reason what is wrong with it
     */
    public BadObjectException(String object, String reason) {
      super(object + ": " + reason, Outcome.UNTOUCHED, "");
    }
  }

  /**
   * A well-formed object of which we can't do what its loader would do. Nothing was touched:
   * linking never touches a process.
   */
  public static final class ObjectRefusedException extends PatchException {
    private static final long serialVersionUID = 1L;
    private final long address;

    /**
     * @param object path or name
     * @param address link-time, of what is refused
     * @param reason what it is, and why it can't be
     * @param remedy what the user can do
     */
    public ObjectRefusedException(String object, long address, String reason, String remedy) {
      super(
          object + " can't be linked: at " + hex(address) + ": " + reason,
          Outcome.UNTOUCHED,
          remedy);
      this.address = address;
    }

    /** Link-time address of what is refused. */
    public long address() {
      return address;
    }
  }

  /** This machine can't patch processes; see {@code TargetProcess.unavailabilityCause()}. */
  public static final class UnsupportedPlatformException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param reason what is missing
     */
    public UnsupportedPlatformException(
        String reason, @org.jspecify.annotations.Nullable Throwable cause) {
      super(reason, Outcome.UNTOUCHED, "plan and verify here, apply on Linux on x86-64", cause);
    }
  }

  /** No process with that id. */
  public static final class NoSuchProcessException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param pid as asked for
     */
    public NoSuchProcessException(int pid) {
      super("no process " + pid, Outcome.UNTOUCHED, "");
    }
  }

  /** No patch with that number in the target. */
  public static final class NoSuchPatchException extends PatchException {
    private static final long serialVersionUID = 1L;
    private final transient ImmutableList<Long> ids;

    /**
     * @param pid the target
     * @param id as asked for
     * @param ids the numbers of the patches that stand there
     */
    public NoSuchPatchException(int pid, long id, List<Long> ids) {
      super(
          "no patch " + id + " in process " + pid + "; its patches: " + words(ids),
          Outcome.UNTOUCHED,
          "");
      this.ids = ImmutableList.copyOf(ids);
    }

    private static String words(List<Long> ids) {
      return ids.isEmpty() ? "none" : Joiner.on(", ").join(ids);
    }

    /** The numbers of the patches that stand in the target. */
    public ImmutableList<Long> ids() {
      return ids;
    }
  }

  /** A patch that its patcher was cut off in can't be reverted as it is. */
  public static final class PatchCutOffException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param pid the target
     * @param id number of the patch
     */
    public PatchCutOffException(int pid, long id) {
      super(
          "patch " + id + " in process " + pid + " was cut off while it was applied or reverted",
          Outcome.UNTOUCHED,
          "recover the process first");
    }
  }

  /** The kernel does not allow it. */
  public static final class AccessDeniedException extends PatchException {
    private static final long serialVersionUID = 1L;

    /** What is missing. */
    public enum Missing {
      /** CAP_SYS_PTRACE, or the target's user id. */
      CAP_SYS_PTRACE,
      /** Yama's ptrace_scope forbids it. */
      YAMA,
      /** proc_mem.force_override forbids writing text through /proc/PID/mem. */
      FORCE_OVERRIDE
    }

    private final Missing missing;

    /**
     * @param what what was tried and the kernel's answer
     * @param missing what is missing
     * @param remedy what the user can do
     */
    public AccessDeniedException(String what, Missing missing, String remedy) {
      super(what, Outcome.UNTOUCHED, remedy);
      this.missing = missing;
    }

    /** What is missing. */
    public Missing missing() {
      return missing;
    }
  }

  /** Another tracer has the target: a debugger, strace, another patcher. */
  public static final class AlreadyTracedException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param pid the target
     * @param tracer process id of the tracer, 0 where it is in another pid namespace
     * @param tracerName its command name
     */
    public AlreadyTracedException(int pid, int tracer, String tracerName) {
      super(
          "process " + pid + " is traced by " + tracer + " (" + tracerName + ")",
          Outcome.UNTOUCHED,
          "end that tracer first");
    }
  }

  /** A target that this library does not patch, whoever asks. */
  public static final class UnsupportedTargetException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param what what the target is
     * @param remedy what the user can do
     */
    public UnsupportedTargetException(String what, String remedy) {
      super(what, Outcome.UNTOUCHED, remedy);
    }
  }

  /** The target's seccomp filter forbids a system call that a patch needs. */
  public static final class SeccompException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param what the system call and the filter's answer
     * @param remedy what the user can do
     */
    public SeccompException(String what, String remedy) {
      super(what, Outcome.UNTOUCHED, remedy);
    }
  }

  /** The site's mapping can't be patched: shared, hugetlb, not executable, or none. */
  public static final class UnwritableMappingException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param address absolute
     * @param reason what the mapping is
     * @param outcome what is true of the target now
     */
    public UnwritableMappingException(long address, String reason, Outcome outcome) {
      super(hex(address) + ": " + reason, outcome, "");
    }
  }

  /** Other bytes stand at a site than the plan expects. */
  public static final class CodeChangedException extends PatchException {
    private static final long serialVersionUID = 1L;
    private final long address;
    private final transient CodeBytes expected;
    private final transient CodeBytes found;

    /**
     * @param address absolute
     * @param expected what the plan expects there
     * @param found what stands there
     * @param outcome what is true of the target now
     */
    public CodeChangedException(
        long address, CodeBytes expected, CodeBytes found, Outcome outcome) {
      super(
          "code at "
              + hex(address)
              + " is not what the plan expects: found "
              + found
              + ", expected "
              + expected,
          outcome,
          "read the code again and make a new plan; another tool may patch the same place");
      this.address = address;
      this.expected = expected;
      this.found = found;
    }

    /** Absolute address. */
    public long address() {
      return address;
    }

    /** What the plan expects there. */
    public CodeBytes expected() {
      return expected;
    }

    /** What stands there. */
    public CodeBytes found() {
      return found;
    }
  }

  /**
   * A thread stays inside of the site whose instructions are to be displaced, and can't be moved:
   * as a rule it is in a signal handler that has interrupted it there.
   */
  public static final class EvacuationTimeoutException extends PatchException {
    private static final long serialVersionUID = 1L;
    private final int thread;

    /**
     * @param site absolute address of the site, or of the first one of several
     * @param thread its id
     * @param description the thread in words
     * @param reason what holds it: an address, and where that was found
     * @param others how many other threads stay inside
     * @param patience how long they were waited for
     * @param outcome what is true of the target now
     */
    public EvacuationTimeoutException(
        long site,
        int thread,
        String description,
        String reason,
        int others,
        Duration patience,
        Outcome outcome) {
      super(
          "thread "
              + description
              + ", was not out of the site at "
              + hex(site)
              + " within "
              + patience.toMillis()
              + " ms: "
              + reason
              + (others == 0 ? "" : "; so are " + others + " other threads"),
          outcome,
          "try again when it has gone on, or attach with more patience");
      this.thread = thread;
    }

    /**
     * Of a context that no thread runs.
     *
     * @param site absolute address of the site, or of the first one of several
     * @param boundary the address inside, absolute, that is saved somewhere; 0: not all memory
     *     could be looked at
     * @param where absolute address of the word that holds it
     * @param patience how long was looked
     * @param outcome what is true of the target now
     */
    public EvacuationTimeoutException(
        long site, long boundary, long where, Duration patience, Outcome outcome) {
      super(
          boundary == 0
              ? "not all memory was looked at within "
                  + patience.toMillis()
                  + " ms for fibers inside of the site at "
                  + hex(site)
              : "a fiber that no thread runs may be inside of the site at "
                  + hex(site)
                  + ": "
                  + hex(boundary)
                  + " is saved at "
                  + hex(where),
          outcome,
          "try again later, or attach with more patience");
      this.thread = 0;
    }

    /** The thread's id; 0 where none is known: see the message. */
    public int thread() {
      return thread;
    }
  }

  /** The target has ended. */
  public static final class TargetGoneException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param pid the target
     * @param what what it was seen doing last
     */
    public TargetGoneException(int pid, String what) {
      super("process " + pid + " has ended: " + what, Outcome.GONE, "");
    }
  }

  /** The target runs another program now: it called execve. */
  public static final class TargetExecedException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param pid the target
     */
    public TargetExecedException(int pid) {
      super(
          "process " + pid + " runs another program: it called execve",
          Outcome.GONE,
          "attach again");
    }
  }

  /** No thread of the target can be borrowed to start the helper. */
  public static final class NoThreadToBorrowException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param pid the target
     * @param threads one line per thread: why not this one
     */
    public NoThreadToBorrowException(int pid, List<String> threads) {
      super(
          "no thread of process " + pid + " can be borrowed: " + String.join("; ", threads),
          Outcome.UNTOUCHED,
          "try again when a thread runs or waits in a call that restarts");
    }
  }

  /**
   * A thread's signal state makes a breakpoint deadly: a SIGTRAP is pending, or nobody would take
   * it.
   */
  public static final class SignalStateException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param what thread and state
     * @param remedy what the user can do
     */
    public SignalStateException(String what, String remedy) {
      super(what, Outcome.UNTOUCHED, remedy);
    }
  }

  /** A system call failed in a way that no other type of this catalogue names. */
  public static final class SystemCallException extends PatchException {
    private static final long serialVersionUID = 1L;
    private final int errno;

    /**
     * @param call name and arguments
     * @param errno the kernel's answer
     * @param outcome what is true of the target now
     */
    public SystemCallException(String call, int errno, Outcome outcome) {
      super(call + " failed with errno " + errno, outcome, "");
      this.errno = errno;
    }

    /** The kernel's answer. */
    public int errno() {
      return errno;
    }
  }

  /** A handle was used out of turn: a patch reverted twice, a closed process. */
  public static final class WrongStateException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param what what was asked, and in which state
     */
    public WrongStateException(String what) {
      super(what, Outcome.UNTOUCHED, "");
    }
  }

  /** A plan that is safe, but that this engine can't carry out. */
  public static final class UnsupportedPlanException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param what what the engine can't do
     * @param remedy what the user can do
     */
    public UnsupportedPlanException(String what, String remedy) {
      super(what, Outcome.UNTOUCHED, remedy);
    }
  }

  /** A program could not be started. Nothing of it has run. */
  public static final class LaunchFailedException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param what what could not be done
     * @param remedy what the user can do
     */
    public LaunchFailedException(String what, String remedy) {
      super(what, Outcome.UNTOUCHED, remedy);
    }
  }

  /** No memory is free for code of ours where it must be. Nothing was written. */
  public static final class NoRoomException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param address absolute address of the code that ours must be near to
     * @param reason what was looked for
     */
    public NoRoomException(long address, String reason) {
      super(
          "no room for code near " + hex(address) + ": " + reason,
          Outcome.UNTOUCHED,
          "choose another site, or have the program map less around its code");
    }
  }

  /** A text that is no description of a live patch. */
  public static final class BadLivePatchException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param where position in the text, such as {@code $.objects[0].name}, or what it is of
     * @param reason what was found there, and what was expected
     */
    public BadLivePatchException(
        String where, String reason, @org.jspecify.annotations.Nullable Throwable cause) {
      super(
          "no live patch: at " + where + ": " + reason,
          Outcome.UNTOUCHED,
          "see the README for what a live patch says of itself",
          cause);
    }
  }

  /** A live patch did not let itself be loaded or enabled: code of its own said so, or failed. */
  public static final class LivePatchFailedException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param what which function of which patch, and what became of it
     * @param outcome what is true of the target now
     * @param remedy what the user can do
     */
    public LivePatchFailedException(String what, Outcome outcome, String remedy) {
      super(what, outcome, remedy);
    }
  }

  /** Threads stay in code that is to be left, longer than somebody wanted to wait. */
  public static final class CodeInUseException extends PatchException {
    private static final long serialVersionUID = 1L;
    private final transient ImmutableList<String> blockers;

    /**
     * @param what which code
     * @param blockers each thread or word that refers to it, in words
     * @param patience how long was waited
     * @param outcome what is true of the target now
     */
    public CodeInUseException(
        String what, List<String> blockers, Duration patience, Outcome outcome) {
      super(
          what
              + " was in use for "
              + patience.toMillis()
              + " ms: "
              + (blockers.isEmpty()
                  ? "by other threads at each look"
                  : String.join("; ", blockers)),
          outcome,
          "wait longer, or patch at once, without consistency; a function that never returns can be"
              + " patched inside, site by site");
      this.blockers = ImmutableList.copyOf(blockers);
    }

    /** Each thread or word that refers to the code, in words. */
    public ImmutableList<String> blockers() {
      return blockers;
    }
  }

  /** A pool that was reserved in the target has no room left. Nothing was written. */
  public static final class PoolFullException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param address absolute address of the code that the pool is near to
     * @param code bytes of code that were wanted
     * @param data bytes of data that were wanted
     * @param pool its size, and what enlarges it, in words
     */
    public PoolFullException(long address, long code, long data, String pool) {
      super(
          "the pool for code near "
              + hex(address)
              + " is full: "
              + code
              + " bytes of code and "
              + data
              + " of data are wanted, and "
              + pool,
          Outcome.UNTOUCHED,
          "revert what is not needed any more, or reserve a larger pool");
    }
  }

  /** Our own side failed: a defect, or a JVM without memory. */
  public static final class EngineFailedException extends PatchException {
    private static final long serialVersionUID = 1L;

    /**
     * @param cause what was thrown
     * @param outcome what is true of the target now
     */
    public EngineFailedException(Throwable cause, Outcome outcome) {
      super(
          "the engine failed: " + cause, outcome, "please report it, with the stack trace", cause);
    }
  }
}
