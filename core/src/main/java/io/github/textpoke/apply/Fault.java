package io.github.textpoke.apply;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What a function of a target returns instead of running, and in which of its calls; said without
 * an instruction set. A {@link FaultInjector} puts it in place, and says what else it refuses.
 *
 * <p>Immutable and thread-safe.
 *
 * @param function {@code 0xADDR} or {@code [object:]symbol[#n]}
 * @param values one: what each of the calls returns; several: what they return in this order, and
 *     behind the last one the function runs again
 * @param errno the name of the error that errno is set to in the thread that calls, as in errno(3):
 *     {@code EIO}; empty: errno is left alone
 * @param everyNth n of every n-th call, at least 1; all other calls run
 * @param atMost how many calls return so, at least 1; empty: there is no limit
 * @param duration how long by the target's own clock, positive; empty: until it is reverted
 */
public record Fault(
    String function,
    ImmutableList<Long> values,
    Optional<String> errno,
    long everyNth,
    OptionalLong atMost,
    Optional<Duration> duration) {
  /**
   * Checks what needs no target.
   *
   * @throws IllegalArgumentException if there is no function or value, or a number is out of range
   */
  public Fault {
    checkArgument(!function.isEmpty(), "no function is named");
    checkArgument(!values.isEmpty(), "%s has no value to return", function);
    checkArgument(everyNth >= 1, "every n-th call needs an n of at least 1, not %s", everyNth);
    atMost.ifPresent(
        limit -> checkArgument(limit >= 1, "at least one call returns so, not %s", limit));
    duration.ifPresent(
        length ->
            checkArgument(
                length.compareTo(Duration.ZERO) > 0, "a duration is positive, not %s", length));
  }
}
