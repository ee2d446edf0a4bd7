package io.github.textpoke.x86.livepatch;

import com.google.common.base.Suppliers;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableRangeMap;
import com.google.common.collect.Range;
import io.github.textpoke.apply.ObjectMemory;
import io.github.textpoke.elf.CallFrames;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.unwind.CodeObjects;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.regex.Pattern;

/**
 * The code of the live patches in a process, for looks at stacks: how a caller is found in it, by
 * the unwind information that stands in the process, and what it is called. Those that were there
 * when this was made. Not thread-safe.
 *
 * <p>Source: System V ABI, "ELF Header", "Program Header"; LSB Core, "The .eh_frame_hdr section".
 */
final class PatchCode implements CodeObjects {
  private static final int ELF_MAGIC = 0x46_4c_45_7f;
  private static final int E_PHOFF = 32;
  private static final int E_PHNUM = 56;
  private static final int HEADER_SIZE = 64;
  private static final int PROGRAM_HEADER_SIZE = 56;
  private static final int P_VADDR = 16;
  private static final int PT_LOAD = 1;
  private static final int PT_GNU_EH_FRAME = 0x6474_e550;

  /** Version 1, and a pointer of four bytes relative to itself, as linkers write it. */
  private static final int VERSION_AND_ENCODING = 0x1b01;

  private static final int POINTER = 4;
  private static final long PAGE = 4096;

  private final ObjectMemory memory;
  private final ImmutableRangeMap<Long, One> code;

  /** One of them. */
  private record One(PatchNotes notes, Supplier<Optional<CallFrames>> frames) {}

  private PatchCode(LivePatches patches) {
    this.memory = patches.memory();
    ImmutableRangeMap.Builder<Long, One> all = ImmutableRangeMap.builder();
    for (LoadedPatch patch : patches.inCommand()) {
      PatchNotes notes = patch.notes();
      One one = new One(notes, Suppliers.memoize(() -> frames(notes)));
      for (Extent extent : notes.text()) {
        all.put(Range.closedOpen(extent.start(), extent.end()), one);
      }
    }
    this.code = all.build();
  }

  static PatchCode of(LivePatches patches) {
    return new PatchCode(patches);
  }

  @Override
  public Optional<Loaded> at(long address) {
    return Optional.ofNullable(code.get(address))
        .flatMap(one -> one.frames.get())
        .map(frames -> new Loaded(frames, 0));
  }

  /**
   * Code of a live patch as a person reads it; empty: the address is in none.
   *
   * @param address absolute
   */
  Optional<String> describe(long address) {
    One one = code.get(address);
    if (one == null) {
      return Optional.empty();
    }
    FunctionRange function =
        one.frames.get().map(CallFrames::ranges).orElse(ImmutableList.of()).stream()
            .filter(range -> range.contains(address))
            .findFirst()
            .orElse(new FunctionRange(one.notes.object().start(), one.notes.object().end()));
    return Optional.of(
        "live patch %d:%s+0x%x"
            .formatted(
                one.notes.id(), name(one.notes, function.start()), address - function.start()));
  }

  /** Only those are known that replace others. */
  private static String name(PatchNotes notes, long start) {
    ImmutableList<PatchedFunction> functions =
        notes.patch().objects().stream()
            .flatMap(object -> object.functions().stream())
            .collect(ImmutableList.toImmutableList());
    int index = notes.replacements().indexOf(start);
    return index < 0 ? "0x" + Long.toHexString(start) : functions.get(index).replacement();
  }

  /** The object's own, where it has a table by which it is found. */
  private Optional<CallFrames> frames(PatchNotes notes) {
    long start = notes.object().start();
    ByteBuffer header = read(start, HEADER_SIZE);
    if (header.getInt(0) != ELF_MAGIC) {
      return Optional.empty();
    }
    ByteBuffer programs =
        read(
            start + header.getLong(E_PHOFF),
            (header.getShort(E_PHNUM) & 0xffff) * PROGRAM_HEADER_SIZE);
    long first = address(programs, PT_LOAD);
    long table = address(programs, PT_GNU_EH_FRAME);
    if (table < 0 || first < 0) {
      return Optional.empty();
    }
    long at = start - (first & -PAGE) + table;
    ByteBuffer head = read(at, POINTER + Integer.BYTES);
    if ((head.getShort(0) & 0xffff) != VERSION_AND_ENCODING) {
      return Optional.empty();
    }
    long frames = at + POINTER + head.getInt(POINTER);
    return end(notes, frames)
        .map(
            end ->
                CallFrames.inMemory(
                    notes.file(),
                    frames,
                    memory.read(frames, (int) (end - frames)),
                    notes.text().stream()
                        .map(extent -> new FunctionRange(extent.start(), extent.end()))
                        .collect(ImmutableList.toImmutableList())));
  }

  /** The address in the first program header of a type, link-time; -1: there is none. */
  private static long address(ByteBuffer programs, int type) {
    for (int at = 0; at < programs.limit(); at += PROGRAM_HEADER_SIZE) {
      if (programs.getInt(at) == type) {
        return programs.getLong(at + P_VADDR);
      }
    }
    return -1;
  }

  /** Where the mapping that holds an address ends; empty: none of the patch's does. */
  private Optional<Long> end(PatchNotes notes, long address) {
    return memory.mapped(Pattern.compile(Pattern.quote(PatchHeader.name(notes.id())))).stream()
        .filter(mapping -> mapping.contains(address))
        .map(Mapping::end)
        .findFirst();
  }

  private ByteBuffer read(long address, int length) {
    return ByteBuffer.wrap(memory.read(address, length).toByteArray())
        .order(ByteOrder.LITTLE_ENDIAN);
  }
}
