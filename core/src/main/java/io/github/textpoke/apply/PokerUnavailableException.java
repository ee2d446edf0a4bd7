package io.github.textpoke.apply;

/** The poker can't be had for this target; the stepwise engine may. Nothing was written. */
final class PokerUnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * @param reason why, to follow "no poker: "
   */
  PokerUnavailableException(String reason) {
    super(reason);
  }
}
