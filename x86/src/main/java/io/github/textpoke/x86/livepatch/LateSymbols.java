package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.ObjectRefusedException;
import io.github.textpoke.apply.ObjectMemory;
import io.github.textpoke.elf.DynamicSymbol;
import io.github.textpoke.elf.LocalName;
import io.github.textpoke.elf.Relocation;
import io.github.textpoke.elf.SymbolScope;
import io.github.textpoke.x86.link.PatchObject;
import io.github.textpoke.x86.livepatch.PatchNotes.LateWord;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What a live patch's object uses of objects that may come and go: words that are bound when such
 * an object is there, and anew each time that it comes. One that is not loaded is bound to 0 until
 * then: none of the functions that replace its own runs before. What the kernel does with the
 * relocations of {@code .klp.rela.objname} (Documentation/livepatch/module-elf-format.rst). Of one
 * load.
 */
final class LateSymbols implements SymbolScope {
  /** R_X86_64_64, R_X86_64_GLOB_DAT and R_X86_64_JUMP_SLOT: a word that holds an address. */
  private static final int ADDRESS_64 = 1;

  private static final Set<Integer> WORDS = Set.of(ADDRESS_64, 6, 7);

  private final SymbolScope scope;
  private final ImmutableList<String> objects;
  private final ImmutableList<String> awaited;

  /** The names that were bound to such objects, and to which. */
  private final Map<String, String> used = new LinkedHashMap<>();

  /**
   * @param scope as the objects are loaded now
   * @param objects that the patch names, without the executable
   * @param awaited those of them that are not loaded
   */
  LateSymbols(SymbolScope scope, ImmutableList<String> objects, ImmutableList<String> awaited) {
    this.scope = scope;
    this.objects = objects;
    this.awaited = awaited;
  }

  @Override
  public Optional<Definition> find(String name, String version) {
    Optional<Definition> found = scope.find(name, version);
    found.ifPresent(definition -> note(name, definition));
    return found;
  }

  @Override
  public Definition findLocal(LocalName name) {
    Optional<String> later =
        awaited.stream().filter(object -> isSame(object, name.object())).findFirst();
    if (later.isPresent()) {
      used.put(name.toString(), later.get());
      return new Address(later.get(), 0, 0);
    }
    Definition found = scope.findLocal(name);
    note(name.toString(), found);
    return found;
  }

  private void note(String name, Definition definition) {
    objects.stream()
        .filter(object -> isSame(object, definition.object()))
        .findFirst()
        .ifPresent(object -> used.put(name, object));
  }

  @Override
  public ImmutableList<String> searched() {
    return scope.searched();
  }

  /** Whether two names mean one object: the file's, a short one, or one that assemblers take. */
  private static boolean isSame(String one, String other) {
    return stem(one).equals(stem(other));
  }

  private static String stem(String name) {
    int end = name.indexOf(".so");
    return (end < 0 ? name : name.substring(0, end)).replaceAll("[^A-Za-z0-9_.]", "_");
  }

  /** How many words there may be, whatever the names are bound to. */
  static int mostWords(PatchObject object) {
    return (int)
        object.relocations().stream()
            .map(relocation -> object.dynamicSymbols().get(relocation.symbol()))
            .filter(symbol -> !symbol.isDefined())
            .count();
  }

  /**
   * The words, once the object is linked.
   *
   * @param bias what to add to the object's link-time addresses
   * @throws ObjectRefusedException if it needs an address of an object that is not loaded in
   *     another way than as a word
   */
  ImmutableList<LateWord> words(PatchObject object, long bias) {
    ImmutableList.Builder<LateWord> words = ImmutableList.builder();
    for (Relocation relocation : object.relocations()) {
      DynamicSymbol symbol = object.dynamicSymbols().get(relocation.symbol());
      String of = used.get(symbol.name());
      if (symbol.isDefined() || of == null) {
        continue;
      }
      if (WORDS.contains(relocation.type())) {
        long addend = relocation.type() == ADDRESS_64 ? relocation.addend() : 0;
        words.add(
            new LateWord(of, relocation.place() + bias, symbol.name(), symbol.version(), addend));
      } else if (awaited.contains(of)) {
        throw new ObjectRefusedException(
            object.name(),
            relocation.place(),
            "a relocation of type %d against '%s' of %s, which is not loaded"
                .formatted(relocation.type(), symbol.name(), of),
            "compile with -fPIC -fno-plt, or load it when " + of + " is there");
      }
    }
    return words.build();
  }

  /**
   * Binds the words of an object that is there.
   *
   * @param object as it is named in the notes
   * @throws NoSuchSymbolException if it lacks a symbol; nothing was written
   */
  static void bind(PatchNotes notes, String object, SymbolScope scope, ObjectMemory memory) {
    Map<Long, Long> values = new LinkedHashMap<>();
    for (LateWord word : notes.late()) {
      if (word.object().equals(object)) {
        values.put(word.slot(), value(word, scope) + word.addend());
      }
    }
    values.forEach(
        (slot, value) ->
            memory.write(
                slot,
                CodeBytes.of(
                    ByteBuffer.allocate(Long.BYTES)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(value)
                        .array())));
  }

  private static long value(LateWord word, SymbolScope scope) {
    Optional<LocalName> local = LocalName.parse(word.symbol());
    Optional<Definition> found =
        local.isPresent()
            ? Optional.of(scope.findLocal(local.get()))
            : scope.find(word.symbol(), word.version());
    if (found.isPresent() && found.get() instanceof Address address) {
      return address.address();
    }
    throw new NoSuchSymbolException(
        word.symbol(),
        scope.searched(),
        "the object "
            + word.object()
            + " that has come has no such function or variable, or one that it chooses itself"
            + " (IFUNC)");
  }
}
