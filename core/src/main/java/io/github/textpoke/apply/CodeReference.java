package io.github.textpoke.apply;

/**
 * What keeps memory of ours from being given back. Immutable.
 *
 * @param to absolute address that is referred to; 0: not all memory could be looked at in time
 * @param from absolute address of the word that holds it; 0: a thread is there, or returns there
 */
public record CodeReference(long to, long from) {
  /** In words, fit for a message. */
  public String describe() {
    return to == 0
        ? "not all memory could be looked at in time"
        : from == 0
            ? "a thread is in it, or returns to it, at 0x%x".formatted(to)
            : "the word at 0x%x refers to 0x%x".formatted(from, to);
  }
}
