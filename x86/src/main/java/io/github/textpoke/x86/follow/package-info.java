/**
 * The programs that the processes of a program execute. A detour of libc's execve has them wait
 * until this JVM sees them; from their entry on they are patched as a launched program is.
 */
@NullMarked
package io.github.textpoke.x86.follow;

import org.jspecify.annotations.NullMarked;
