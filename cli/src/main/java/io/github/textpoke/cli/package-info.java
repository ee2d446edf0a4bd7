/**
 * The command line. {@link io.github.textpoke.cli.Main} is the entry; commands are thin: they read
 * arguments, call the library, and hand a {@link io.github.textpoke.cli.Result} to {@link
 * io.github.textpoke.cli.Output}, which prints it as text or as JSON. Not an API: use the library.
 */
@NullMarked
package io.github.textpoke.cli;

import org.jspecify.annotations.NullMarked;
