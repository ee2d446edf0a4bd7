package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Segment;
import io.github.textpoke.elf.Symbols;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The objects that a process runs code of: found by its mappings, read when they are asked for, and
 * kept. Not thread-safe.
 */
final class LoadedObjects {
  private static final String VDSO = "[vdso]";
  private static final int HEADER_BYTES = 4096;
  private static final long MOST_NOTES = 1 << 16;

  /** One object at one place: its file and load bias, known from memory alone. */
  private record Instance(Mapping code, long bias, ElfImage headers) {
    boolean isSameAs(Instance other) {
      return bias == other.bias && code.isOfSameFile(other.code);
    }
  }

  private final MemoryMap map;
  private final MemoryReader memory;
  private final ObjectFiles files;

  /** By the start of the mapping. */
  private final Map<Long, Optional<Instance>> instances = new HashMap<>();

  private final IdentityHashMap<Instance, LoadedObject> objects = new IdentityHashMap<>();

  LoadedObjects(MemoryMap map, MemoryReader memory, ObjectFiles files) {
    this.map = map;
    this.memory = memory;
    this.files = files;
  }

  /** The base name of each object that there is, for messages. */
  ImmutableList<String> names() {
    return mappings().stream()
        .map(Mapping::baseName)
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  /** Executable mappings that may hold an object. */
  ImmutableList<Mapping> mappings() {
    return map.mappings().stream()
        .filter(LoadedObjects::mayHoldObject)
        .collect(ImmutableList.toImmutableList());
  }

  /** Whether a mapping is executable, and of a file or the vDSO. */
  static boolean mayHoldObject(Mapping mapping) {
    return mapping.executable() && (mapping.hasFile() || mapping.path().equals(VDSO));
  }

  /**
   * Mappings of the objects that a user means by {@code name}; a whole name goes before a short
   * one.
   */
  ImmutableList<Mapping> mappingsOf(String name) {
    ImmutableList<Mapping> exactly =
        mappings().stream()
            .filter(mapping -> ObjectName.isExactly(name, mapping))
            .collect(ImmutableList.toImmutableList());
    return exactly.isEmpty()
        ? mappings().stream()
            .filter(mapping -> ObjectName.isShortFor(name, mapping))
            .collect(ImmutableList.toImmutableList())
        : exactly;
  }

  /**
   * The objects in {@code mappings}, each once.
   *
   * @throws BadObjectException if one can't be read, or its file is not what is mapped
   */
  ImmutableList<LoadedObject> read(List<Mapping> mappings) {
    ImmutableList.Builder<LoadedObject> found = ImmutableList.builder();
    mappings.forEach(mapping -> read(mapping).ifPresent(found::add));
    return found.build().stream().distinct().collect(ImmutableList.toImmutableList());
  }

  /**
   * The object in {@code mapping}; empty where there is none: a file of another kind.
   *
   * @throws BadObjectException if it can't be read, or its file is not what is mapped
   */
  Optional<LoadedObject> read(Mapping mapping) {
    return instance(mapping).map(this::object);
  }

  /**
   * The program that runs.
   *
   * @throws BadObjectException if it can't be read, or its file is not what is mapped
   */
  LoadedObject executable() {
    for (Mapping mapping : mappings()) {
      if (files.isExecutable(mapping)) {
        Optional<LoadedObject> found = read(mapping);
        if (found.isPresent()) {
          return found.get();
        }
      }
    }
    throw new BadObjectException("the executable", "none of its code is mapped");
  }

  /**
   * The object of the same file as {@code data}, with that load bias; empty where none of its code
   * is mapped.
   *
   * @throws BadObjectException if it can't be read, or its file is not what is mapped
   */
  Optional<LoadedObject> readAt(Mapping data, long bias) {
    for (Mapping mapping : mappings()) {
      if (mapping.isOfSameFile(data)) {
        Optional<Instance> instance = instance(mapping);
        if (instance.isPresent() && instance.get().bias() == bias) {
          return instance.map(this::object);
        }
      }
    }
    return Optional.empty();
  }

  private LoadedObject object(Instance instance) {
    LoadedObject known = objects.get(instance);
    if (known == null) {
      known = load(instance);
      objects.put(instance, known);
    }
    return known;
  }

  private Optional<Instance> instance(Mapping code) {
    Optional<Instance> known = instances.get(code.start());
    if (known == null) {
      known = findInstance(code).map(this::first);
      instances.put(code.start(), known);
    }
    return known;
  }

  /** Text that lies in several mappings is one instance. */
  private Instance first(Instance instance) {
    return instances.values().stream()
        .flatMap(Optional::stream)
        .filter(instance::isSameAs)
        .findFirst()
        .orElse(instance);
  }

  private Optional<Instance> findInstance(Mapping code) {
    Optional<ElfImage> headers = headers(code);
    if (headers.isEmpty()) {
      return Optional.empty();
    }
    OptionalLong bias = MemoryMap.loadBias(code, headers.get());
    return bias.isEmpty()
        ? Optional.empty()
        : Optional.of(new Instance(code, bias.getAsLong(), headers.get()));
  }

  /** The headers as they stand in memory, where the file's first page is mapped before the code. */
  private Optional<ElfImage> headers(Mapping code) {
    Optional<Mapping> first = Optional.empty();
    for (Mapping mapping : map.ofSameFile(code)) {
      if (mapping.offset() == 0 && Long.compareUnsigned(mapping.start(), code.start()) <= 0) {
        first = Optional.of(mapping);
      }
    }
    if (first.isEmpty()) {
      return Optional.empty();
    }
    int length = (int) Math.min(HEADER_BYTES, first.get().length());
    byte[] bytes = memory.read(first.get().start(), length).toByteArray();
    boolean isElf =
        bytes.length > 4
            && bytes[0] == 0x7f
            && bytes[1] == 'E'
            && bytes[2] == 'L'
            && bytes[3] == 'F';
    return isElf
        ? Optional.of(ElfImage.parseHeaders(code.path(), ByteBuffer.wrap(bytes)))
        : Optional.empty();
  }

  private LoadedObject load(Instance instance) {
    Mapping code = instance.code();
    if (code.path().equals(VDSO)) {
      byte[] bytes = memory.read(code.start(), (int) code.length()).toByteArray();
      ElfImage image = ElfImage.parse(VDSO, ByteBuffer.wrap(bytes));
      return new LoadedObject(code, instance.bias(), image, Symbols.of(image), true);
    }
    ElfImage image = files.open(code);
    checkIsMapped(image, instance);
    Optional<ElfImage> debug =
        image.hasSymbolTable() ? Optional.empty() : image.buildId().flatMap(files::debugFile);
    return new LoadedObject(
        code,
        instance.bias(),
        image,
        debug.map(d -> Symbols.of(d, image)).orElseGet(() -> Symbols.of(image)),
        debug.isPresent() || image.hasSymbolTable());
  }

  /** A package manager replaces files under running processes: names would lead astray. */
  private void checkIsMapped(ElfImage image, Instance instance) {
    Optional<String> mapped = mappedBuildId(instance);
    Optional<String> file = image.buildId();
    if (!mapped.equals(file)) {
      throw new BadObjectException(
          instance.code().path(),
          "the file is not the one that is mapped: found build-id "
              + file.orElse("none")
              + ", expected "
              + mapped.orElse("none")
              + "; it was replaced after the program started: restart the program, or patch by"
              + " address");
    }
    if (!image.segments().equals(instance.headers().segments())) {
      throw new BadObjectException(
          instance.code().path(),
          "the file is not the one that is mapped: its program headers are others");
    }
  }

  private Optional<String> mappedBuildId(Instance instance) {
    for (Segment segment : instance.headers().segments()) {
      if (segment.isNotes() && segment.memorySize() > 0) {
        if (segment.memorySize() > MOST_NOTES || segment.memorySize() < 0) {
          throw new BadObjectException(instance.code().path(), "too many notes: " + segment);
        }
        byte[] notes =
            memory
                .read(instance.bias() + segment.address(), (int) segment.memorySize())
                .toByteArray();
        Optional<String> id =
            ElfImage.buildIdOfNotes(instance.code().path(), ByteBuffer.wrap(notes));
        if (id.isPresent()) {
          return id;
        }
      }
    }
    return Optional.empty();
  }
}
