package io.github.textpoke.x86.detour;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.SeccompException;
import io.github.textpoke.apply.SharedMemory;
import io.github.textpoke.apply.TargetProcess;
import java.util.Optional;

/**
 * Calls of some functions that say that they have come, and wait until {@link #release somebody has
 * seen them}, in a process and in what it forks. They wait for about two seconds at most; then the
 * call goes on, and from then on none waits, until {@link #arm}. So a program whose patcher is gone
 * waits once. They are looked at by one thread; else thread-safe.
 */
public final class AnnouncedCalls {
  /** Where a caller sleeps on a futex, from {@link #address}. */
  public static final int WAITED_FOR = WaitingCode.SEEN;

  private static final String NAME = "announced";
  private static final String LIBC = "libc:";

  /** Longer than a thread that has a number waits for a processor. */
  private static final long OVERDUE_NANOS = 500_000_000;

  /** The number that was taken and has not come, and since when. */
  private long missing;

  private long missingSince;

  private final long address;
  private final io.github.textpoke.linux.SharedMemory data;

  private AnnouncedCalls(long address, io.github.textpoke.linux.SharedMemory data) {
    this.address = address;
    this.data = data;
  }

  /**
   * A call.
   *
   * @param number from 1
   * @param thread the caller's id in its own namespace, which may be another than ours; -1 where it
   *     does not say
   * @param kind which function it is of
   * @param first the first argument
   * @param second the second one
   */
  public record Call(long number, int thread, int kind, long first, long second) {}

  /**
   * Has calls of some functions of libc be announced; of a static program, of its own of that name.
   *
   * @param functions the kind of a call is its place in there. Those that there are not, but the
   *     first, are left out
   * @param label for people, of the patches; the function's name follows
   * @param withThread whether a call says which thread it is of. Else it makes no system call, and
   *     uses its processor while it waits
   * @throws SeccompException if the program has a seccomp filter, which might kill for asking which
   *     thread it is
   * @throws NoSuchSymbolException if it has no first one that we find
   * @throws PatchException of another type that names the cause
   */
  public static AnnouncedCalls of(
      TargetProcess process, ImmutableList<String> functions, String label, boolean withThread) {
    if (withThread && process.hasSeccompFilter()) {
      throw new SeccompException(
          "the program has a seccomp filter, which may forbid what an announcement of a call takes",
          "");
    }
    String prefix = has(process, LIBC + functions.get(0)) ? LIBC : "";
    AnnouncedCalls calls = in(process, process.address(prefix + functions.get(0)));
    Detours detours = Detours.in(process);
    for (int kind = 0; kind < functions.size(); kind++) {
      String site = prefix + functions.get(kind);
      if (has(process, site)) {
        detours.announce(
            site,
            new Destination.Announcing(calls.address, kind, withThread),
            label + functions.get(kind));
      }
    }
    return calls;
  }

  private static boolean has(TargetProcess process, String site) {
    try {
      process.address(site);
      return true;
    } catch (NoSuchSymbolException | AmbiguousSymbolException none) {
      return false;
    }
  }

  /** Memory for them in a process, which stays there. */
  private static AnnouncedCalls in(TargetProcess process, long near) {
    try (SharedMemory memory =
        process.objectMemory().share(NAME, near, near + 1, AnnouncingBody.DATA_SIZE)) {
      AnnouncedCalls calls = new AnnouncedCalls(memory.address(), memory.words());
      calls.arm();
      return calls;
    }
  }

  /** Absolute address of the memory. */
  public long address() {
    return address;
  }

  /** Whether calls wait. */
  public boolean isArmed() {
    return data.getLong(WaitingCode.ARMED) != 0;
  }

  /** Has calls wait from now on. */
  public void arm() {
    data.setLong(WaitingCode.ARMED, 1);
  }

  /** Has no call wait any more, neither those that have come. */
  public void disarm() {
    data.setLong(WaitingCode.ARMED, 0);
    data.setLong(WaitingCode.SEEN, Long.MAX_VALUE - AnnouncingBody.SLOT_COUNT);
  }

  /**
   * The first call that was not released, {@linkplain #isWaiting also one that has waited in vain};
   * empty where there is none yet. One that has taken a number and does not come is left out: its
   * thread was killed.
   */
  public Optional<Call> next() {
    for (; ; ) {
      long number = data.getLong(WaitingCode.SEEN) + 1;
      int slot = slot(number);
      if (data.getLong(slot + AnnouncingBody.NUMBER) == number) {
        return Optional.of(
            new Call(
                number,
                (int) data.getLong(slot + AnnouncingBody.THREAD),
                (int) data.getLong(slot + AnnouncingBody.KIND),
                data.getLong(slot + AnnouncingBody.FIRST),
                data.getLong(slot + AnnouncingBody.SECOND)));
      }
      if (data.getLong(WaitingCode.VISITS) < number || !isOverdue(number)) {
        return Optional.empty();
      }
      data.setLong(WaitingCode.SEEN, number);
    }
  }

  private static int slot(long number) {
    return AnnouncingBody.SLOTS
        + (int) (number & AnnouncingBody.SLOT_COUNT - 1) * AnnouncingBody.SLOT_SIZE;
  }

  private boolean isOverdue(long number) {
    long now = System.nanoTime();
    if (missing != number) {
      missing = number;
      missingSince = now;
    }
    return now - missingSince > OVERDUE_NANOS;
  }

  /** Whether it has not waited in vain until now. */
  public boolean isWaiting(Call call) {
    int slot = slot(call.number);
    return data.getLong(slot + AnnouncingBody.NUMBER) == call.number
        && data.getLong(slot + AnnouncingBody.WAITS) != 0;
  }

  /** Lets it go on, and all before it. */
  public void release(Call call) {
    data.setLong(WaitingCode.SEEN, call.number);
  }
}
