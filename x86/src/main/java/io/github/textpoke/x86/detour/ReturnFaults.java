package io.github.textpoke.x86.detour;

import com.google.common.primitives.Longs;
import io.github.textpoke.apply.Fault;
import io.github.textpoke.apply.FaultInjector;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.TargetProcess;
import java.util.Arrays;
import java.util.Optional;

/** Faults as return overrides, for who knows no instruction set. Thread-safe. */
public final class ReturnFaults implements FaultInjector {
  /** For {@link java.util.ServiceLoader}. */
  public ReturnFaults() {}

  @Override
  public Patch inject(TargetProcess process, Fault fault) {
    ReturnOverride override = override(fault); // checked before the target is looked at
    return Detours.in(process).at(fault.function()).returning(override).patch();
  }

  /**
   * The same in words of ours.
   *
   * @throws IllegalArgumentException if x86-64 Linux has no error of that name, or a number is out
   *     of range
   */
  static ReturnOverride override(Fault fault) {
    long[] values = Longs.toArray(fault.values());
    ReturnOverride override =
        values.length == 1
            ? ReturnOverride.returning(values[0])
            : ReturnOverride.returningInOrder(
                values[0], Arrays.copyOfRange(values, 1, values.length));
    override = override.everyNth(fault.everyNth());
    Optional<String> errno = fault.errno();
    if (errno.isPresent()) {
      override = override.withErrno(errno.get());
    }
    if (fault.atMost().isPresent()) {
      override = override.atMost(fault.atMost().getAsLong());
    }
    if (fault.duration().isPresent()) {
      override = override.lasting(fault.duration().get());
    }
    return override;
  }
}
