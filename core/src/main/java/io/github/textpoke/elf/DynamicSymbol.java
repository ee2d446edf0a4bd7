package io.github.textpoke.elf;

/**
 * A symbol of {@code .dynsym}, which the loader goes by: unlike {@link Symbol} also one that is
 * defined elsewhere, or thread-local, or a number.
 *
 * @param name without version
 * @param version that it has, or for an undefined one that it asks for; empty where there is none
 * @param isHiddenVersion whether only references that name this version mean it ({@code @}, not
 *     {@code @@})
 * @param place where it is defined
 * @param value link-time address; of a thread-local one the offset in the object's {@code PT_TLS}
 *     segment, bytes
 * @param size bytes; 0 where the object does not say
 * @param kind what it names
 * @param binding its reach
 * @param isVisible whether other objects may bind to it ({@code STV_DEFAULT, STV_PROTECTED})
 */
public record DynamicSymbol(
    String name,
    String version,
    boolean isHiddenVersion,
    Place place,
    long value,
    long size,
    Kind kind,
    Binding binding,
    boolean isVisible) {

  /** Where a symbol is defined. */
  public enum Place {
    /** Elsewhere: this is a reference. */
    UNDEFINED,
    /** It is a number, which moves with no object ({@code SHN_ABS}). */
    ABSOLUTE,
    /** In the object. */
    HERE
  }

  /** What a symbol names. */
  public enum Kind {
    /** The object does not say. */
    UNTYPED,
    /** Data. */
    OBJECT,
    /** A function. */
    FUNCTION,
    /** A function that returns the address of the one to call ({@code STT_GNU_IFUNC}). */
    IFUNC,
    /** A variable of which each thread has one. */
    THREAD_LOCAL,
    /** A section, a file, or what no rule names. */
    OTHER
  }

  /** Reach of a symbol. */
  public enum Binding {
    /** Its object. */
    LOCAL,
    /** All objects. */
    GLOBAL,
    /** All objects; an undefined one may stay so. */
    WEAK,
    /** All objects, of which only one may define it in a process ({@code STB_GNU_UNIQUE}). */
    UNIQUE,
    /** What no rule names. */
    OTHER
  }

  /** Whether the object defines it. */
  public boolean isDefined() {
    return place != Place.UNDEFINED;
  }

  /** Whether other objects may bind to it. */
  public boolean isExported() {
    return isDefined()
        && isVisible
        && kind != Kind.OTHER
        && (binding == Binding.GLOBAL || binding == Binding.WEAK || binding == Binding.UNIQUE);
  }

  /** The name, and behind it {@code @version} where it has one. */
  public String versionedName() {
    return version.isEmpty() ? name : name + "@" + version;
  }
}
