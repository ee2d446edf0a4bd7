package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.elf.Segment;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.SymbolScope;
import io.github.textpoke.process.RegionReader.Function;
import io.github.textpoke.process.SiteName.Address;
import io.github.textpoke.process.SiteName.InFunction;
import io.github.textpoke.process.SymbolLookup.Candidate;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Turns names of sites into absolute addresses and code of one process. Symbols come from the
 * object's file as the target sees it, and from separate debug files by build-id; a file is used
 * only if it is the one that is mapped. Bytes come from memory.
 *
 * <p>It goes by the memory map that it was given: make a new one after the target has loaded or
 * unloaded objects. It keeps what it has read. Not thread-safe.
 */
public final class SiteResolver {
  private static final Path DEBUG_ROOT = Path.of("/usr/lib/debug");

  private final MemoryMap map;
  private final MemoryReader memory;
  private final LoadedObjects objects;
  private final SymbolLookup lookup;
  private final RegionReader regions;

  /** Resolves in process {@code pid}, with debug files below {@code /usr/lib/debug}. */
  public SiteResolver(int pid, MemoryMap map, MemoryReader memory) {
    this(pid, map, memory, DEBUG_ROOT);
  }

  /**
   * @param pid the target
   * @param map of the target
   * @param memory of the target; stays yours to close
   * @param debugRoot directory with the separate debug files: {@code .build-id/ab/cdef.debug}
   */
  public SiteResolver(int pid, MemoryMap map, MemoryReader memory, Path debugRoot) {
    this.map = map;
    this.memory = memory;
    this.objects = new LoadedObjects(map, memory, new ObjectFiles(pid, debugRoot));
    this.lookup = new SymbolLookup(objects);
    this.regions = new RegionReader(map, memory, objects);
  }

  /**
   * The site's address and the function that holds it, read now. A symbol without object is
   * searched in all objects; one that is defined at several addresses is ambiguous, but of several
   * versions of a symbol the default one is meant. An IFUNC stands for the implementation that the
   * loader has chosen.
   *
   * @throws NoSuchSymbolException if no function has that name
   * @throws AmbiguousSymbolException if several have
   * @throws PlanRefusedException if the symbol is an IFUNC and it is not known what the loader has
   *     chosen (rule 20), or no function start is known at or before an address (rule 1)
   * @throws BadSiteException if the offset lies outside of the function
   * @throws BadObjectException if an object that must be searched can't be read, or its file is not
   *     the one that is mapped
   * @throws UnwritableMappingException if the address is not mapped executable
   */
  public ResolvedSite resolve(SiteName name) {
    if (name instanceof InFunction inFunction) {
      Candidate candidate = lookup.find(inFunction);
      boolean isIfunc = candidate.symbol().kind() == Symbol.Kind.IFUNC;
      CodeRegion code =
          isIfunc
              ? codeAt(implementation(candidate))
              : regions.read(regions.functionOf(candidate.object(), candidate.symbol()));
      long start = isIfunc ? code.address() : candidate.address();
      long address = start + inFunction.offset();
      if (!code.contains(address)) {
        throw new BadSiteException(
            name.toString(), "the function has only " + code.bytes().length() + " bytes");
      }
      return new ResolvedSite(name, address, code);
    }
    long address = ((Address) name).address();
    return new ResolvedSite(name, address, codeAt(address));
  }

  private long implementation(Candidate ifunc) {
    return Implementations.chosen(ifunc.object(), ifunc.symbol().address(), memory)
        .orElseThrow(() -> SymbolLookup.ifunc(ifunc));
  }

  /**
   * The symbols that an object which is linked for this process is bound to, data too. It shares
   * what this has read, so it is no more thread-safe.
   */
  public SymbolScope scope() {
    return new ProcessScope(map, memory, objects);
  }

