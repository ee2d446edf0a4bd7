package io.github.textpoke.x86.plan;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.AddressLinks;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Relocations;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The restartable sequences of a program, as its {@code __rseq_cs} sections describe them. A
 * breakpoint inside one aborts it each time, so that it never gets done; and the kernel ends a
 * process whose signature before an abort handler was altered (rule 16).
 *
 * @param sections in any order
 */
public record RseqSections(ImmutableList<Section> sections) {
  /** No restartable sequences are known. */
  public static final RseqSections NONE = new RseqSections(ImmutableList.of());

  /** Bytes of a descriptor (struct rseq_cs of linux/rseq.h). */
  private static final int DESCRIPTOR = 32;

  /** Bytes of the signature before each abort handler (RSEQ_SIG). */
  private static final int SIGNATURE = 4;

  /**
   * One sequence.
   *
   * @param start absolute address of its first byte
   * @param length in bytes
   * @param abort absolute address of its abort handler
   */
  public record Section(long start, long length, long abort) {
    /** Checks that it is not empty and does not wrap around. */
    public Section {
      checkArgument(
          length > 0 && Long.compareUnsigned(start + length - 1, start) >= 0,
          "no sequence: %s bytes at 0x%s",
          length,
          Long.toHexString(start));
    }

    private boolean isEntered(long from, long to) {
      return overlap(from, to, start, start + length);
    }

    private boolean isSignature(long from, long to) {
      return overlap(from, to, abort - SIGNATURE, abort);
    }

    private static boolean overlap(long from, long to, long start, long end) {
      return Long.compareUnsigned(from, end) < 0 && Long.compareUnsigned(start, to) < 0;
    }
  }

  /**
   * Those that the {@code __rseq_cs} section of an object describes, as librseq's macros make it.
   *
   * @param image the object; what the loader has to relocate is
   * @param bias what to add to a link-time address for an absolute one
   * @throws BadObjectException if the object is malformed
   */
  public static RseqSections of(ElfImage image, long bias) {
    Optional<FunctionRange> section = LoadedBytes.section(image, "__rseq_cs");
    if (section.isEmpty()) {
      return NONE;
    }
    LoadedBytes loaded = LoadedBytes.of(image);
    long start = section.get().start();
    long size = section.get().end() - start;
    CodeBytes bytes = loaded.bytes(start, size).orElse(CodeBytes.EMPTY);
    Map<Long, Long> written = new HashMap<>();
    AddressLinks pointers = Relocations.pointersToCode(image);
    for (int i = 0; i < pointers.size(); i++) {
      if (section.get().contains(pointers.source(i))) {
        written.put(pointers.source(i), pointers.target(i));
      }
    }
    ImmutableList.Builder<Section> sections = ImmutableList.builder();
    for (int at = 0; at + DESCRIPTOR <= bytes.length(); at += DESCRIPTOR) {
      long begin = written.getOrDefault(start + at + 8, word(bytes, at + 8));
      long length = word(bytes, at + 16);
      long abort = written.getOrDefault(start + at + 24, word(bytes, at + 24));
      if (length <= 0 || begin + length < begin) {
        throw new BadObjectException(
            image.name(), "no restartable sequence: %d bytes at 0x%x".formatted(length, begin));
      }
      sections.add(new Section(begin + bias, length, abort + bias));
    }
    return new RseqSections(sections.build());
  }

  private static long word(CodeBytes bytes, int at) {
    long word = 0;
    for (int i = 0; i < 8; i++) {
      word |= (long) bytes.at(at + i) << 8 * i;
    }
    return word;
  }

  /**
   * Why the bytes from {@code from}, inclusive, to {@code to}, exclusive, must not be touched;
   * empty where they may.
   */
  Optional<String> obstacle(long from, long to) {
    for (Section section : sections) {
      if (section.isSignature(from, to)) {
        return Optional.of(
            "it touches the signature before the abort handler 0x"
                + Long.toHexString(section.abort())
                + " of a restartable sequence: the kernel would end the process");
      }
      if (section.isEntered(from, to)) {
        return Optional.of(
            "it is inside the restartable sequence at 0x"
                + Long.toHexString(section.start())
                + ": a breakpoint there would abort it every time");
      }
    }
    return Optional.empty();
  }
}
