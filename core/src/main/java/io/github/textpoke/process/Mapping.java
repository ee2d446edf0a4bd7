package io.github.textpoke.process;

/**
 * One line of {@code /proc/PID/maps}. Addresses are absolute and unsigned.
 *
 * @param start first byte
 * @param end behind the last byte
 * @param readable {@code r}
 * @param writable {@code w}
 * @param executable {@code x}
 * @param shared {@code s}: a write reaches the file and every other process that maps it
 * @param offset of the first byte in the file, bytes
 * @param device of the file, {@code major:minor} in hexadecimal
 * @param inode of the file; 0 where there is none
 * @param path of the file as the process sees it, a name such as {@code [vdso]}, or empty
 * @param deleted whether the file was removed or replaced since
 */
public record Mapping(
    long start,
    long end,
    boolean readable,
    boolean writable,
    boolean executable,
    boolean shared,
    long offset,
    String device,
    long inode,
    String path,
    boolean deleted) {

  /** Whether the absolute {@code address} lies inside. */
  public boolean contains(long address) {
    return Long.compareUnsigned(address, start) >= 0 && Long.compareUnsigned(address, end) < 0;
  }

  /** The number of bytes. */
  public long length() {
    return end - start;
  }

  /** Whether a file is behind it. */
  public boolean hasFile() {
    return inode != 0;
  }

  /** The last name of the path; empty where there is none. */
  public String baseName() {
    return path.substring(path.lastIndexOf('/') + 1);
  }

  /** Whether {@code other} maps the same file. */
  public boolean isOfSameFile(Mapping other) {
    return inode == other.inode && device.equals(other.device) && path.equals(other.path);
  }

  /**
   * Whether the path is one that the kernel gives to huge pages without a file, or lies where a
   * hugetlbfs is mounted by custom. {@link MemoryMap#kernelPageSize} is certain, and slower.
   */
  public boolean isHugetlb() {
    return path.startsWith("/anon_hugepage") || path.startsWith("/dev/hugepages/");
  }

  @Override
  public String toString() {
    return Long.toHexString(start)
        + "-"
        + Long.toHexString(end)
        + " "
        + (readable ? 'r' : '-')
        + (writable ? 'w' : '-')
        + (executable ? 'x' : '-')
        + (shared ? 's' : 'p')
        + (path.isEmpty() ? "" : " " + path)
        + (deleted ? " (deleted)" : "");
  }
}
