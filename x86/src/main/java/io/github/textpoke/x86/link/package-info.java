/**
 * Links a shared object for a process without that process's loader. In come the bytes of a shared
 * object, an address, and a {@code SymbolScope} that knows the target's symbols; out come the bytes
 * of each of its segments as they must stand in memory, and what only the target can run. Touches
 * no process. The entry is {@link io.github.textpoke.x86.link.Linker}.
 */
@NullMarked
package io.github.textpoke.x86.link;

import org.jspecify.annotations.NullMarked;
