package io.github.textpoke.decode;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;

/**
 * Code at its address, with what is known of it: the input of a planner. Usually one function. The
 * first byte is a trusted start: a symbol or a function start of {@code .eh_frame}.
 *
 * @param name the function's or object's name, for messages
 * @param address absolute address of the first byte
 * @param bytes as they stand in the target now
 * @param entryPoints absolute addresses inside where control may enter from elsewhere: symbols,
 *     landing pads; {@code address} itself need not be listed
 * @param originals sites inside that we have patched, with the bytes that stood there before
 * @param backing what is known of the mapping
 */
public record CodeRegion(
    String name,
    long address,
    CodeBytes bytes,
    ImmutableSet<Long> entryPoints,
    ImmutableList<Site> originals,
    Backing backing) {

  /** What is known of the mapping that holds the code. */
  public enum Backing {
    /** Private: a write is seen by this process alone. */
    PRIVATE,
    /** Shared: a write would change the file and every other process. */
    SHARED,
    /** Bytes without a process. The applier checks before it writes. */
    UNKNOWN
  }

  /** Checks that the region is not empty, does not wrap around and holds its originals. */
  public CodeRegion {
    checkArgument(bytes.length() > 0, "empty region %s", name);
    checkArgument(
        Long.compareUnsigned(address + bytes.length() - 1, address) >= 0,
        "region %s wraps around",
        name);
    for (Site original : originals) {
      checkArgument(
          Long.compareUnsigned(original.address(), address) >= 0
              && Long.compareUnsigned(original.end(), address + bytes.length()) <= 0,
          "original %s outside of region %s",
          original,
          name);
    }
  }

  /** A region of bytes alone: no entry points, nothing patched, backing unknown. */
  public static CodeRegion of(String name, long address, CodeBytes bytes) {
    return new CodeRegion(
        name, address, bytes, ImmutableSet.of(), ImmutableList.of(), Backing.UNKNOWN);
  }

  /** The address behind the last byte. */
  public long end() {
    return address + bytes.length();
  }

  /** Whether the byte at {@code at} is inside. */
  public boolean contains(long at) {
    return Long.compareUnsigned(at, address) >= 0 && Long.compareUnsigned(at, end()) < 0;
  }

  /** The offset of {@code at} from the first byte; {@code at} must be inside. */
  public int offsetOf(long at) {
    checkArgument(contains(at), "0x%s is not in %s", Long.toHexString(at), name);
    return (int) (at - address);
  }

  /**
   * A site that begins inside, as far as it lies in the region: a jump may stand in padding too.
   */
  public Site within(Site site) {
    long inside = end() - site.address();
    return inside < site.length()
        ? new Site(site.address(), site.bytes().slice(0, (int) inside))
        : site;
  }

  /** The same region as it stood before we patched it. */
  public CodeRegion recovered() {
    CodeBytes recovered = bytes;
    for (Site original : originals) {
      recovered = recovered.with(offsetOf(original.address()), original.bytes());
    }
    return new CodeRegion(name, address, recovered, entryPoints, ImmutableList.of(), backing);
  }
}
