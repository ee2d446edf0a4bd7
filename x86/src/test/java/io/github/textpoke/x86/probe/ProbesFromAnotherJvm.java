package io.github.textpoke.x86.probe;

import io.github.textpoke.apply.TargetProcess;
import java.util.concurrent.CountDownLatch;

/**
 * A JVM that is killed: {@code PID PATTERN HOW} arms a probe, says so, and then {@code stays}
 * there; or disarms it, and so on.
 */
final class ProbesFromAnotherJvm {
  private ProbesFromAnotherJvm() {}

  public static void main(String[] arguments) throws InterruptedException {
    try (TargetProcess process = TargetProcess.attach(Integer.parseInt(arguments[0]))) {
      Probe probe =
          Probes.in(process).at(arguments[1], ProbeAction.count(), ProbeStands.BREAKPOINTS_TOO);
      for (; ; ) {
        probe.arm();
        System.out.println("armed");
        System.out.flush();
        if (arguments[2].equals("stays")) {
          new CountDownLatch(1).await();
        }
        probe.disarm();
      }
    }
  }
}
