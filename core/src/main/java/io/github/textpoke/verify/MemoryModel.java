package io.github.textpoke.verify;

/** What a core may see of bytes that another core writes, between two core syncs. */
public enum MemoryModel {
  /**
   * Each byte on its own: any value that it has had since the core's last sync, in any combination
   * with the others. No x86 is known to be weaker. The model to rely on.
   */
  CONSERVATIVE("conservative"),
  /**
   * Stores become visible to instruction fetch in program order, and the bytes of an instruction
   * are read in ascending order: a byte is never older than the one in front of it (AMD APM vol. 2,
   * 7.6.1). The bytes of one write still land in any order.
   */
  PROGRAM_ORDER("program order");

  private final String words;

  MemoryModel(String words) {
    this.words = words;
  }

  /** The name in words, fit for a message. */
  public String words() {
    return words;
  }
}
