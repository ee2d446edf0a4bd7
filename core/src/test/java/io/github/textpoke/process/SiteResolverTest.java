package io.github.textpoke.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.CodeRegion.Backing;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.elf.TestObjects;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Resolves in the JVM that runs the tests: a process that no one made for them. */
final class SiteResolverTest {
  private static final int SELF = (int) ProcessHandle.current().pid();

  private final MemoryMap map = MemoryMap.read(SELF);
  private final ProcMemReader memory = new ProcMemReader(SELF);
  private final SiteResolver resolver = new SiteResolver(SELF, map, memory);

  @AfterEach
  void close() {
    memory.close();
  }

  private ResolvedSite resolve(String name) {
    return resolver.resolve(SiteName.parse(name));
  }

  private long textOf(String object) {
    return map.mappings().stream()
        .filter(m -> m.executable() && m.baseName().equals(object))
        .findFirst()
        .orElseThrow()
        .start();
  }

  @Test
  void findsAFunctionOfTheCLibrary() throws Exception {
    ResolvedSite site = resolve("libc:getpid");
    byte[] file = Files.readAllBytes(TestObjects.libc());
    Symbol symbol =
        Symbols.of(ElfImage.parse("libc", ByteBuffer.wrap(file))).named("getpid").get(0);
    CodeRegion code = site.code();
    assertThat(code.name()).isEqualTo("libc.so.6:getpid");
    assertThat(site.address()).isEqualTo(code.address());
    // The text of libc is mapped where its file says, so that file offsets are link-time addresses.
    assertThat(code.bytes())
        .isEqualTo(
            CodeBytes.copyOf(
                file, (int) symbol.address(), (int) (symbol.address() + symbol.size())));
    assertThat(code.backing()).isEqualTo(Backing.PRIVATE);
    assertThat(code.originals()).isEmpty();
    assertThat(map.at(site.address()).orElseThrow().baseName()).isEqualTo("libc.so.6");
  }

  @Test
  void findsTheSameFunctionUnderEachNameOfItsObject() {
    long address = resolve("libc.so.6:getpid").address();
    assertThat(resolve("libc.so:getpid").address()).isEqualTo(address);
    assertThat(resolve(map.at(address).orElseThrow().path() + ":getpid").address())
        .isEqualTo(address);
    assertThat(resolve("libc:getpid#1").address()).isEqualTo(address);
    assertThat(resolve("libc:getpid+1").address()).isEqualTo(address + 1);
  }

  @Test
  void findsAFunctionOfTheJvmWithAndWithoutItsObject() {
    ResolvedSite site = resolve("libjvm:JNI_CreateJavaVM");
    assertThat(resolve("JNI_CreateJavaVM").address()).isEqualTo(site.address());
    assertThat(map.at(site.address()).orElseThrow().baseName()).isEqualTo("libjvm.so");
    assertThat(resolver.describe(site.address() + 3)).hasValue("libjvm.so:JNI_CreateJavaVM+0x3");
  }

  @Test
  void readsTheVdsoOutOfMemory() {
    ResolvedSite site = resolve("[vdso]:__vdso_getcpu");
    Mapping vdso = map.at(site.address()).orElseThrow();
    assertThat(vdso.path()).isEqualTo("[vdso]");
    assertThat(site.code().bytes())
        .isEqualTo(memory.read(site.address(), site.code().bytes().length()));
  }

  @Test
  void findsTheFunctionAroundAnAddress() {
    ResolvedSite named = resolve("libc:abort");
    ResolvedSite site = resolve("0x" + Long.toHexString(named.address() + 5));
    assertThat(site.address()).isEqualTo(named.address() + 5);
    assertThat(site.code().address()).isEqualTo(named.code().address());
    assertThat(site.code().bytes()).isEqualTo(named.code().bytes());
  }

