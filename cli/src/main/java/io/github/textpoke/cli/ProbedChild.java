package io.github.textpoke.cli;

import io.github.textpoke.apply.FollowedProgram;
import io.github.textpoke.x86.probe.EarlyProbes;
import java.util.Optional;

/**
 * What was counted in a program that another has executed.
 *
 * @param probes empty where it was not patched
 */
record ProbedChild(FollowedProgram program, Optional<EarlyProbes> probes) {
  /** What it is, and why it is not as it was to be. */
  String title() {
    return "process "
        + program.pid()
        + " "
        + program.file()
        + program.failure().map(failure -> ": " + failure.getMessage()).orElse("");
  }
}
