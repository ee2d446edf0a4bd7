package io.github.textpoke.apply;

/**
 * How a program that was launched has ended. Immutable.
 *
 * @param code the exit code, 0 to 255; 0 where a signal has ended it
 * @param signal the number of the signal that has ended it; 0: it has called exit
 */
public record ProgramEnd(int code, int signal) {
  private static final int KILLED = 128;

  /** Of a status as wait4(2) gives it. */
  static ProgramEnd ofStatus(int status) {
    return new ProgramEnd(status >> 8 & 0xff, status & 0x7f);
  }

  /** What a shell says: the exit code, or 128 and the signal's number. */
  public int shellCode() {
    return signal == 0 ? code : KILLED + signal;
  }
}
