package io.github.textpoke.apply;

/** An engine that can take memory of ours back. */
interface ObjectEngine extends Engine {
  /**
   * Unmaps memory of ours.
   *
   * @param address absolute, of a page
   * @param size bytes, whole pages
   */
  void unmap(long address, long size);
}
