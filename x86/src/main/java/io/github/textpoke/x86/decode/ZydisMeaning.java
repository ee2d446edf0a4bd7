package io.github.textpoke.x86.decode;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Undecodable;
import java.nio.charset.StandardCharsets;
import java.util.function.IntFunction;
import jnr.ffi.Pointer;

/**
 * What Zydis' mnemonics and ISA sets mean to a patcher, by number. The numbers differ between
 * versions, so the names are asked of the library once, at load.
 */
final class ZydisMeaning {
  /** Bit of a mnemonic's traits, above the {@link Flow}: boostable. */
  static final int BOOSTABLE = 16;

  /** Bit of a mnemonic's traits: the operands decide what flow it is. */
  static final int LOOK_CLOSER = 32;

  private static final int NAMES = 8192; // more than any version has

  private static final ImmutableMap<String, Flow> FLOWS =
      ImmutableMap.<String, Flow>builder()
          .put("endbr64", Flow.LANDING_PAD)
          .put("loop", Flow.COUNTER_JUMP)
          .put("loope", Flow.COUNTER_JUMP)
          .put("loopne", Flow.COUNTER_JUMP)
          .put("jrcxz", Flow.COUNTER_JUMP)
          .put("jecxz", Flow.COUNTER_JUMP)
          .put("iret", Flow.FAR)
          .put("iretd", Flow.FAR)
          .put("iretq", Flow.FAR)
          .put("uiret", Flow.FAR)
          .put("enclu", Flow.FAR)
          .put("syscall", Flow.SYSTEM_CALL)
          .put("sysenter", Flow.SYSTEM_CALL)
          .put("int", Flow.INTERRUPT)
          .put("int1", Flow.INTERRUPT)
          .put("int3", Flow.BREAKPOINT)
          .put("xbegin", Flow.TRANSACTION)
          .put("ud0", Flow.FAULT)
          .put("ud1", Flow.FAULT)
          .put("ud2", Flow.FAULT)
          .put("hlt", Flow.FAULT)
          .put("rsm", Flow.FAULT)
          .put("sysret", Flow.FAULT)
          .put("sysexit", Flow.FAULT)
          .buildOrThrow();

  private static final ImmutableSet<String> LOOK_CLOSER_AT =
      ImmutableSet.of("jmp", "call", "ret", "nop", "mov", "shl", "test", "fwait");

  /** Privileged or bound to system state: not boostable, though the next instruction follows. */
  private static final ImmutableSet<String> SYSTEM =
      ImmutableSet.of(
          "in",
          "insb",
          "insd",
          "insw",
          "out",
          "outsb",
          "outsd",
          "outsw",
          "cli",
          "sti",
          "clts",
          "invd",
          "wbinvd",
          "wbnoinvd",
          "wrmsr",
          "rdmsr",
          "rdpmc",
          "getsec",
          "vmread",
          "vmwrite",
          "invept",
          "invvpid",
          "invpcid",
          "wrussd",
          "wrussq",
          "wrssd",
          "wrssq",
          "hreset",
          "xabort",
          "sldt",
          "str",
          "lldt",
          "ltr",
          "verr",
          "verw",
          "rdsspd",
          "rdsspq",
          "incsspd",
          "incsspq",
          "clrssbsy",
          "senduipi",
          "xrstors",
          "xrstors64",
          "xsaves",
          "xsaves64",
          "vmptrld",
          "vmptrst",
          "vmclear",
          "vmxon");

  /** {@link Flow} ordinal and the bits of this class, by mnemonic. */
  final byte[] mnemonics = new byte[NAMES];

  /** By ISA set: 0 where it is decoded, else the {@link Undecodable} reason's ordinal. */
  final byte[] refusals = new byte[NAMES];

  ZydisMeaning(ZydisLibrary.Zydis zydis) {
    for (int i = 0; i < NAMES; i++) {
      String name = name(zydis::ZydisMnemonicGetString, i);
      if (name == null) {
        break;
      }
      mnemonics[i] = (byte) traits(name);
    }
    for (int i = 0; i < NAMES; i++) {
      String name = name(zydis::ZydisISASetGetString, i);
      if (name == null) {
        break;
      }
      refusals[i] = (byte) refusal(name);
    }
  }

  static @org.jspecify.annotations.Nullable String name(IntFunction<Pointer> names, int number) {
    Pointer text = names.apply(number);
    return text == null ? null : text.getString(0, 64, StandardCharsets.US_ASCII);
  }

  private static int traits(String name) {
    Flow flow = FLOWS.get(name);
    if (flow == null) {
      boolean branches = name.charAt(0) == 'j' && !name.equals("jmp");
      flow = branches ? Flow.CONDITIONAL_JUMP : Flow.NEXT;
    }
    boolean goesOn = flow == Flow.NEXT || flow == Flow.LANDING_PAD;
    return flow.ordinal()
        | (goesOn && !SYSTEM.contains(name) && !isX87(name) ? BOOSTABLE : 0)
        | (LOOK_CLOSER_AT.contains(name) ? LOOK_CLOSER : 0);
  }

  private static boolean isX87(String name) {
    return name.charAt(0) == 'f' && !name.startsWith("fxsave") && !name.startsWith("fxrstor");
  }

  private static int refusal(String isaSet) {
    if (isaSet.startsWith("KNC")) {
      return Undecodable.DROPPED_EXTENSION.ordinal();
    }
    boolean vendor = isaSet.startsWith("PADLOCK") || isaSet.equals("AMD3DNOW");
    return vendor ? Undecodable.UNKNOWN.ordinal() : 0;
  }
}
