package io.github.textpoke.apply;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.textpoke.CodeBytes;

/**
 * A stretch of an object of ours in a target, with a protection of its own: see {@link
 * ObjectMemory#map}.
 *
 * @param address absolute, of a page
 * @param length bytes, whole pages
 * @param access what the target may do there
 * @param bytes what stands there from the first byte on; the rest is zero
 */
public record ObjectSegment(long address, long length, Access access, CodeBytes bytes) {
  private static final long PAGE = 4096;

  /** What the target may do with a segment. No memory is ever writable and executable. */
  public enum Access {
    /** Nothing: a guard. */
    NONE(0),
    /** Read. */
    READ(TargetMappings.PROT_READ),
    /** Read and write. */
    READ_WRITE(TargetMappings.PROT_READ | TargetMappings.PROT_WRITE),
    /** Read and run. */
    READ_EXECUTE(TargetMappings.PROT_READ | TargetMappings.PROT_EXEC);

    final int protection;

    Access(int protection) {
      this.protection = protection;
    }
  }

  /** Checks that it is made of whole pages that hold its bytes. */
  public ObjectSegment {
    checkArgument(address % PAGE == 0, "a segment at 0x%s", Long.toHexString(address));
    checkArgument(length > 0 && length % PAGE == 0, "a segment of %s bytes", length);
    checkArgument(bytes.length() <= length, "%s bytes in a segment of %s", bytes.length(), length);
  }

  /** The absolute address behind the last byte. */
  public long end() {
    return address + length;
  }
}
