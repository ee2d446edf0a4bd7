package io.github.textpoke.apply;

import java.nio.file.Path;
import java.util.Optional;

/**
 * A program that a process has executed, and that was held before its first instruction, or why it
 * was not.
 *
 * @param pid its process id; of a thread that could not be traced, that one's
 * @param file the executable file, as the kernel names it; an interpreter's for a script. Empty
 *     where the thread could not be traced
 * @param failure why it runs unpatched, why what is patched was not in place before its first
 *     instruction, or why its own children are not followed; empty: it is as it was to be
 */
public record FollowedProgram(int pid, Path file, Optional<RuntimeException> failure) {}
