package io.github.textpoke.x86.plan;

import io.github.textpoke.CodeBytes;

/**
 * A line of a disassembly.
 *
 * @param address absolute
 * @param bytes of one instruction, or one byte that is none
 * @param text as people read it; what the decoder refuses it for, in parentheses, where it is no
 *     instruction
 * @param isInstruction whether it is one
 */
public record CodeLine(long address, CodeBytes bytes, String text, boolean isInstruction) {}
