/**
 * What an ELF object says of itself: symbols, function ranges, build-id. In go bytes, which may be
 * hostile; out come link-time addresses or a {@code BadObjectException}. Touches no process and
 * runs on any operating system. Start at {@link io.github.textpoke.elf.ElfImage}.
 */
@NullMarked
package io.github.textpoke.elf;

import org.jspecify.annotations.NullMarked;
