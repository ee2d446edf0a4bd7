package io.github.textpoke.x86.decode;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Objects;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;
import org.jspecify.annotations.Nullable;

/**
 * Decodes x86-64 by the system's libZydis 4.0 or 4.1: the second witness, and the one that writes
 * disassembly for people. Refuses what {@link TableDecoder} refuses by policy. The library is
 * loaded on first use of this class; {@link #isAvailable} says whether that went well.
 *
 * <p>Copies a region once into native memory; allocates nothing per instruction. Not thread-safe.
 */
public final class ZydisDecoder implements InstructionDecoder {
  // enums of Zydis, the same in 4.0 and 4.1
  private static final int LONG_64 = 0;
  private static final int STACK_WIDTH_64 = 2;
  private static final int MODE_MPX = 3;
  private static final int NO_MORE_DATA = 0x80200000;
  private static final int INSTRUCTION_TOO_LONG = 0x80200002;

  private static final int DISASSEMBLED_TEXT = 1136; // in ZydisDisassembledInstruction
  private static final int TEXT_LENGTH = 96;

  // Far more than the structures take (20 and 1232 bytes in 4.0).
  private static final int DECODER_BYTES = 64;
  private static final int DISASSEMBLED_BYTES = 4096;

  /** Known instructions with length, flow, branch and RIP-relative fields. */
  private static final ImmutableMap<String, Long> KNOWN =
      ImmutableMap.<String, Long>builder()
          .put("90", Decoded.pack(1, Flow.NOP, 0, 0, 0, 0, 0))
          .put("0f 1f 84 00 00 00 00 00", Decoded.pack(8, Flow.NOP, 0, 0, 0, 0, 0))
          .put("f3 0f 1e fa", Decoded.pack(4, Flow.LANDING_PAD, 0, 0, 0, 0, 0))
          .put("0f 1a c0", Decoded.pack(3, Flow.NEXT, 0, 0, 0, 0, 0))
          .put("48 8b 05 10 00 00 00", Decoded.pack(7, Flow.NEXT, 0, 0, 3, 4, 0))
          .put("c7 05 00 00 00 00 01 00 00 00", Decoded.pack(10, Flow.NEXT, 0, 0, 2, 4, 0))
          .put("e8 00 00 00 00", Decoded.pack(5, Flow.CALL, 1, 4, 0, 0, 0))
          .put("2e 74 10", Decoded.pack(3, Flow.CONDITIONAL_JUMP, 2, 1, 0, 0, 0))
          .put("e3 10", Decoded.pack(2, Flow.COUNTER_JUMP, 1, 1, 0, 0, 0))
          .put("ff 25 00 00 00 00", Decoded.pack(6, Flow.INDIRECT_JUMP, 0, 0, 2, 4, 0))
          .put("48 ff 28", Decoded.pack(3, Flow.FAR, 0, 0, 0, 0, 0))
          .put("c3", Decoded.pack(1, Flow.RETURN, 0, 0, 0, 0, 0))
          .put("cc", Decoded.pack(1, Flow.BREAKPOINT, 0, 0, 0, 0, 0))
          .put("0f 05", Decoded.pack(2, Flow.SYSTEM_CALL, 0, 0, 0, 0, 0))
          .put("62 f1 7c 48 58 05 00 00 00 00", Decoded.pack(10, Flow.NEXT, 0, 0, 6, 4, 0))
          .put("06", Decoded.undecodable(Undecodable.UNKNOWN))
          .put("66 e8 00 00 00 00", Decoded.undecodable(Undecodable.LENGTH_DEPENDS_ON_CPU))
          .buildOrThrow();

  /** The library, bound and tested once; or why not. */
  private record Loaded(
      ZydisLibrary.@Nullable Bound library,
      @Nullable ZydisMeaning meaning,
      @Nullable UnsupportedPlatformException cause) {}

  private static final Loaded LOADED = load();

  private final ZydisLibrary.Zydis zydis;
  private final String name;
  private final Pointer decoder;
  private final ZydisInstruction instruction;
  private final Pointer disassembled;
  private @Nullable CodeRegion region;
  private Pointer bytes;
  private int length;

  /**
   * A decoder for one thread.
   *
   * @throws UnsupportedPlatformException if the library is not available
   */
  public ZydisDecoder() {
    this(requireLoaded(), requireMeaning());
  }

  private ZydisDecoder(ZydisLibrary.Bound library, ZydisMeaning meaning) {
    zydis = library.zydis();
    name = "zydis " + library.version();
    decoder = allocate(DECODER_BYTES);
    instruction = new ZydisInstruction(meaning);
    disassembled = allocate(DISASSEMBLED_BYTES);
    bytes = allocate(1);
    int status = zydis.ZydisDecoderInit(decoder.address(), LONG_64, STACK_WIDTH_64);
    if (status >= 0) {
      // Without MPX its opcodes are NOPs, as on every processor that is sold.
      status = zydis.ZydisDecoderEnableMode(decoder.address(), MODE_MPX, 0);
    }
    if (status < 0) {
      throw ZydisLibrary.unavailable(
          library.path() + " does not make a decoder, status 0x" + Integer.toHexString(status),
          null);
    }
  }

