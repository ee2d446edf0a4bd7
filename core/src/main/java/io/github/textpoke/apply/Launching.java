package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.LaunchFailedException;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.apply.internal.PokerProgram;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * One program on its way from {@link Launch} to {@link Launched}. What only one OS thread may do,
 * to be the launcher's parent and the program's tracer, is done on a thread that lives as long as
 * the launcher; patches are made on the caller's.
 */
final class Launching {
  private static final String THREAD = "textpoke-launch";

  private final Launch launch;
  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(
          task -> {
            Thread made = new Thread(task, THREAD);
            made.setDaemon(true);
            return made;
          });

  private @Nullable TargetProcess process;
  private @Nullable RuntimeException failure;

  /** What there is when the program's process is there. */
  private record Begun(Launcher launcher, HeldProgram program) {}

  Launching(Launch launch) {
    this.launch = launch;
  }

  Launched start() {
    CompletableFuture<ProgramEnd> end = new CompletableFuture<>();
    try {
      LaunchMemory order = new LaunchMemory(launch.order());
      Begun begun = onThread(() -> begin(order));
      try {
        patchAndLetGo(begun.program, begun.launcher.pid());
      } catch (RuntimeException | Error failed) {
        onThread(() -> end(begun.launcher, begun.program, failed));
        throw failed;
      }
      thread.execute(() -> awaitEnd(begun.launcher, end));
      return new Launched(
          begun.launcher.pid(), launch.options(), process, end, Optional.ofNullable(failure));
    } catch (RuntimeException | Error failed) {
      TargetProcess opened = process;
      if (opened != null) {
        opened.close();
      }
      throw failed;
    } finally {
      // It ends when what it was given is done.
      thread.shutdown();
    }
  }

  private static void awaitEnd(Launcher launcher, CompletableFuture<ProgramEnd> end) {
    try {
      end.complete(launcher.awaitEnd());
    } catch (Throwable failed) { // to who waits
      end.completeExceptionally(failed);
    }
  }

  private <T> T onThread(Supplier<T> work) {
    try {
      return CompletableFuture.supplyAsync(work, thread).join(); // which no interrupt ends
    } catch (CompletionException failed) {
      throw Launched.unchecked(failed);
    }
  }

  static PokerProgram code() {
    return ServiceLoader.load(PokerProgram.class, PokerProgram.class.getClassLoader())
        .findFirst()
        .orElseThrow(
            () ->
                new UnsupportedPlatformException(
                    "no code for this instruction set is on the class path; textpoke-x86 has it",
                    new IllegalStateException("no PokerProgram")));
  }

  /** Brings the program to its entry. */
  private Begun begin(LaunchMemory order) {
    Launcher launcher = new Launcher(order, code());
    HeldProgram program = new HeldProgram(launcher.pid(), launch.options().patience());
    try {
      program.seize();
      launcher.release();
      program.runToEntry();
    } catch (RuntimeException | Error failed) {
      end(launcher, program, failed);
      throw failed;
    }
    LaunchFailedException why = launcher.failure();
    if (why != null) {
      launcher.awaitEnd();
      throw why;
    }
    return new Begun(launcher, program);
  }

  /** Ends what has not begun, because of a failure. */
  private static boolean end(Launcher launcher, HeldProgram program, Throwable why) {
    try {
      program.kill();
      launcher.awaitEnd();
    } catch (RuntimeException also) {
      why.addSuppressed(also);
    }
    return true;
  }

  private void patchAndLetGo(HeldProgram program, int pid) {
    patch(program, pid, launch.atEntry());
    if (!launch.whenLoaded().isEmpty() && failure == null) {
      onThread(
          () -> {
            program.retake();
            program.runToLoaded();
            return true;
          });
      patch(program, pid, launch.whenLoaded());
    }
    onThread(
        () -> {
          program.retake();
          program.letGo();
          return true;
        });
  }

  private void patch(HeldProgram program, int pid, ImmutableList<Consumer<TargetProcess>> patches) {
    if (patches.isEmpty()
        || onThread(
            () -> {
              program.hold();
              return program.hasEnded();
            })) {
      return;
    }
    try {
      TargetProcess target = process;
      if (target == null) {
        target = TargetProcess.attach(pid, launch.options());
        process = target;
      }
      for (Consumer<TargetProcess> each : patches) {
        each.accept(target);
      }
    } catch (RuntimeException failed) {
      if (!launch.startsUnpatched()) {
        throw failed;
      }
      failure = failed;
      if (process != null) {
        takeBack(process, failed);
      }
    }
    TargetProcess target = process;
    if (target != null) {
      target.letGo();
    }
  }

  /** Nothing of a patch may stay; if that fails too, that is what is thrown. */
  static void takeBack(TargetProcess target, RuntimeException why) {
    try {
      target.patches().reverse().forEach(Patch::revert);
    } catch (RuntimeException stays) {
      stays.addSuppressed(why);
      throw stays;
    }
  }
}
