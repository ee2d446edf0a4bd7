package io.github.textpoke.x86.link;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.Maps;
import java.util.Arrays;
import java.util.Optional;

/** The relocations that a dynamic object may hold (AMD64 supplement, "Relocation Types"). */
enum RelocationType {
  NONE(0),
  ADDRESS_64(1),
  PC_32(2),
  PLT_32(4),
  COPY(5),
  GLOB_DAT(6),
  JUMP_SLOT(7),
  RELATIVE(8),
  ADDRESS_32(10),
  ADDRESS_32_SIGNED(11),
  THREAD_MODULE(16),
  THREAD_OFFSET(17),
  THREAD_POINTER_OFFSET(18),
  PC_64(24),
  SIZE_32(32),
  SIZE_64(33),
  THREAD_DESCRIPTOR(36),
  IRELATIVE(37);

  private static final ImmutableMap<Integer, RelocationType> BY_NUMBER =
      Maps.uniqueIndex(Arrays.asList(values()), type -> type.number);

  private final int number;

  RelocationType(int number) {
    this.number = number;
  }

  static Optional<RelocationType> of(int number) {
    return Optional.ofNullable(BY_NUMBER.get(number));
  }
}
