package io.github.textpoke.x86.detour;

import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.Launched;
import io.github.textpoke.apply.TargetProcess;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;

/**
 * A JVM that is killed: {@code MOMENT OUTPUT PROGRAM...} starts a program, writes its process id at
 * a moment, {@code entry}, {@code loaded} or {@code begun}, and then stays there.
 */
final class LaunchFromAnotherJvm {
  private LaunchFromAnotherJvm() {}

  public static void main(String[] arguments) throws InterruptedException {
    String moment = arguments[0];
    Launch launch =
        TargetProcess.launch(List.of(arguments).subList(2, arguments.length))
            .output(Redirect.to(Path.of(arguments[1]).toFile()));
    Consumer<TargetProcess> patches =
        process -> {
          Detours.in(process).at("inherited:main").toItself();
          if (!moment.equals("begun")) {
            stayAt(process.pid());
          }
        };
    launch = moment.equals("entry") ? launch.patchAtEntry(patches) : launch.patch(patches);
    try (Launched program = launch.start()) {
      stayAt(program.pid());
    }
  }

  private static void stayAt(int pid) {
    System.out.println(pid);
    System.out.flush();
    try {
      new CountDownLatch(1).await();
    } catch (InterruptedException end) {
      throw new IllegalStateException(end);
    }
  }
}
