package io.github.textpoke.apply;

import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import java.util.concurrent.locks.LockSupport;

/** A patcher that stands still in the middle, for who kills it: PID SITE TARGET STEP DIRECTION. */
final class CutOffPatcher implements Interference {
  static final String LABEL = "cut off";

  private final int step;
  private boolean isArmed;

  private CutOffPatcher(int step) {
    this.step = step;
  }

  public static void main(String[] args) {
    String site = args[1];
    CutOffPatcher patcher = new CutOffPatcher(Integer.parseInt(args[3]));
    TargetProcess process =
        TargetProcess.attach(
            Integer.parseInt(args[0]),
            AttachOptions.DEFAULT.withEngine(EngineChoice.STEPWISE),
            patcher);
    PatchPlan plan =
        X86Planner.create()
            .replace(
                process.code(site), process.address(site), Assembly.jmp(process.address(args[2])));
    patcher.isArmed = args[4].equals("APPLYING");
    Patch patch = process.apply(plan, LABEL);
    patcher.isArmed = true;
    patch.revert();
  }

  @Override
  public boolean pauses() {
    return true;
  }

  @Override
  public void before(int next) {
    if (isArmed && next == step) {
      System.out.println("held");
      while (true) {
        LockSupport.park();
      }
    }
  }
}
