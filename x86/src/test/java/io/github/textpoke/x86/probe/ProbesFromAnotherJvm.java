package io.github.textpoke.x86.probe;

import io.github.textpoke.apply.TargetProcess;
import java.util.concurrent.CountDownLatch;

/** A JVM that is killed: {@code PID PATTERN} arms a probe, says so, and then stays there. */
final class ProbesFromAnotherJvm {
  private ProbesFromAnotherJvm() {}

  public static void main(String[] arguments) throws InterruptedException {
    try (TargetProcess process = TargetProcess.attach(Integer.parseInt(arguments[0]))) {
      Probes.in(process).at(arguments[1], ProbeAction.count(), ProbeStands.BREAKPOINTS_TOO).arm();
      System.out.println("armed");
      System.out.flush();
      new CountDownLatch(1).await();
    }
  }
}
