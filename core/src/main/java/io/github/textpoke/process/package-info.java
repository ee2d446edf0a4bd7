/**
 * Facts about a process, read from {@code /proc}: its mappings, the objects loaded in it and what
 * their symbols name. Nothing here changes the process.
 */
@NullMarked
package io.github.textpoke.process;

import org.jspecify.annotations.NullMarked;
