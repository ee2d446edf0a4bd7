package io.github.textpoke.x86.link;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.ObjectRefusedException;
import io.github.textpoke.elf.Relocation;
import io.github.textpoke.x86.link.Bindings.Bound;
import io.github.textpoke.x86.link.Bindings.ToAddress;
import io.github.textpoke.x86.link.Bindings.ToOwnThreadLocal;
import io.github.textpoke.x86.link.Bindings.ToResolver;
import io.github.textpoke.x86.link.Bindings.ToThreadLocal;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Carries out the relocations of one object in its bytes. In the words of the AMD64 supplement: S
 * is the symbol's address, A the addend, B the load bias, P the place, Z the symbol's size.
 */
final class Relocating {
  private static final String NO_THREAD_LOCALS =
      "use a static variable, pthread_getspecific, or an extern thread-local variable of the"
          + " executable, compiled with -ftls-model=initial-exec";

  private final PatchObject object;
  private final long bias;
  private final Bindings bindings;
  private final ImmutableList<SegmentBytes> segments;
  private final Map<Long, PendingCall> calls = new LinkedHashMap<>();

  Relocating(
      PatchObject object, long bias, Bindings bindings, ImmutableList<SegmentBytes> segments) {
    this.object = object;
    this.bias = bias;
    this.bindings = bindings;
    this.segments = segments;
  }

  /**
   * Carries out all of them, in the loader's order.
   *
   * @return the words that only the target can find
   */
  ImmutableList<PendingCall> run() {
    object.forEachRelative(
        place -> {
          SegmentBytes segment = writable(place);
          segment.putWord(place, segment.word(place) + bias);
        });
    for (Relocation relocation : object.relocations()) {
      apply(relocation);
    }
    return ImmutableList.copyOf(calls.values());
  }

  private void apply(Relocation relocation) {
    RelocationType type =
        RelocationType.of(relocation.type()).orElseThrow(() -> unknown(relocation));
    switch (type) {
      case NONE -> {}
      case RELATIVE -> putWord(relocation, bias + relocation.addend());
      case IRELATIVE -> callLater(relocation, bias + relocation.addend(), 0);
      case ADDRESS_64 -> putAddress(relocation, relocation.addend());
      case GLOB_DAT, JUMP_SLOT -> putAddress(relocation, 0);
      case SIZE_64 -> putWord(relocation, symbol(relocation).size() + relocation.addend());
      case SIZE_32 -> putUnsigned(relocation, symbol(relocation).size() + relocation.addend());
      case ADDRESS_32 -> putUnsigned(relocation, value(relocation));
      case ADDRESS_32_SIGNED -> putSigned(relocation, value(relocation));
      case PC_32, PLT_32 -> putSigned(relocation, value(relocation) - bias - relocation.place());
      case PC_64 -> putWord(relocation, value(relocation) - bias - relocation.place());
      case THREAD_POINTER_OFFSET -> putThreadOffset(relocation);
      case THREAD_MODULE, THREAD_OFFSET, THREAD_DESCRIPTOR -> throw dynamicThreadLocal(relocation);
      case COPY ->
          throw refused(
              relocation, "a copy relocation, which only executables have", "compile with -fPIC");
    }
  }

  /** S, where it is known. */
  private ToAddress symbol(Relocation relocation) {
    Bound bound = bound(relocation);
    if (bound instanceof ToAddress address) {
      return address;
    }
    if (bound instanceof ToResolver) {
      throw refused(
          relocation,
          "a relocation of type "
              + relocation.type()
              + " against an IFUNC, whose address only the target can find",
          "call the function, or take its address in a variable of 64 bits");
    }
    throw object.bad(
        "a relocation of type %d at 0x%x against a thread-local variable"
            .formatted(relocation.type(), relocation.place()));
  }

  private long value(Relocation relocation) {
    return symbol(relocation).address() + relocation.addend();
  }

  private Bound bound(Relocation relocation) {
    if (relocation.symbol() == 0) {
      throw object.bad(
          "a relocation of type %d at 0x%x without symbol"
              .formatted(relocation.type(), relocation.place()));
    }
    return bindings.of(relocation.symbol());
  }

