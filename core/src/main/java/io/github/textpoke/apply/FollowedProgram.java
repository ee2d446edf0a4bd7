package io.github.textpoke.apply;

import java.nio.file.Path;
import java.util.Optional;

/**
 * A program that a process has executed, and that was held before its first instruction.
 *
 * @param pid its process id
 * @param file the executable file, as the kernel names it; an interpreter's for a script
 * @param failure why it runs unpatched, or why what is patched was not in place before its first
 *     instruction; empty: it is as it was to be
 */
public record FollowedProgram(int pid, Path file, Optional<RuntimeException> failure) {}
