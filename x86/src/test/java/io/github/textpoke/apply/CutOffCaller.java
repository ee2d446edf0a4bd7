package io.github.textpoke.apply;

import java.time.Duration;

/**
 * A JVM that calls a function which does not return, and is killed in it. Its arguments are the
 * target's process id and the function's address.
 */
final class CutOffCaller {
  /** It is about to call. */
  static final String CALLING = "calling";

  private CutOffCaller() {}

  public static void main(String[] arguments) {
    try (TargetProcess process = TargetProcess.attach(Integer.parseInt(arguments[0]))) {
      System.out.println(CALLING);
      CallOutcome outcome = process.call(Long.parseLong(arguments[1]), 0, 0, Duration.ofHours(1));
      throw new IllegalStateException("not killed, but: " + outcome);
    }
  }
}
