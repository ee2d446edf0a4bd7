package io.github.textpoke.cli;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.AccessDeniedException;
import io.github.textpoke.PatchException.AlreadyTracedException;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.BadLivePatchException;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.BadPlanException;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.PatchException.CodeChangedException;
import io.github.textpoke.PatchException.CodeInUseException;
import io.github.textpoke.PatchException.EngineFailedException;
import io.github.textpoke.PatchException.EvacuationTimeoutException;
import io.github.textpoke.PatchException.LaunchFailedException;
import io.github.textpoke.PatchException.LivePatchFailedException;
import io.github.textpoke.PatchException.NoRoomException;
import io.github.textpoke.PatchException.NoSuchPatchException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.NoThreadToBorrowException;
import io.github.textpoke.PatchException.ObjectRefusedException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.PatchCutOffException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.PatchException.PoolFullException;
import io.github.textpoke.PatchException.SeccompException;
import io.github.textpoke.PatchException.SignalStateException;
import io.github.textpoke.PatchException.SystemCallException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnsafePlanException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.PatchException.WrongStateException;

/** What the process ends with; the README documents them. */
final class ExitCode {
  static final int DONE = 0;
  static final int UNEXPECTED = 1;
  static final int USAGE = 2;
  static final int REFUSED = 3;
  static final int NOT_PERMITTED = 4;
  static final int TARGET_GONE = 5;
  static final int ROLLED_BACK = 6;

  /** Every type of the catalogue; the code holds while the target is untouched. */
  static final ImmutableMap<Class<? extends PatchException>, Integer> OF =
      ImmutableMap.<Class<? extends PatchException>, Integer>builder()
          .put(BadSiteException.class, USAGE)
          .put(NoSuchSymbolException.class, USAGE)
          .put(AmbiguousSymbolException.class, USAGE)
          .put(BadObjectException.class, USAGE)
          .put(BadLivePatchException.class, USAGE)
          .put(BadPlanException.class, USAGE)
          .put(NoSuchPatchException.class, USAGE)
          .put(LaunchFailedException.class, USAGE)
          .put(PlanRefusedException.class, REFUSED)
          .put(ObjectRefusedException.class, REFUSED)
          .put(UnsafePlanException.class, REFUSED)
          .put(UnsupportedPlanException.class, REFUSED)
          .put(NoRoomException.class, REFUSED)
          .put(CodeInUseException.class, REFUSED)
          .put(LivePatchFailedException.class, REFUSED)
          .put(PoolFullException.class, REFUSED)
          .put(UnwritableMappingException.class, REFUSED)
          .put(CodeChangedException.class, REFUSED)
          .put(PatchCutOffException.class, REFUSED)
          .put(AccessDeniedException.class, NOT_PERMITTED)
          .put(AlreadyTracedException.class, NOT_PERMITTED)
          .put(SeccompException.class, NOT_PERMITTED)
          .put(UnsupportedTargetException.class, NOT_PERMITTED)
          .put(UnsupportedPlatformException.class, NOT_PERMITTED)
          .put(NoThreadToBorrowException.class, NOT_PERMITTED)
          .put(SignalStateException.class, NOT_PERMITTED)
          .put(NoSuchProcessException.class, TARGET_GONE)
          .put(TargetGoneException.class, TARGET_GONE)
          .put(TargetExecedException.class, TARGET_GONE)
          .put(EvacuationTimeoutException.class, UNEXPECTED)
          .put(SystemCallException.class, UNEXPECTED)
          .put(EngineFailedException.class, UNEXPECTED)
          .put(WrongStateException.class, REFUSED)
          .buildOrThrow();

  private ExitCode() {}

  /** The code for a failure. What became of the target goes before what caused it. */
  static int of(Throwable failure) {
    if (!(failure instanceof PatchException patch)) {
      return UNEXPECTED;
    }
    if (patch.outcome() == Outcome.ROLLED_BACK) {
      return ROLLED_BACK;
    }
    if (patch.outcome() == Outcome.GONE) {
      return TARGET_GONE;
    }
    return patch.outcome() == Outcome.UNTOUCHED
        ? OF.getOrDefault(patch.getClass(), UNEXPECTED)
        : UNEXPECTED;
  }
}
