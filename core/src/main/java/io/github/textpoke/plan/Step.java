package io.github.textpoke.plan;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;

/** One step of a plan. Steps are done in order; each is complete before the next begins. */
public sealed interface Step {
  /** Why the step is there: for the table that a person reads. */
  String why();

  /**
   * Compare, then write.
   *
   * @param address absolute
   * @param expected what must stand there before; as long as {@code bytes}
   * @param bytes what is written; does not cross a page
   */
  record Write(long address, CodeBytes expected, CodeBytes bytes, String why) implements Step {
    /** Checks that both are of one length, not empty. */
    public Write {
      new Site(address, bytes);
      if (expected.length() != bytes.length()) {
        throw new IllegalArgumentException("expected and new bytes differ in length");
      }
    }
  }

  /** Core sync: afterwards no core can run bytes fetched before it. */
  record SyncCores(String why) implements Step {}
}