  @Test
  void listsTheCandidatesOfAnAmbiguousNameAndFindsEachOfThem() {
    ElfImage image = ElfImage.read(TestObjects.libjvm());
    Map<String, Set<Long>> addresses = new TreeMap<>();
    for (Symbol symbol : Symbols.of(image).all()) {
      if (symbol.kind() == Symbol.Kind.FUNCTION && symbol.size() > 0) {
        addresses.computeIfAbsent(symbol.name(), n -> new HashSet<>()).add(symbol.address());
      }
    }
    String name =
        addresses.keySet().stream()
            .filter(n -> addresses.get(n).size() == 3)
            .findFirst()
            .orElseThrow();
    AmbiguousSymbolException ambiguous =
        catchThrowableOfType(AmbiguousSymbolException.class, () -> resolve("libjvm:" + name));
    assertThat(ambiguous.candidates())
        .containsExactly(
            "libjvm.so:" + name + "#1", "libjvm.so:" + name + "#2", "libjvm.so:" + name + "#3");
    long bias =
        resolve("libjvm:JNI_CreateJavaVM").address()
            - Symbols.of(image).named("JNI_CreateJavaVM").get(0).address();
    assertThat(ambiguous.candidates().stream().map(c -> resolve(c).address() - bias))
        .containsExactlyInAnyOrderElementsOf(addresses.get(name));
    assertThatThrownBy(() -> resolve("libjvm:" + name + "#4"))
        .isInstanceOf(NoSuchSymbolException.class)
        .hasMessageContaining("libjvm.so has 3 of that name");
  }

  @Test
  void listsEveryObjectThatDefinesAName() {
    AmbiguousSymbolException ambiguous =
        catchThrowableOfType(AmbiguousSymbolException.class, () -> resolve("JNI_OnLoad"));
    assertThat(ambiguous.candidates()).contains("libjava.so:JNI_OnLoad").hasSizeGreaterThan(1);
    for (String candidate : ambiguous.candidates()) {
      assertThat(resolve(candidate).code().name()).isEqualTo(candidate);
    }
  }

  @Test
  void anIfuncStandsForWhatTheLoaderHasChosen() {
    ResolvedSite chosen = resolve("libc:memcpy");
    assertThat(chosen.address()).isEqualTo(chosen.code().address());
    assertThat(chosen.address()).isNotEqualTo(resolve("libc:strlen").address());
    // Every processor of these has one of its own.
    assertThat(resolve("libc:memmove").address()).isEqualTo(chosen.address());
  }

  @Test
  void meansTheDefaultVersionOfANameUnlessAskedForAnother() {
    long current = resolve("libc:pthread_cond_wait").address();
    long old = resolve("libc:pthread_cond_wait@GLIBC_2.2.5").address();
    assertThat(old).isNotEqualTo(current);
    assertThat(resolve("libc:pthread_cond_wait@@GLIBC_2.3.2").address()).isEqualTo(current);
  }

  @Test
  void namesNearMissesOfAMissingSymbol() {
    assertThatThrownBy(() -> resolve("libc:getpi"))
        .isInstanceOf(NoSuchSymbolException.class)
        .hasMessageContaining("no symbol 'libc:getpi' in libc.so.6")
        .hasMessageContaining("libc.so.6:getpid");
  }

  @Test
  void namesTheLoadedObjectsWhereTheAskedOneIsNot() {
    assertThatThrownBy(() -> resolve("libmissing:f"))
        .isInstanceOf(NoSuchSymbolException.class)
        .hasMessageContaining("libjvm.so")
        .hasMessageContaining("no object of that name is loaded");
  }

  @Test
  void saysThatASymbolIsData() {
    assertThatThrownBy(() -> resolve("libc:environ"))
        .isInstanceOf(NoSuchSymbolException.class)
        .hasMessageContaining("names no code");
  }

  @Test
  void refusesAnOffsetOutsideOfTheFunction() {
    int length = resolve("libc:getpid").code().bytes().length();
    assertThatThrownBy(() -> resolve("libc:getpid+" + length))
        .isInstanceOf(BadSiteException.class)
        .hasMessageContaining("only " + length + " bytes");
  }

  @Test
  void refusesAnAddressThatIsNotExecutable() {
    long data = map.ofSameFile(map.at(textOf("libc.so.6")).orElseThrow()).get(0).start();
    assertThatThrownBy(() -> resolve("0x" + Long.toHexString(data)))
        .isInstanceOf(UnwritableMappingException.class)
        .hasMessageContaining("not executable");
    assertThatThrownBy(() -> resolve("0x10"))
        .isInstanceOf(UnwritableMappingException.class)
        .hasMessageContaining("nothing is mapped");
  }

