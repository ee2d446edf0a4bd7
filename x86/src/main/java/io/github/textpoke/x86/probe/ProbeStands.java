package io.github.textpoke.x86.probe;

/** How probes may stand. */
public enum ProbeStands {
  /** As jumps; where none can stand, there is no probe. */
  JUMPS,
  /**
   * Where no jump can stand, as breakpoints that stay: a thread that comes there traps, which takes
   * some ten microseconds, and as long as one stands the process is traced by a process of ours, so
   * no debugger can attach to it. Forked children don't have them.
   */
  BREAKPOINTS_TOO
}
