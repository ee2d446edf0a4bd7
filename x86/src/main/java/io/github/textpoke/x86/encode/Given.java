package io.github.textpoke.x86.encode;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.x86.decode.TableDecoder;

/** One instruction, given as bytes. */
record Given(CodeBytes bytes) implements Assembly {
  Given {
    checkArgument(
        bytes.length() >= 1 && bytes.length() <= 15,
        "an instruction has 1 to 15 bytes, not %s",
        bytes.length());
  }

  @Override
  public int shortest(long address) {
    return bytes.length();
  }

  @Override
  public CodeBytes at(long address, int length) {
    Padding.checkRoom(this, address, length);
    long decoded = new TableDecoder().decode(CodeRegion.of("replacement", address, bytes), 0);
    if (!Decoded.isDecoded(decoded)) {
      throw new PlanRefusedException(
          4,
          address,
          bytes.hex(),
          "the new bytes are no instruction: " + Decoded.reason(decoded).words(),
          "give the bytes of one instruction");
    }
    int own = Decoded.length(decoded);
    boolean endsFlow = Decoded.flow(decoded).endsFlow();
    if (!Padding.isOnlyPadding(bytes, own) || (own < bytes.length() && !endsFlow)) {
      throw new PlanRefusedException(
          11,
          address,
          bytes.hex(),
          "the new bytes are more than one instruction: a thread could stand at offset "
              + own
              + " when the patch is undone",
          "give one instruction; put several into code of their own and jmp to it");
    }
    if (length == bytes.length() || endsFlow) {
      return Padding.unreachable(bytes, length);
    }
    Padding.checkPrefixable(bytes, decoded, address, length);
    return Padding.prefixed(bytes, length);
  }

  @Override
  public String toString() {
    return bytes.hex();
  }
}
