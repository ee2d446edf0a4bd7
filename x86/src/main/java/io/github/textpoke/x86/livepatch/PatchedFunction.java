package io.github.textpoke.x86.livepatch;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * A function that a live patch replaces.
 *
 * @param old which one of its object
 * @param replacement symbol of the new one in the patch's object
 */
public record PatchedFunction(Old old, String replacement) {
  /** Says which function is meant. */
  public sealed interface Old {}

  /**
   * By its name.
   *
   * @param name mangled
   * @param sympos position among the functions of that name in the object, in the order of its
   *     symbol table, from 1; 0: the name must be unique
   */
  public record Named(String name, int sympos) implements Old {
    /** Checks the position. */
    public Named {
      checkArgument(sympos >= 0, "position %s", sympos);
      checkArgument(!name.isEmpty(), "a function without name");
    }

    @Override
    public String toString() {
      return sympos == 0 ? name : name + "#" + sympos;
    }
  }

  /**
   * By where it begins.
   *
   * @param address link-time, as the object's file says
   */
  public record At(long address) implements Old {
    @Override
    public String toString() {
      return "0x" + Long.toHexString(address);
    }
  }
}
