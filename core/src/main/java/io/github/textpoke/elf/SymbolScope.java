package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import java.util.Optional;
import java.util.OptionalLong;

/** Where an object that is linked finds what it does not define itself. */
public interface SymbolScope {
  /** What a name stands for. */
  sealed interface Definition {
    /** The object that defines it, for messages. */
    String object();
  }

  /**
   * A function or data.
   *
   * @param address absolute; of a function the one to call
   * @param size bytes; 0 where it is not known
   */
  record Address(String object, long address, long size) implements Definition {}

  /**
   * A function of which only a resolver is known (STT_GNU_IFUNC): what it returns is the address.
   *
   * @param resolver its absolute address
   */
  record Resolver(String object, long resolver) implements Definition {}

  /**
   * A variable of which each thread has one.
   *
   * @param offset from the thread pointer, bytes, negative on x86-64; empty where it is not known,
   *     or differs between threads
   */
  record ThreadLocal(String object, OptionalLong offset) implements Definition {}

  /**
   * What the target's loader would bind an undefined symbol to.
   *
   * @param name without version
   * @param version that is asked for; empty: the default one
   * @return empty where nothing exports it
   * @throws BadObjectException if an object that must be searched can't be read
   */
  Optional<Definition> find(String name, String version);

  /**
   * A symbol that need not be exported.
   *
   * @throws NoSuchSymbolException if the object is not there, or has fewer symbols of that name
   * @throws AmbiguousSymbolException if there are several, and no position was given; it lists them
   * @throws BadObjectException if the object can't be read
   */
  Definition findLocal(LocalName name);

  /** The objects that {@link #find} searches, in their order, for messages. */
  ImmutableList<String> searched();
}
