package io.github.textpoke.apply;

import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import java.io.IOException;
import java.time.Duration;

/**
 * A patcher of several: PID SITE TARGET COUNT LINGER in milliseconds. It begins when it gets a
 * line.
 */
final class Toggler {
  /** On a busy machine, another one may not come to let go for a while. */
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private Toggler() {}

  public static void main(String[] args) throws IOException {
    String site = args[1];
    AttachOptions options =
        AttachOptions.DEFAULT
            .withLinger(Duration.ofMillis(Integer.parseInt(args[4])))
            .withPatience(PATIENCE);
    try (TargetProcess process = TargetProcess.attach(Integer.parseInt(args[0]), options)) {
      PatchPlan plan =
          X86Planner.create()
              .replace(
                  process.code(site),
                  process.address(site),
                  Assembly.jmp(process.address(args[2])));
      System.out.println("ready");
      System.in.read();
      for (int i = Integer.parseInt(args[3]); i > 0; i--) {
        process.apply(plan).revert();
      }
    }
    System.out.println("done");
  }
}
