package io.github.textpoke.x86.follow;

import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.Launched;
import io.github.textpoke.apply.TargetProcess;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;

/**
 * A JVM that is killed: {@code MOMENT PROGRAM...} starts a program whose children are followed, and
 * writes a line at a moment and stays there: {@code entry} or {@code loaded} of the first child, or
 * {@code begun}, of the program.
 */
final class FollowFromAnotherJvm {
  private FollowFromAnotherJvm() {}

  public static void main(String[] arguments) {
    String moment = arguments[0];
    Consumer<TargetProcess> stays = process -> stay();
    FollowedChildren children =
        FollowedChildren.with(
            launch ->
                switch (moment) {
                  case "entry" -> launch.patchAtEntry(stays);
                  case "loaded" -> launch.patch(stays);
                  default -> launch;
                });
    Launch launch = TargetProcess.launch(List.of(arguments).subList(1, arguments.length));
    try (Launched program = children.in(launch).start()) {
      if (moment.equals("begun")) {
        stay();
      }
      program.onExit().join();
    }
  }

  private static void stay() {
    System.out.println("there");
    System.out.flush();
    try {
      new CountDownLatch(1).await();
    } catch (InterruptedException end) {
      throw new IllegalStateException(end);
    }
  }
}
