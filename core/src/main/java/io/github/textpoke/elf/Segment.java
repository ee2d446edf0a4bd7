package io.github.textpoke.elf;

/**
 * A program header (ELF specification, "Program Header"): what the loader maps, or reads.
 *
 * @param type {@code PT_LOAD} is 1, {@code PT_DYNAMIC} 2, {@code PT_NOTE} 4, {@code PT_TLS} 7
 * @param flags 4 readable, 2 writable, 1 executable
 * @param offset in the file, bytes
 * @param address link-time
 * @param fileSize bytes in the file
 * @param memorySize bytes in memory; what the file lacks is zero
 * @param alignment of address and offset, bytes, a power of 2 where the object is well-formed; 0:
 *     none
 */
public record Segment(
    int type,
    int flags,
    long offset,
    long address,
    long fileSize,
    long memorySize,
    long alignment) {
  static final int LOAD = 1;
  static final int DYNAMIC = 2;
  static final int NOTE = 4;
  private static final int THREAD_LOCAL = 7;
  private static final int STACK = 0x6474_e551;
  private static final int RELRO = 0x6474_e552;

  /** Whether it is mapped into memory ({@code PT_LOAD}). */
  public boolean isLoaded() {
    return type == LOAD;
  }

  /** Whether it holds notes ({@code PT_NOTE}). */
  public boolean isNotes() {
    return type == NOTE;
  }

  /** Whether it is what the loader reads ({@code PT_DYNAMIC}). */
  public boolean isDynamic() {
    return type == DYNAMIC;
  }

  /** Whether it is mapped executable. */
  public boolean isExecutable() {
    return isLoaded() && (flags & 1) != 0;
  }

  /** Whether it is what each thread's copy of the thread-local variables is made of. */
  public boolean isThreadLocal() {
    return type == THREAD_LOCAL;
  }

  /** Whether it is the part that is read-only once it is relocated ({@code PT_GNU_RELRO}). */
  public boolean isReadOnlyAfterRelocation() {
    return type == RELRO;
  }

  /** Whether it asks that threads may run code on their stacks ({@code PT_GNU_STACK}). */
  public boolean isExecutableStack() {
    return type == STACK && (flags & 1) != 0;
  }

  /** Whether the program may write to it when it is loaded. */
  public boolean isWritable() {
    return (flags & 2) != 0;
  }

  /** Whether the link-time {@code address} lies inside. */
  public boolean contains(long address) {
    long distance = address - this.address;
    return Long.compareUnsigned(address, this.address) >= 0
        && Long.compareUnsigned(distance, memorySize) < 0;
  }

  /** The link-time address behind the last byte in memory. */
  public long end() {
    return address + memorySize;
  }
}