  /**
   * The function that holds the absolute {@code address}, read now.
   *
   * @throws PlanRefusedException if no function start is known at or before it (rule 1)
   * @throws BadObjectException if the object there can't be read, or its file is not the one that
   *     is mapped
   * @throws UnwritableMappingException if the address is not mapped executable
   */
  public CodeRegion codeAt(long address) {
    return regions.read(regions.functionAt(address));
  }

  /**
   * The object that holds the absolute {@code address}.
   *
   * @throws PlanRefusedException if the code belongs to no object (rule 1)
   * @throws BadObjectException if the object can't be read, or its file is not the one that is
   *     mapped
   * @throws UnwritableMappingException if the address is not mapped executable
   */
  public ImageInMemory objectAt(long address) {
    return inMemory(regions.functionAt(address).object());
  }

  /**
   * The object that has code at the absolute {@code address}; empty where there is none.
   *
   * @throws BadObjectException if there is one that can't be read, or its file is not the one that
   *     is mapped
   */
  public Optional<ImageInMemory> objectOf(long address) {
    return map.at(address)
        .filter(LoadedObjects::mayHoldObject)
        .flatMap(objects::read)
        .map(SiteResolver::inMemory);
  }

  private static ImageInMemory inMemory(LoadedObject object) {
    long start = Long.MAX_VALUE;
    long end = 0;
    for (Segment segment : object.image().segments()) {
      if (!segment.isLoaded()) {
        continue;
      }
      start = Math.min(start, segment.address());
      end = Math.max(end, segment.address() + segment.memorySize());
    }
    return new ImageInMemory(
        object.image(),
        object.symbols(),
        object.bias(),
        start + object.bias(),
        end + object.bias());
  }

  /**
   * The functions whose name matches, in the order of objects in memory and of symbols in their
   * tables. Objects that can't be read are left out: see {@link #unreadableObjects}.
   *
   * @param glob {@code [object:]glob}, where {@code *} is any text and {@code ?} any character
   */
  public Stream<FoundSymbol> symbols(String glob) {
    int colon = glob.lastIndexOf(':');
    List<Mapping> mappings =
        colon < 0 ? objects.mappings() : objects.mappingsOf(glob.substring(0, colon));
    return readable(mappings).stream()
        .flatMap(
            object ->
                object.symbols().matching(glob.substring(colon + 1)).stream()
                    .filter(object::isCode)
                    .map(s -> new FoundSymbol(object.name(), s, s.address() + object.bias())));
  }

  private List<LoadedObject> readable(List<Mapping> mappings) {
    return mappings.stream()
        .filter(mapping -> problem(mapping).isEmpty())
        .map(objects::read)
        .flatMap(Optional::stream)
        .distinct()
        .toList();
  }

  /** Why objects of the target can't be read: one message for each that can't. */
  public ImmutableList<String> unreadableObjects() {
    return objects.mappings().stream()
        .map(this::problem)
        .flatMap(Optional::stream)
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  private Optional<String> problem(Mapping mapping) {
    try {
      objects.read(mapping);
      return Optional.empty();
    } catch (BadObjectException e) {
      return Optional.of(e.what());
    }
  }

  /**
   * The absolute {@code address} as a person reads it: {@code object:function+0x12}; where no
   * function is known, the object alone; empty where there is no code of an object.
   */
  public Optional<String> describe(long address) {
    Optional<Mapping> mapping = map.at(address).filter(LoadedObjects::mayHoldObject);
    if (mapping.isEmpty()) {
      return Optional.empty();
    }
    try {
      Function function = regions.functionAt(address);
      long offset = address - function.object().bias() - function.range().start();
      return Optional.of(
          function.object().name()
              + ":"
              + function.name()
              + (offset == 0 ? "" : "+0x" + Long.toHexString(offset)));
    } catch (BadObjectException | PlanRefusedException unnamed) {
      // Only a name for a message: the object's is better than none.
      return mapping.map(Mapping::baseName);
    }
  }
}
