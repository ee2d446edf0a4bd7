package io.github.textpoke.elf;

/**
 * A defined symbol of an object.
 *
 * @param name without version
 * @param version of the symbol, such as {@code GLIBC_2.14}; empty where it has none
 * @param isDefaultVersion whether new programs are linked to this version ({@code @@})
 * @param address link-time
 * @param size bytes; 0 where the object does not say
 * @param kind what it names
 * @param binding its reach
 * @param table where it was found; that of {@code .symtab} where both tables have it
 */
public record Symbol(
    String name,
    String version,
    boolean isDefaultVersion,
    long address,
    long size,
    Kind kind,
    Binding binding,
    Table table) {

  /** What a symbol names. */
  public enum Kind {
    /** A function. */
    FUNCTION,
    /** A function that chooses an implementation when the program starts (STT_GNU_IFUNC). */
    IFUNC,
    /** Data. */
    OBJECT,
    /** The object does not say (STT_NOTYPE): often a function written in assembly. */
    UNTYPED
  }

  /** Reach of a symbol. */
  public enum Binding {
    /** Within its source file; several of one name may be there. */
    LOCAL,
    /** All objects. */
    GLOBAL,
    /** All objects, and a global one of the name goes before. */
    WEAK
  }

  /** Where a symbol was found. */
  public enum Table {
    /** {@code .symtab}, of the object or of its debug file. */
    SYMTAB,
    /** {@code .dynsym}. */
    DYNSYM
  }

  /** Whether the link-time {@code address} lies in its bytes. */
  public boolean covers(long address) {
    return Long.compareUnsigned(address, this.address) >= 0
        && Long.compareUnsigned(address - this.address, size) < 0;
  }

  /** The name, and behind it {@code @version} or {@code @@version} where it has one. */
  public String versionedName() {
    return version.isEmpty() ? name : name + (isDefaultVersion ? "@@" : "@") + version;
  }

  /** This symbol with the version of {@code twin}, the same one found elsewhere. */
  Symbol withVersionOf(Symbol twin) {
    return version.isEmpty() || (twin.isDefaultVersion && !isDefaultVersion)
        ? new Symbol(name, twin.version, twin.isDefaultVersion, address, size, kind, binding, table)
        : this;
  }
}
