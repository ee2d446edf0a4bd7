package io.github.textpoke.x86.link;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.elf.LocalName;
import io.github.textpoke.elf.SymbolScope;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/** Symbols that a test makes up. */
final class FakeScope implements SymbolScope {
  private final Map<String, Definition> definitions = new HashMap<>();

  FakeScope with(String name, long address) {
    definitions.put(name, new Address("fake", address, 0x30));
    return this;
  }

  FakeScope withResolver(String name, long resolver) {
    definitions.put(name, new Resolver("fake", resolver));
    return this;
  }

  FakeScope withThreadLocal(String name, OptionalLong offset) {
    definitions.put(name, new ThreadLocal("fake", offset));
    return this;
  }

  @Override
  public Optional<Definition> find(String name, String version) {
    return Optional.ofNullable(definitions.get(name));
  }

  @Override
  public Definition findLocal(LocalName name) {
    Definition found = definitions.get(name.toString());
    if (found == null) {
      throw new NoSuchSymbolException(name.toString(), searched(), "fake remedy");
    }
    return found;
  }

  @Override
  public ImmutableList<String> searched() {
    return ImmutableList.of("fake");
  }
}
