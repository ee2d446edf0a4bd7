package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.AccessDeniedException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Segment;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What is mapped where in a process, as it was when it was read. Immutable and thread-safe; sorted
 * by address.
 *
 * <p>Source: {@code proc_pid_maps(5)}, {@code proc_pid_smaps(5)}.
 *
 * @param mappings as the kernel lists them
 */
public record MemoryMap(ImmutableList<Mapping> mappings) {
  private static final long PAGE = 4096;
  private static final Pattern LINE = Pattern.compile("[0-9a-f]{1,16}-[0-9a-f]{1,16} .*");
  private static final Pattern PAGE_SIZE = Pattern.compile("KernelPageSize: *([0-9]+) kB");

  /**
   * Reads {@code /proc/PID/maps}.
   *
   * @throws NoSuchProcessException if there is no such process
   * @throws AccessDeniedException if the kernel does not show it
   */
  public static MemoryMap read(int pid) {
    return parse(ProcText.read(pid, "maps"));
  }

  /**
   * Parses the text of {@code /proc/PID/maps}.
   *
   * @throws IllegalArgumentException if a line is none of that file
   */
  public static MemoryMap parse(String text) {
    return new MapsText(text).parse();
  }

  /** The mapping that holds the absolute {@code address}. */
  public Optional<Mapping> at(long address) {
    int low = 0;
    int high = mappings.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (Long.compareUnsigned(mappings.get(middle).end(), address) <= 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low == mappings.size()
        ? Optional.empty()
        : Optional.of(mappings.get(low)).filter(mapping -> mapping.contains(address));
  }

  /** All mappings of the file that {@code one} maps. */
  public ImmutableList<Mapping> ofSameFile(Mapping one) {
    return mappings.stream().filter(one::isOfSameFile).collect(ImmutableList.toImmutableList());
  }

  /**
   * What to add to a link-time address of {@code image} for the absolute one.
   *
   * @param code an executable mapping of the image's file
   * @return empty where {@code code} holds none of the image's executable segments
   */
  public static OptionalLong loadBias(Mapping code, ElfImage image) {
    for (Segment segment : image.segments()) {
      long firstPage = segment.offset() & -PAGE;
      if (segment.isExecutable()
          && code.offset() >= firstPage
          && code.offset() < segment.offset() + segment.fileSize()) {
        return OptionalLong.of(code.start() - code.offset() + segment.offset() - segment.address());
      }
    }
    return OptionalLong.empty();
  }

  /**
   * Size in bytes of the pages that hold {@code address}: 4096, or that of a hugetlb mapping. Reads
   * {@code /proc/PID/smaps}, which takes long in a large process.
   *
   * @throws UnwritableMappingException if nothing is mapped there
   * @throws NoSuchProcessException if there is no such process
   * @throws AccessDeniedException if the kernel does not show it
   */
  public static long kernelPageSize(int pid, long address) {
    boolean inside = false;
    for (String line : ProcText.read(pid, "smaps").lines().toList()) {
      Matcher size = PAGE_SIZE.matcher(line);
      if (LINE.matcher(line).matches()) {
        inside = parse(line).at(address).isPresent();
      } else if (inside && size.matches()) {
        return Long.parseLong(size.group(1)) * 1024;
      }
    }
    throw new UnwritableMappingException(address, "nothing is mapped there", Outcome.UNTOUCHED);
  }
}