  @Test
  void refusesCompiledJavaCodeForWantOfATrustedStart() {
    Mapping compiled =
        map.mappings().stream()
            .filter(mapping -> mapping.executable() && mapping.path().isEmpty())
            .findFirst()
            .orElseThrow();
    assertThatThrownBy(() -> resolve("0x" + Long.toHexString(compiled.start() + 64)))
        .isInstanceOfSatisfying(
            PlanRefusedException.class, refused -> assertThat(refused.rule()).isEqualTo(1));
    assertThat(resolver.describe(compiled.start() + 64)).isEmpty();
  }

  @Test
  void refusesAnObjectWhoseFileWasReplaced() throws Exception {
    CodeBytes id = CodeBytes.ofHex(ElfImage.read(TestObjects.libc()).buildId().orElseThrow());
    MemoryReader changed = (address, length) -> flip(memory.read(address, length), id);
    SiteResolver misled = new SiteResolver(SELF, map, changed);
    assertThatThrownBy(() -> misled.resolve(SiteName.parse("libc:getpid")))
        .isInstanceOf(BadObjectException.class)
        .hasMessageContaining("libc.so.6: the file is not the one that is mapped")
        .hasMessageContaining(id.hex().replace(" ", ""));
    assertThat(misled.unreadableObjects())
        .singleElement()
        .satisfies(message -> assertThat(message).contains("libc.so.6"));
    assertThat(misled.symbols("getpid").map(FoundSymbol::object)).doesNotContain("libc.so.6");
    assertThat(misled.describe(textOf("libc.so.6") + 0x1000)).hasValue("libc.so.6");
  }

  /** {@code bytes} with the last byte of each {@code sought} in them changed. */
  private static CodeBytes flip(CodeBytes bytes, CodeBytes sought) {
    CodeBytes flipped = bytes;
    for (int i = 0; i + sought.length() <= bytes.length(); i++) {
      if (bytes.slice(i, i + sought.length()).equals(sought)) {
        int last = i + sought.length() - 1;
        flipped = flipped.with(last, CodeBytes.of(bytes.at(last) ^ 1));
      }
    }
    return flipped;
  }

  @Test
  void saysThatSharedTextIsShared() {
    long text = textOf("libc.so.6");
    MemoryMap shared =
        new MemoryMap(
            map.mappings().stream()
                .map(m -> m.start() == text ? shared(m) : m)
                .collect(ImmutableList.toImmutableList()));
    ResolvedSite site =
        new SiteResolver(SELF, shared, memory).resolve(SiteName.parse("libc:getpid"));
    assertThat(site.code().backing()).isEqualTo(Backing.SHARED);
  }

  private static Mapping shared(Mapping m) {
    return new Mapping(
        m.start(),
        m.end(),
        m.readable(),
        m.writable(),
        m.executable(),
        true,
        m.offset(),
        m.device(),
        m.inode(),
        m.path(),
        m.deleted());
  }

  @Test
  void namesTheAddressThatCantBeRead() {
    assertThatThrownBy(() -> memory.read(0x1000, 4))
        .isInstanceOf(UnwritableMappingException.class)
        .hasMessageStartingWith("0x1000: can't be read");
    assertThatThrownBy(() -> memory.read(-4096, 4)).isInstanceOf(UnwritableMappingException.class);
  }

  @Test
  void listsFunctionsByGlob() {
    List<FoundSymbol> found = resolver.symbols("libc:getp?d").toList();
    assertThat(found).extracting(FoundSymbol::object).containsOnly("libc.so.6");
    assertThat(
            found.stream().collect(Collectors.toMap(f -> f.symbol().name(), FoundSymbol::address)))
        .containsEntry("getpid", resolve("libc:getpid").address());
    assertThat(resolver.symbols("JNI_Create*").map(f -> f.object() + ":" + f.symbol().name()))
        .containsExactly("libjvm.so:JNI_CreateJavaVM");
    assertThat(resolver.unreadableObjects()).isEmpty();
  }

  @Test
  void describesTheStartOfAFunctionWithoutOffset() {
    assertThat(resolver.describe(resolve("libc:getpid").address()))
        .hasValueSatisfying(text -> assertThat(text).startsWith("libc.so.6:").endsWith("getpid"));
    assertThat(resolver.describe(0x10)).isEmpty();
  }
}