  private void putAddress(Relocation relocation, long addend) {
    if (bound(relocation) instanceof ToResolver resolver) {
      callLater(relocation, resolver.resolver(), addend);
    } else {
      putWord(relocation, symbol(relocation).address() + addend);
    }
  }

  private void callLater(Relocation relocation, long resolver, long addend) {
    putWord(relocation, 0);
    long slot = relocation.place() + bias;
    calls.put(slot, new PendingCall(slot, resolver, addend));
  }

  private void putThreadOffset(Relocation relocation) {
    if (relocation.symbol() == 0 || bindings.of(relocation.symbol()) instanceof ToOwnThreadLocal) {
      throw ownThreadLocal(relocation);
    }
    if (!(bindings.of(relocation.symbol()) instanceof ToThreadLocal variable)) {
      // An undefined weak one, or one that is something else here than there.
      throw object.bad(
          "a relocation at 0x%x needs a thread-local variable: '%s' is none"
              .formatted(relocation.place(), name(relocation)));
    }
    long offset =
        variable
            .offset()
            .orElseThrow(
                () ->
                    refused(
                        relocation,
                        "where each thread keeps '%s' of %s is not known"
                            .formatted(name(relocation), variable.object()),
                        "have a function of "
                            + variable.object()
                            + " return its address; only for the executable's own is it known"));
    putWord(relocation, offset + relocation.addend());
  }

  private ObjectRefusedException dynamicThreadLocal(Relocation relocation) {
    // Without symbol, or with one of its own: a variable of the object.
    if (relocation.symbol() == 0 || !(bindings.of(relocation.symbol()) instanceof ToThreadLocal)) {
      return ownThreadLocal(relocation);
    }
    return refused(
        relocation,
        "the thread-local variable '"
            + name(relocation)
            + "' is asked for by its module's number,"
            + " which only the target's loader knows",
        "compile with -ftls-model=initial-exec, which works for variables of the executable, or"
            + " have a function of the target return its address");
  }

  private ObjectRefusedException ownThreadLocal(Relocation relocation) {
    return refused(
        relocation,
        "a thread-local variable of its own"
            + (relocation.symbol() == 0 ? "" : ", '" + name(relocation) + "'")
            + ": only the target's loader could give one to each thread",
        NO_THREAD_LOCALS);
  }

  private ObjectRefusedException unknown(Relocation relocation) {
    return refused(
        relocation,
        "a relocation of type " + relocation.type() + ", which is not known",
        "compile with -fPIC and link with -shared");
  }

  private ObjectRefusedException refused(Relocation relocation, String reason, String remedy) {
    return new ObjectRefusedException(object.name(), relocation.place(), reason, remedy);
  }

  private String name(Relocation relocation) {
    return object.dynamicSymbols().get(relocation.symbol()).versionedName();
  }

  private void putWord(Relocation relocation, long value) {
    SegmentBytes segment = writable(relocation.place());
    // The last one counts, as it does for the loader.
    calls.remove(relocation.place() + bias);
    segment.putWord(relocation.place(), value);
  }

  private void putSigned(Relocation relocation, long value) {
    put32(relocation, value, value == (int) value);
  }

  private void putUnsigned(Relocation relocation, long value) {
    put32(relocation, value, value >>> 32 == 0);
  }

  private void put32(Relocation relocation, long value, boolean fits) {
    if (!fits) {
      throw refused(
          relocation,
          "0x%x for '%s' does not fit into 32 bits".formatted(value, name(relocation)),
          "use a pointer of 64 bits, or have the object nearer");
    }
    writable(relocation.place()).putInt(relocation.place(), (int) value);
  }

  private SegmentBytes writable(long place) {
    for (SegmentBytes segment : segments) {
      if (segment.contains(place)) {
        if (!segment.isWritable()) {
          throw new ObjectRefusedException(
              object.name(),
              place,
              "a relocation in a segment that is not writable",
              "compile all parts with -fPIC and link with -z text");
        }
        return segment;
      }
    }
    throw outside(place);
  }

  private BadObjectException outside(long place) {
    return object.bad("a relocation at 0x%x, where no segment is".formatted(place));
  }
}
