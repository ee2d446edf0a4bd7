package io.github.textpoke.x86.livepatch;

import io.github.textpoke.PatchException.AlreadyTracedException;
import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.TargetProcess;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;

/** A JVM beside the test's that changes a live patch, and may be killed: WORK PID FILE. */
final class OtherPatcher {
  private static final LoadOptions PATIENT =
      LoadOptions.DEFAULT.withPatience(Duration.ofMinutes(5));
  private static final Duration SHORT = Duration.ofMillis(100);

  /** What it does. */
  enum Work {
    /** Enables, and stays where a thread is in the way: says so. */
    STAYS_ENABLING,
    /** Likewise, the way back, when it is told to. */
    STAYS_DISABLING,
    /** Tries to enable for ever. */
    TRIES_TO_ENABLE,
    /** Enables and disables the first live patch that is there, and says each time that it has. */
    TOGGLES,
    /** Is refused, waits then, and changes it when it can. */
    COMES_SECOND
  }

  private OtherPatcher() {}

  public static void main(String[] arguments) throws InterruptedException, IOException {
    int pid = Integer.parseInt(arguments[1]);
    Path file = Path.of(arguments[2]);
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    switch (Work.valueOf(arguments[0])) {
      case STAYS_ENABLING -> {
        LoadedPatch patch = Descriptions.loadHoldAndTick(patches(pid), file);
        patch.enable((tries, blockers) -> stay());
      }
      case STAYS_DISABLING -> {
        LoadedPatch patch = Descriptions.loadHoldAndTick(patches(pid), file);
        patch.enable();
        say("enabled");
        in.readLine();
        patch.disable((tries, blockers) -> stay());
      }
      case TRIES_TO_ENABLE -> {
        LoadedPatch patch = patches(pid).load(file);
        say("loaded");
        patch.enable();
      }
      case TOGGLES -> {
        LoadedPatch patch = patches(pid).find(1);
        for (; ; ) {
          patch.enable();
          say("toggled");
          patch.disable();
        }
      }
      case COMES_SECOND -> {
        in.readLine();
        try (TargetProcess process =
            TargetProcess.attach(pid, AttachOptions.DEFAULT.withPatience(SHORT))) {
          say("attached to " + process.pid());
        } catch (AlreadyTracedException refused) {
          say(refused.getMessage());
        }
        try (TargetProcess process =
            TargetProcess.attach(pid, AttachOptions.DEFAULT.withPatience(Duration.ofMinutes(1)))) {
          LoadedPatch patch = LivePatches.in(process).load(file);
          patch.enable();
          say("enabled");
          in.readLine();
          patch.disable();
          say(patch.unload().orElse("unloaded"));
        }
      }
    }
  }

  private static LivePatches patches(int pid) {
    return LivePatches.in(TargetProcess.attach(pid), PATIENT);
  }

  private static void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  private static void stay() {
    say("waiting");
    try {
      new CountDownLatch(1).await();
    } catch (InterruptedException interrupted) {
      throw new AssertionError("nobody interrupts it", interrupted);
    }
  }
}
