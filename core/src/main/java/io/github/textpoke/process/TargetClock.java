package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.linux.Kernel;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The clock that a process reads without a system call.
 *
 * @param function absolute address of the vDSO's {@code __vdso_clock_gettime}, which is called as
 *     clock_gettime(2)
 * @param nanos what its CLOCK_MONOTONIC says now, in nanoseconds
 */
public record TargetClock(long function, long nanos) {
  private static final String FUNCTION = "__vdso_clock_gettime";

  /**
   * That of process {@code pid}.
   *
   * @throws UnsupportedTargetException if it has no vDSO, or its clock is not ours (time_namespaces
   *     (7))
   */
  public static TargetClock of(int pid) {
    MemoryMap map = MemoryMap.read(pid);
    for (Mapping mapping : map.mappings()) {
      if (mapping.path().equals("[vdso]")) {
        checkSameTime(pid);
        return new TargetClock(mapping.start() + linked(pid, mapping), Kernel.monotonicNanos());
      }
    }
    throw new UnsupportedTargetException(
        "process " + pid + " has no vDSO, so no clock that can be read without a system call",
        "boot without vdso=0");
  }

  /** The vDSO's link-time addresses begin at 0. */
  private static long linked(int pid, Mapping mapping) {
    byte[] bytes;
    try (ProcMemReader reader = new ProcMemReader(pid)) {
      bytes = reader.read(mapping.start(), (int) mapping.length()).toByteArray();
    }
    ElfImage image = ElfImage.parse(mapping.path(), ByteBuffer.wrap(bytes));
    return Symbols.of(image).named(FUNCTION).stream()
        .findFirst()
        .orElseThrow(
            () ->
                new NoSuchSymbolException(
                    FUNCTION, ImmutableList.of(mapping.path()), "boot without vdso=0"))
        .address();
  }

  private static void checkSameTime(int pid) {
    try {
      Path theirs = Path.of("/proc/" + pid + "/ns/time");
      // Kernels before 5.6 have none.
      if (Files.exists(theirs)
          && !Files.readSymbolicLink(theirs)
              .equals(Files.readSymbolicLink(Path.of("/proc/self/ns/time")))) {
        throw new UnsupportedTargetException(
            "process "
                + pid
                + " is in a time namespace of its own, so what its clock says is not"
                + " known",
            "run in that namespace");
      }
    } catch (IOException hidden) {
      throw new UnsupportedTargetException(
          "which time namespace process " + pid + " is in can't be read: " + hidden,
          "run as its user, or with CAP_SYS_PTRACE");
    }
  }
}
