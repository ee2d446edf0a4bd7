package io.github.textpoke.unwind;

/** Why the caller of a frame can't be known; becomes the end of a trace. */
final class UnknownCallerException extends Exception {
  private static final long serialVersionUID = 1L;

  UnknownCallerException(String reason) {
    super(reason);
  }

  /** In words. */
  String reason() {
    return String.valueOf(getMessage());
  }
}
