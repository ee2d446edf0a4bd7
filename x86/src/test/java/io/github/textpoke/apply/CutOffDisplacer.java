package io.github.textpoke.apply;

import io.github.textpoke.apply.AttachOptions.EngineChoice;
import java.util.concurrent.locks.LockSupport;

/**
 * A patcher whose death leaves what it was cut off in, stands still before a step of a displacing
 * plan, for who kills it: PID SITE REPL COPY STEP, addresses in decimal.
 */
final class CutOffDisplacer implements Interference {
  private final int step;

  private CutOffDisplacer(int step) {
    this.step = step;
  }

  public static void main(String[] args) {
    int pid = Integer.parseInt(args[0]);
    DisplacedSite site =
        DisplacedSite.prepare(
            pid, Long.parseLong(args[1]), Long.parseLong(args[2]), Long.parseLong(args[3]));
    TargetProcess.attach(
            pid,
            AttachOptions.DEFAULT.withEngine(EngineChoice.STEPWISE),
            new CutOffDisplacer(Integer.parseInt(args[4])))
        .apply(site.plan());
  }

  @Override
  public boolean pauses() {
    return true;
  }

  @Override
  public void before(int next) {
    if (next == step) {
      System.out.println("held");
      while (true) {
        LockSupport.park();
      }
    }
  }
}
