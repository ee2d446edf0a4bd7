package io.github.textpoke.x86.probe;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.livepatch.LoadedPatch;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What a probe does at each call of a function. Immutable and thread-safe. */
public sealed interface ProbeAction {
  /** Which calls it is for. */
  CallCondition condition();

  /** The same for those calls alone that pass these tests, and those that it has already. */
  ProbeAction when(CallCondition also);

  /**
   * It counts.
   *
   * @param condition which calls
   */
  record Count(CallCondition condition) implements ProbeAction {
    @Override
    public Count when(CallCondition also) {
      return new Count(condition.and(also));
    }

    @Override
    public String toString() {
      return withCondition("count", condition);
    }
  }

  /**
   * It counts, and takes the time from the entry to the exit.
   *
   * @param condition which calls
   */
  record Latency(CallCondition condition) implements ProbeAction {
    @Override
    public Latency when(CallCondition also) {
      return new Latency(condition.and(also));
    }

    @Override
    public String toString() {
      return withCondition("latency", condition);
    }
  }

  /**
   * It counts, and keeps what a call was made with, and perhaps what it returned.
   *
   * @param arguments that are kept, at most {@value Argument#MOST}
   * @param returned how what it returns is read; empty: that is not looked at
   * @param records how many calls there is room for until {@link Probe#drain} takes them, a power
   *     of two from 2 to {@value #MOST_RECORDS}; for the functions of each object
   * @param condition which calls
   */
  record Capture(
      ImmutableList<Argument> arguments,
      Optional<IntegerType> returned,
      int records,
      CallCondition condition)
      implements ProbeAction {
    /** The most {@link #records}. */
    public static final int MOST_RECORDS = 1 << 16;

    static final int RECORDS = 1 << 12;

    /** Checks the numbers. */
    public Capture {
      checkArgument(
          records >= 2 && records <= MOST_RECORDS && Integer.bitCount(records) == 1,
          "room for %s calls: give a power of two from 2 to %s",
          records,
          MOST_RECORDS);
      checkArgument(
          arguments.size() <= Argument.MOST,
          "%s arguments of at most %s",
          arguments.size(),
          Argument.MOST);
    }

    /** The same, and it keeps what a call returns: see {@link ProbeAction#capture}. */
    public Capture withReturned(IntegerType type) {
      return new Capture(arguments, Optional.of(type), records, condition);
    }

    /** The same, with room for another number of {@link #records}. */
    public Capture keeping(int calls) {
      return new Capture(arguments, returned, calls, condition);
    }

    @Override
    public Capture when(CallCondition also) {
      return new Capture(arguments, returned, records, condition.and(also));
    }

    @Override
    public String toString() {
      return withCondition(
          Stream.concat(
                  arguments.stream().map(Argument::toString),
                  returned.stream().map(type -> "ret:" + CallCondition.shortName(type)))
              .collect(Collectors.joining(",", "capture ", "")),
          condition);
    }
  }

  /**
   * It counts, and calls a function of a live patch.
   *
   * @param patch whose object has the function, of the process that is probed
   * @param function its name, without version
   * @param condition which calls
   */
  record Calling(LoadedPatch patch, String function, CallCondition condition)
      implements ProbeAction {
    @Override
    public Calling when(CallCondition also) {
      return new Calling(patch, function, condition.and(also));
    }

    @Override
    public String toString() {
      return withCondition("call of " + function + " of live patch " + patch.id(), condition);
    }
  }

  private static String withCondition(String action, CallCondition condition) {
    return condition.isAlways() ? action : action + " when " + condition;
  }

  /**
   * Counts calls and takes their times, on the thread that makes them, in a histogram. What is
   * patched is the entry and each exit: all returns and the jumps to other functions at the end of
   * this one. Return addresses stay as they are, so exceptions, shadow stacks and whoever looks at
   * stacks do not mind. A function with an exit that can't be found for certain, or where no jump
   * can stand, is left out: see {@link Probe#unprobed}.
   *
   * <p>A call is timed if it begins and ends while the probe is armed. Left out are those that end
   * by longjmp or an exception; now and then one whose place on the stack shares a cell with
   * another's; and those of threads that need a histogram when there is none left.
   */
  static Latency latency() {
    return new Latency(CallCondition.ALWAYS);
  }

  /** Counts calls: about a nanosecond each where the program has a C library. */
  static Count count() {
    return new Count(CallCondition.ALWAYS);
  }

  /**
   * Counts calls, and keeps of each the arguments, the moment and the thread, in memory of the
   * target that {@link Probe#drain} takes them from; nothing is stopped for that. Where more calls
   * come than are taken, records are lost and counted: no thread ever waits.
   *
   * <p>{@link Capture#withReturned} adds what the call returned and how long it took, and has the
   * exits patched as {@link #latency} does. There is one record of a call then, made when it
   * returns, of what was noted at its entry and belongs to no other call. A call is counted if it
   * begins while the probe is armed. One that has not returned yet has no record; nor has one that
   * has not returned when the probe is disarmed, or that ends by longjmp or an exception: it is
   * counted as lost when the note's place is used again. A function that goes on in another one by
   * a jump at its end has returned nothing.
   *
   * <p>A record takes 128 bytes of the target's memory; where what calls return is kept, each of
   * the {@linkplain ProbePool#threads threads} has 128 KiB of addresses for notes, of which pages
   * are taken as they are used. A forked child has a copy of all that, which nobody drains.
   *
   * @param arguments that are kept; none: the calls alone
   */
  static Capture capture(Argument... arguments) {
    return capture(List.of(arguments));
  }

  /**
   * As {@link #capture(Argument...)}.
   *
   * @param arguments that are kept; none: the calls alone
   */
  static Capture capture(List<Argument> arguments) {
    return new Capture(
        ImmutableList.copyOf(arguments), Optional.empty(), Capture.RECORDS, CallCondition.ALWAYS);
  }

  /**
   * Counts calls, and before each one calls a function of a live patch's object, on the thread that
   * makes it. The live patch need not be enabled, and may replace nothing; it can't be unloaded as
   * long as the probe is armed. The function is a C function:
   *
   * <pre>{@code
   * struct call {  // as it was at the entry; what is changed there the probed function gets
   *   uint64_t rdi, rsi, rdx, rcx, r8, r9;  // the first six arguments
   *   uint64_t rax, r10, r11, flags, rbp;
   *   const void *back;                     // the return address: not to be changed
   *   const uint64_t more[];                // arguments on the stack
   * };
   * void on_call(struct call *call);
   * }</pre>
   *
   * <p>All that the ABI lets it change is as before afterwards, but for what it writes to the
   * struct: vector registers and the x87 state too, but not errno. It runs where the probed
   * function would, in handlers of signals too, with 3 KiB less of the stack. It must not call the
   * probed function in whatever way, and what it throws can't be caught: there is no unwind
   * information of the code that calls it, though a frame that is found by rbp.
   *
   * @param patch of the process that is probed
   * @param function its name, without version
   */
  static Calling calling(LoadedPatch patch, String function) {
    return new Calling(patch, function, CallCondition.ALWAYS);
  }

  /** Whether exits are patched too. */
  default boolean isAtExits() {
    return this instanceof Latency
        || this instanceof Capture capture && capture.returned().isPresent();
  }

  /** Whether it takes the processor's time. */
  default boolean takesTime() {
    return this instanceof Latency || this instanceof Capture;
  }
}
