/**
 * Decodes x86-64. In: a {@link io.github.textpoke.decode.CodeRegion}; out: packed instructions, see
 * {@link io.github.textpoke.decode.Decoded}. Entry: {@link
 * io.github.textpoke.x86.decode.WitnessedDecoder#best}. {@link
 * io.github.textpoke.x86.decode.TableDecoder} is pure Java and works everywhere; {@link
 * io.github.textpoke.x86.decode.ZydisDecoder} asks the system's libZydis, where it is installed.
 * Only classes named {@code Zydis*} use native code, and load it on first use.
 */
@NullMarked
package io.github.textpoke.x86.decode;

import org.jspecify.annotations.NullMarked;
