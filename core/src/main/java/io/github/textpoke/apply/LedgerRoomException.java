package io.github.textpoke.apply;

/** The ledger has no room for a record, and the session that stands can't make any. */
final class LedgerRoomException extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private final int size;

  /**
   * @param size bytes that a new segment must have
   */
  LedgerRoomException(int size) {
    super("the ledger needs a segment of " + size + " bytes");
    this.size = size;
  }

  int size() {
    return size;
  }
}
