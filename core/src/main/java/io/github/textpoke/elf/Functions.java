package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Range;
import com.google.common.collect.RangeSet;
import com.google.common.collect.TreeRangeSet;
import io.github.textpoke.PatchException.BadObjectException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * All functions of an object.
 *
 * <ul>
 *   <li>The symbol of a function, or of the resolver of an IFUNC, names one if it has a size.
 *       Several symbols at one address name one function, as long as the longest of them.
 *   <li>A range of {@code .eh_frame} is one if no such symbol covers its start: a function without
 *       a symbol. A part that the compiler has split off ({@code f.cold}) counts too, with a symbol
 *       or without, since nothing tells it from a function for certain.
 *   <li>The linker's stubs ({@code .plt}, {@code .plt.got}, {@code .plt.sec}) are none.
 *   <li>Code that has a symbol without a size, and no range, is none: nothing says where it ends.
 * </ul>
 */
public final class Functions {
  private static final ImmutableList<String> STUBS =
      ImmutableList.of(".plt", ".plt.got", ".plt.sec");

  private Functions() {}

  /**
   * Those of {@code image}, sorted by link-time address, each address once.
   *
   * @param symbols of the object, with those of its debug file where there is one
   * @param frames of the object
   * @throws BadObjectException if sections of code overlap
   */
  public static ImmutableList<FunctionRange> of(ElfImage image, Symbols symbols, EhFrame frames) {
    LoadedBytes loaded = LoadedBytes.of(image);
    RangeSet<Long> named = TreeRangeSet.create();
    List<FunctionRange> all = new ArrayList<>();
    for (FunctionRange function : symbols.functionRanges()) {
      if (isCode(loaded, function)) {
        named.add(Range.closedOpen(function.start(), function.end()));
        all.add(function);
      }
    }
    for (String name : STUBS) {
      LoadedBytes.section(image, name)
          .ifPresent(section -> named.add(Range.closedOpen(section.start(), section.end())));
    }
    for (FunctionRange frame : frames.ranges()) {
      if (!named.contains(frame.start()) && isCode(loaded, frame)) {
        all.add(frame);
      }
    }
    all.sort(
        Comparator.comparingLong(FunctionRange::start)
            .thenComparing(FunctionRange::end, Comparator.reverseOrder()));
    ImmutableList.Builder<FunctionRange> once = ImmutableList.builder();
    for (int i = 0; i < all.size(); i++) {
      if (i == 0 || all.get(i).start() != all.get(i - 1).start()) {
        once.add(all.get(i));
      }
    }
    return once.build();
  }

  private static boolean isCode(LoadedBytes loaded, FunctionRange range) {
    return range.start() < range.end()
        && loaded.isExecutable(range.start())
        && loaded.isExecutable(range.end() - 1);
  }
}
