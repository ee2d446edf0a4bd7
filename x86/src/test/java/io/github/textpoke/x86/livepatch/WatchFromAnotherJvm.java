package io.github.textpoke.x86.livepatch;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.util.concurrent.CountDownLatch;

/** A JVM that is killed: it enables the plugin's patch in the process, watches, and says so. */
final class WatchFromAnotherJvm {
  private WatchFromAnotherJvm() {}

  public static void main(String[] arguments) throws InterruptedException {
    try (TargetProcess process = TargetProcess.attach(Integer.parseInt(arguments[0]))) {
      LivePatches patches = LivePatches.in(process);
      patches.load(Fixture.program("service_plugin.so")).enable();
      try (ObjectWatch watch = patches.watch()) {
        System.out.println("watching");
        System.out.flush();
        new CountDownLatch(1).await();
        watch.isWatching();
      }
    }
  }
}
