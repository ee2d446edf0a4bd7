package io.github.textpoke.x86.link;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.textpoke.CodeBytes;

/**
 * Whole pages of a linked object with one protection.
 *
 * @param address absolute, a multiple of 4096
 * @param size bytes, a multiple of 4096
 * @param protection that it has once it is filled
 * @param bytes that stand at its start; the rest is zero
 */
public record LinkedSegment(long address, long size, Protection protection, CodeBytes bytes) {
  static final long PAGE = 4096;

  /** What a program may do with pages. There is none that it may both write to and run. */
  public enum Protection {
    /** {@code r--}. */
    READ("r--"),
    /** {@code rw-}. */
    READ_WRITE("rw-"),
    /** {@code r-x}. */
    READ_EXECUTE("r-x");

    private final String letters;

    Protection(String letters) {
      this.letters = letters;
    }

    /** As in {@code /proc/PID/maps}. */
    public String letters() {
      return letters;
    }
  }

  /** Checks that these are whole pages. */
  public LinkedSegment {
    checkArgument(address % PAGE == 0 && size % PAGE == 0 && size > 0, "no pages: %s", address);
    checkArgument(bytes.length() <= size, "%s bytes in %s", bytes.length(), size);
  }

  /** Absolute address behind its last byte. */
  public long end() {
    return address + size;
  }
}
