package io.github.textpoke.x86.plan;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * The restartable sequences of a program, as its {@code __rseq_cs} sections describe them. A
 * breakpoint inside one aborts it each time, so that it never gets done; and the kernel ends a
 * process whose signature before an abort handler was altered (rule 16).
 *
 * @param sections in any order
 */
public record RseqSections(ImmutableList<Section> sections) {
  /** No restartable sequences are known. */
  public static final RseqSections NONE = new RseqSections(ImmutableList.of());

  /** Bytes of the signature before each abort handler (RSEQ_SIG). */
  private static final int SIGNATURE = 4;

  /**
   * One sequence.
   *
   * @param start absolute address of its first byte
   * @param length in bytes
   * @param abort absolute address of its abort handler
   */
  public record Section(long start, long length, long abort) {
    /** Checks that it is not empty and does not wrap around. */
    public Section {
      checkArgument(
          length > 0 && Long.compareUnsigned(start + length - 1, start) >= 0,
          "no sequence: %s bytes at 0x%s",
          length,
          Long.toHexString(start));
    }

    private boolean isEntered(long from, long to) {
      return overlap(from, to, start, start + length);
    }

    private boolean isSignature(long from, long to) {
      return overlap(from, to, abort - SIGNATURE, abort);
    }

    private static boolean overlap(long from, long to, long start, long end) {
      return Long.compareUnsigned(from, end) < 0 && Long.compareUnsigned(start, to) < 0;
    }
  }

  /**
   * Why the bytes from {@code from}, inclusive, to {@code to}, exclusive, must not be touched;
   * empty where they may.
   */
  Optional<String> obstacle(long from, long to) {
    for (Section section : sections) {
      if (section.isSignature(from, to)) {
        return Optional.of(
            "it touches the signature before the abort handler 0x"
                + Long.toHexString(section.abort())
                + " of a restartable sequence: the kernel would end the process");
      }
      if (section.isEntered(from, to)) {
        return Optional.of(
            "it is inside the restartable sequence at 0x"
                + Long.toHexString(section.start())
                + ": a breakpoint there would abort it every time");
      }
    }
    return Optional.empty();
  }
}
