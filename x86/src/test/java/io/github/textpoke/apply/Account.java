package io.github.textpoke.apply;

import static com.google.common.collect.ImmutableList.toImmutableList;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Streams;
import io.github.textpoke.PatchException;
import java.util.stream.Stream;

/**
 * What became of a deed in one instance, in words that are the same in each: addresses by name, and
 * no numbers of processes, engines or moments.
 *
 * @param answer what the caller was told
 * @param changed every byte of the code that is not as it was when the program began
 * @param ledger the patches that stand, and those that were cut off
 * @param calls where the runners' calls led
 * @param signals what each runner blocks, and what is ignored and caught
 */
record Account(
    String answer,
    ImmutableList<String> changed,
    ImmutableList<String> ledger,
    ImmutableList<Called> calls,
    ImmutableList<String> signals) {
  /** How the answer begins where no failure was told. */
  static final String DONE = "done";

  /**
   * Where a call led.
   *
   * @param call before which step, by whom, of what
   * @param waited whether the caller waited for the end of the plan
   * @param went what the caller saw
   * @param again what a call sees when the deed is done
   */
  record Called(String call, boolean waited, String went, String again) {}

  boolean isDone() {
    return answer.startsWith(DONE);
  }

  boolean isRolledBack() {
    return answer.contains(PatchException.Outcome.ROLLED_BACK.name());
  }

  /** What is told here and not there, or not in the same words. */
  ImmutableList<String> less(Account other) {
    ImmutableSet<String> theirs = ImmutableSet.copyOf(other.all());
    return all().stream().filter(one -> !theirs.contains(one)).collect(toImmutableList());
  }

  private ImmutableList<String> all() {
    return Streams.concat(
            Stream.of(answer),
            changed.stream(),
            ledger.stream(),
            calls.stream().map(Called::toString),
            signals.stream())
        .collect(toImmutableList());
  }
}
