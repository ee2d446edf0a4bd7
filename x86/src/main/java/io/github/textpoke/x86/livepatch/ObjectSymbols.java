package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.elf.DynamicSymbol;
import io.github.textpoke.elf.Segment;
import io.github.textpoke.x86.link.PatchObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Where a loaded object has what it exports. */
final class ObjectSymbols {
  private final TargetProcess process;
  private final PatchNotes notes;

  ObjectSymbols(TargetProcess process, PatchNotes notes) {
    this.process = process;
    this.notes = notes;
  }

  /**
   * The absolute address.
   *
   * @throws NoSuchSymbolException if it exports none of that name
   * @throws WrongStateException if its file is not there any more, or another one
   */
  long address(String symbol) {
    return read().dynamicSymbols().stream()
        .filter(each -> each.name().equals(symbol) && each.isDefined() && each.isExported())
        .filter(each -> each.kind() != DynamicSymbol.Kind.THREAD_LOCAL)
        .findFirst()
        .map(each -> each.value() + notes.bias())
        .orElseThrow(
            () ->
                new NoSuchSymbolException(
                    symbol, ImmutableList.of(notes.file()), "give a name that the object exports"));
  }

  private PatchObject read() {
    try {
      byte[] file = Files.readAllBytes(Path.of(notes.file()));
      PatchObject object = PatchObject.parse(notes.file(), file);
      if (object.segments().stream().allMatch(segment -> isSame(segment, file))) {
        return object;
      }
    } catch (IOException | BadObjectException gone) {
      WrongStateException failure = wrong("can't be read");
      failure.addSuppressed(gone);
      throw failure;
    }
    throw wrong("has changed");
  }

  /** Code is mapped as it is in the file. */
  private boolean isSame(Segment segment, byte[] file) {
    if (!segment.isLoaded() || !segment.isExecutable()) {
      return true;
    }
    int offset = (int) segment.offset();
    int size = (int) segment.fileSize();
    return process
        .read(segment.address() + notes.bias(), size)
        .equals(CodeBytes.copyOf(file, offset, offset + size));
  }

  private WrongStateException wrong(String what) {
    return new WrongStateException(
        "the file that live patch %s was loaded from, %s, %s"
            .formatted(notes.id(), notes.file(), what));
  }
}
