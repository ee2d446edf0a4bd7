package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Segment;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * Reads which objects of a target have thread-local variables: the loader's own list of them
 * (elf/dl-tls.c, GL(dl_tls_dtv_slotinfo_list)).
 */
final class TlsModules {
  private static final int PT_TLS = 7;
  private static final int HEADER_BYTES = 4096;

  /** struct link_map of link.h: what the object's addresses are off by, and its dynamic section. */
  private static final int LINK_MAP_ADDR = 0;

  private static final int LINK_MAP_LD = 16;

  /** l_tls_offset of an object that may not lie at one distance (include/link.h). */
  private static final long FORCED_DYNAMIC = -1;

  private static final int MOST_NODES = 1024;
  private static final int MOST_MODULES = 4096;
  private static final long LARGEST = 1 << 24;

  private final GlibcSymbols glibc;
  private final MemoryMap map;

  /** The newest change to the list that an entry of it knows of. */
  private long generation;

  private int highest;

  TlsModules(GlibcSymbols glibc, MemoryMap map) {
    this.glibc = glibc;
    this.map = map;
  }

  /** After {@link #read}: the generation that a table made of them is of. */
  long generation() {
    return generation;
  }

  /** After {@link #read}: the highest number that the list has room for. */
  int highest() {
    return highest;
  }

  ImmutableList<TlsModule> read() {
    int length = glibc.offset("dtv_slotinfo_list_len");
    int next = glibc.offset("dtv_slotinfo_list_next");
    int entries = glibc.offset("dtv_slotinfo_list_slotinfo");
    int entrySize = glibc.size("dtv_slotinfo");
    int entryGeneration = glibc.offset("dtv_slotinfo_gen");
    int entryMap = glibc.offset("dtv_slotinfo_map");
    ImmutableList.Builder<TlsModule> modules = ImmutableList.builder();
    long node =
        glibc.word(
            glibc.inLoader("_rtld_global") + glibc.offset("rtld_global__dl_tls_dtv_slotinfo_list"));
    for (int nodes = 0; node != 0; nodes++) {
      long count = glibc.word(node + length);
      if (nodes == MOST_NODES || count < 0 || highest + count > MOST_MODULES) {
        throw glibc.refused("the loader's list of thread-local variables makes no sense");
      }
      // As the loader does (_dl_allocate_tls_init): there is no module 0, whatever stands there.
      for (int i = highest == 0 ? 1 : 0; i < count; i++) {
        long entry = node + entries + (long) i * entrySize;
        generation = Math.max(generation, glibc.word(entry + entryGeneration));
        long linkMap = glibc.word(entry + entryMap);
        if (linkMap != 0) {
          modules.add(module(linkMap, highest + i));
        }
      }
      highest += (int) count;
      node = glibc.word(node + next);
    }
    return modules.build();
  }

  private TlsModule module(long linkMap, int id) {
    long ownId = glibc.word(linkMap + glibc.offset("link_map_l_tls_modid"));
    if (ownId != id) {
      throw glibc.refused(
          "an object has number %d in the loader's list, and says %d".formatted(id, ownId));
    }
    long offset = glibc.word(linkMap + glibc.offset("link_map_l_tls_offset"));
    Segment variables = variables(glibc.word(linkMap + LINK_MAP_LD));
    long size = variables.memorySize();
    boolean fits = offset == FORCED_DYNAMIC || offset == 0 || (offset >= size && offset < LARGEST);
    if (!fits || size < 0 || size > LARGEST || variables.fileSize() > size) {
      throw glibc.refused(
          "%s has %d bytes of thread-local variables at offset %d"
              .formatted(variables, size, offset));
    }
    long bias = glibc.word(linkMap + LINK_MAP_ADDR);
    return new TlsModule(
        id,
        offset == FORCED_DYNAMIC ? 0 : offset,
        glibc.bytes(bias + variables.address(), (int) variables.fileSize()),
        size);
  }

  /** The program header of an object's thread-local variables, as it is mapped. */
  private Segment variables(long dynamicSection) {
    Mapping data =
        map.at(dynamicSection)
            .orElseThrow(() -> glibc.refused("an object that the loader knows is not mapped"));
    Optional<Mapping> first = Optional.empty();
    for (Mapping mapping : map.ofSameFile(data)) {
      if (mapping.offset() == 0 && mapping.start() <= data.start()) {
        first = Optional.of(mapping);
      }
    }
    Mapping headers =
        first.orElseThrow(() -> glibc.refused("the headers of " + data + " are not mapped"));
    int length = (int) Math.min(HEADER_BYTES, headers.length());
    return ElfImage.parseHeaders(
            data.path(), ByteBuffer.wrap(glibc.bytes(headers.start(), length).toByteArray()))
        .segments()
        .stream()
        .filter(segment -> segment.type() == PT_TLS)
        .findFirst()
        .orElseThrow(() -> glibc.refused(data + " has no thread-local variables any more"));
  }
}