  /** Whether libZydis 4.0 or 4.1 was found, has the expected layout and passed its test. */
  public static boolean isAvailable() {
    return LOADED.cause() == null;
  }

  /** Why {@link #isAvailable} is false; {@code null} where it is true. */
  public static @Nullable Throwable unavailabilityCause() {
    return LOADED.cause();
  }

  /**
   * Does nothing where the library is available.
   *
   * @throws UnsupportedPlatformException if it is not, with the reason
   */
  public static void ensureAvailability() {
    UnsupportedPlatformException cause = LOADED.cause();
    if (cause != null) {
      throw new UnsupportedPlatformException(cause.what(), cause);
    }
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public long decode(CodeRegion code, int offset) {
    int status = ask(code, offset);
    return status < 0 ? refusal(status) : instruction.packed();
  }

  /** Has the library fill {@link #instruction} and returns its status, negative for none. */
  private int ask(CodeRegion code, int offset) {
    if (code != region) {
      load(code);
    }
    Objects.checkIndex(offset, length);
    return zydis.ZydisDecoderDecodeInstruction(
        decoder.address(), 0, bytes.address() + offset, length - offset, instruction.address());
  }

  /**
   * What the library itself takes the bytes for, before our own refusals: the name of the ISA set,
   * {@code null} where it refuses.
   */
  @Nullable String isaSet(CodeRegion code, int offset) {
    return ask(code, offset) < 0
        ? null
        : ZydisMeaning.name(zydis::ZydisISASetGetString, instruction.isaSet());
  }

  @Override
  public @Nullable String format(CodeRegion code, int offset) {
    if (!Decoded.isDecoded(decode(code, offset))) {
      return null;
    }
    int status =
        zydis.ZydisDisassembleIntel(
            LONG_64,
            code.address() + offset,
            bytes.address() + offset,
            length - offset,
            disassembled.address());
    return status < 0
        ? null
        : disassembled.getString(DISASSEMBLED_TEXT, TEXT_LENGTH, StandardCharsets.US_ASCII);
  }

  private static long refusal(int status) {
    return Decoded.undecodable(
        switch (status) {
          case NO_MORE_DATA -> Undecodable.TRUNCATED;
          case INSTRUCTION_TOO_LONG -> Undecodable.TOO_LONG;
          default -> Undecodable.UNKNOWN;
        });
  }

  private void load(CodeRegion code) {
    byte[] copy = code.bytes().toByteArray();
    bytes = allocate(copy.length);
    bytes.put(0, copy, 0, copy.length);
    length = copy.length;
    region = code;
  }

  private static Pointer allocate(int size) {
    return jnr.ffi.Memory.allocateDirect(Runtime.getSystemRuntime(), size, true);
  }

  private static Loaded load() {
    try {
      ZydisLibrary.Bound library = ZydisLibrary.load();
      ZydisMeaning meaning = new ZydisMeaning(library.zydis());
      test(library, new ZydisDecoder(library, meaning));
      return new Loaded(library, meaning, null);
    } catch (UnsupportedPlatformException e) {
      return new Loaded(null, null, e);
    } catch (LinkageError e) {
      return new Loaded(
          null, null, ZydisLibrary.unavailable("JNR-FFI can't load native code: " + e, e));
    }
  }

  /** Refuses a library whose structures lie elsewhere than we read them. */
  private static void test(ZydisLibrary.Bound library, ZydisDecoder decoder) {
    for (Map.Entry<String, Long> known : KNOWN.entrySet()) {
      CodeRegion code = CodeRegion.of("self-test", 0x401000, CodeBytes.ofHex(known.getKey()));
      long read = decoder.decode(code, 0) & Decoded.WITNESSED;
      if (read != known.getValue()) {
        throw ZydisLibrary.unavailable(
            "%s reads %s as 0x%x, expected 0x%x"
                .formatted(library.path(), known.getKey(), read, known.getValue()),
            null);
      }
    }
    CodeRegion call = CodeRegion.of("self-test", 0x401000, CodeBytes.ofHex("e8 fb 00 00 00"));
    String text = String.valueOf(decoder.format(call, 0));
    if (!text.startsWith("call") || !text.endsWith("401100")) {
      throw ZydisLibrary.unavailable(
          library.path() + " writes '" + text + "', expected a call of 0x401100", null);
    }
  }

  private static ZydisLibrary.Bound requireLoaded() {
    ensureAvailability();
    return Objects.requireNonNull(LOADED.library());
  }

  private static ZydisMeaning requireMeaning() {
    return Objects.requireNonNull(LOADED.meaning());
  }
}
