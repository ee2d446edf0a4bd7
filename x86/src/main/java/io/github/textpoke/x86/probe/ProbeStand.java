package io.github.textpoke.x86.probe;

/** How a probe stands at a place. */
public sealed interface ProbeStand {
  /** A jump, which costs no trap. */
  record Jump() implements ProbeStand {
    @Override
    public String toString() {
      return "jump";
    }
  }

  /**
   * A breakpoint that stays: each pass traps, some ten microseconds, and the process is traced as
   * long as it stands.
   *
   * @param reason why no jump can stand there, with the planner's rule where it is one's
   */
  record Breakpoint(String reason) implements ProbeStand {
    @Override
    public String toString() {
      return "int3: " + reason;
    }
  }
}
