package io.github.textpoke.ledger;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Optional;
import java.util.function.ToLongFunction;

/**
 * A note as bytes, and back. Little-endian, nothing aligned; a text is a u16 with its length, then
 * UTF-8.
 *
 * <pre>
 *   u64 id            then for each poke:
 *   i64 epoch millis  u64 address of the site
 *   text who          u64 address of a redirect, else 0
 *   text label        u8  low half: trap action, 0 rewind, 1 redirect, 2 pass on
 *   text engine           high half: form, 0 one instruction for one,
 *   u8  trap byte           1 several old instructions, 2 several new ones
 *   u32 pokes         u32 length of the site
 *                     u32 length of the old code
 *                     u32 length of the new code
 *                     the old bytes, the new bytes
 *                     if the form is not 0: u32 boundaries inside, then for each:
 *                       u32 offset
 *                       u64 address of a redirect, else 0
 *                       u8  trap action
 *
 *   if it has brought code along, behind the pokes:
 *   u8  1, or 2 where one of the two counts does not suffice
 *   if that is 2: u32 pokes of the bypass
 *   the bypass: that many pokes, each as above; else one
 *   u8, or u16 where that is 2: extents, then for each:
 *     u64 address of the first byte
 *     u64 bytes
 * </pre>
 *
 * <p>A release that does not know a form takes the note for none, and leaves the record alone.
 */
final class NoteBytes {
  private static final int FIXED = 8 + 8 + 3 * 2 + 1 + 4;
  private static final int FIXED_OF_POKE = 8 + 8 + 1 + 3 * 4;
  private static final int BOUNDARY = 4 + 8 + 1;

  private static final int REWIND = 0;
  private static final int REDIRECT = 1;
  private static final int PASS_ON = 2;

  /** What follows the pokes: a bypass of one poke, and few extents. */
  private static final int DETOUR = 1;

  /** Likewise, of any number of both. */
  private static final int LARGE_DETOUR = 2;

  private static final int MOST_EXTENTS_OF_SMALL = 16;

  private static final int EXTENT = 8 + 8;

  private static final int FORM_BITS = 4;
  private static final int ONE_FOR_ONE = 0;
  private static final int SEVERAL_OLD = 1;
  private static final int SEVERAL_NEW = 2;

  private NoteBytes() {}

  /** What was read. */
  record Read(long id, PatchNote note) {}

  /** Bytes that are no note; the message says why. */
  static final class BadNoteException extends Exception {
    private static final long serialVersionUID = 1L;

    private BadNoteException(String reason, Throwable cause) {
      super(reason, cause);
    }
  }

  /** How many bytes {@code note} takes. */
  static long length(PatchNote note) {
    return length(note, NoteBytes::length);
  }

  /** As {@link #length(PatchNote)}. */
  static long length(PatchNote note, EncodedPlans plans) {
    return length(note, plans::length);
  }

  private static long length(PatchNote note, ToLongFunction<PatchPlan> ofPokes) {
    long length = FIXED;
    for (String text : ImmutableList.of(note.who(), note.label(), note.engine())) {
      length += text.getBytes(StandardCharsets.UTF_8).length;
    }
    length += ofPokes.applyAsLong(note.plan());
    if (note.detour().isPresent()) {
      DetourNote detour = note.detour().get();
      length += 1 + ofPokes.applyAsLong(detour.bypass()) + (isLarge(detour) ? 4 + 2 : 1);
      length += (long) EXTENT * detour.memory().size();
    }
    return length;
  }

  private static long length(PatchPlan plan) {
    long length = 0;
    for (Poke poke : plan.pokes()) {
      length += FIXED_OF_POKE + 2L * poke.length();
      if (!poke.interior().isEmpty()) {
        length += 4 + (long) BOUNDARY * poke.interior().size();
      }
    }
    return length;
  }

  /** Whether it can't be written as the first release that knew detours did. */
  private static boolean isLarge(DetourNote detour) {
    return detour.bypass().pokes().size() != 1 || detour.memory().size() > MOST_EXTENTS_OF_SMALL;
  }

  /** Appends the note of the patch {@code id}. */
  static void write(ByteBuffer to, long id, PatchNote note) {
    write(to, id, note, new EncodedPlans());
  }

  /** As {@link #write(ByteBuffer, long, PatchNote)}. */
  static void write(ByteBuffer to, long id, PatchNote note, EncodedPlans plans) {
    to.putLong(id);
    to.putLong(note.time().toEpochMilli());
    write(to, note.who());
    write(to, note.label());
    write(to, note.engine());
    to.put((byte) note.plan().trapByte());
    to.putInt(note.plan().pokes().size());
    plans.put(to, note.plan());
    note.detour().ifPresent(detour -> write(to, detour, plans));
  }

  /** The pokes of a plan, as they stand in a note. */
  static byte[] pokes(PatchPlan plan) {
    ByteBuffer bytes = LedgerLayout.littleEndian(Math.toIntExact(length(plan)));
    for (Poke poke : plan.pokes()) {
      write(bytes, poke);
    }
    return bytes.array();
  }

  private static void write(ByteBuffer to, DetourNote detour, EncodedPlans plans) {
    boolean isLarge = isLarge(detour);
    to.put((byte) (isLarge ? LARGE_DETOUR : DETOUR));
    if (isLarge) {
      to.putInt(detour.bypass().pokes().size());
    }
    plans.put(to, detour.bypass());
    if (isLarge) {
      to.putShort((short) detour.memory().size());
    } else {
      to.put((byte) detour.memory().size());
    }
    for (Extent extent : detour.memory()) {
      to.putLong(extent.start()).putLong(extent.length());
    }
  }

  private static void write(ByteBuffer to, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    to.putShort((short) bytes.length);
    to.put(bytes);
  }

  private static void write(ByteBuffer to, Poke poke) {
    int form = poke.displaces() ? SEVERAL_OLD : poke.restores() ? SEVERAL_NEW : ONE_FOR_ONE;
    to.putLong(poke.address());
    write(to, poke.trapAction(), form);
    to.putInt(poke.length());
    to.putInt(poke.oldLength());
    to.putInt(poke.newLength());
    to.put(poke.site().bytes().toByteArray());
    to.put(poke.replacement().toByteArray());
    if (form != ONE_FOR_ONE) {
      to.putInt(poke.interior().size());
      for (Boundary boundary : poke.interior()) {
        to.putInt(boundary.offset());
        write(to, boundary.trapAction(), 0);
      }
    }
  }

  private static void write(ByteBuffer to, TrapAction action, int form) {
    int high = form << FORM_BITS;
    if (action instanceof TrapAction.Rewind) {
      to.putLong(0).put((byte) (high | REWIND));
    } else if (action instanceof TrapAction.Redirect redirect) {
      to.putLong(redirect.address()).put((byte) (high | REDIRECT));
    } else if (action instanceof TrapAction.PassOn) {
      to.putLong(0).put((byte) (high | PASS_ON));
    } else {
      throw new IllegalStateException("a trap action that is not known here: " + action);
    }
  }

  /**
   * Reads all that {@code from} holds, which may be hostile.
   *
   * @throws BadNoteException if it is no note, or its plan is one that the protocol would not make
   */
  static Read read(ByteBuffer from) throws BadNoteException {
    try {
      long id = from.getLong();
      if (id < 1 || id > LedgerLayout.GREATEST_VALUE) {
        throw new IllegalArgumentException("id " + Long.toUnsignedString(id));
      }
      Instant time = Instant.ofEpochMilli(from.getLong());
      String who = readText(from);
      String label = readText(from);
      String engine = readText(from);
      int trapByte = from.get() & 0xff;
      PatchPlan plan = readPlan(from, trapByte, from.getInt());
      Optional<DetourNote> detour =
          from.hasRemaining() ? Optional.of(readDetour(from, trapByte)) : Optional.empty();
      if (from.hasRemaining()) {
        throw new IllegalArgumentException(from.remaining() + " bytes too many");
      }
      return new Read(id, new PatchNote(time, who, label, engine, plan, detour));
    } catch (BufferUnderflowException e) {
      throw new BadNoteException("it ends too early", e);
    } catch (IllegalArgumentException e) {
      throw new BadNoteException(String.valueOf(e.getMessage()), e);
    } catch (PlanRefusedException e) {
      throw new BadNoteException(e.what(), e);
    }
  }

  private static DetourNote readDetour(ByteBuffer from, int trapByte) {
    int kind = from.get() & 0xff;
    if (kind != DETOUR && kind != LARGE_DETOUR) {
      int extra = from.remaining() + 1;
      throw new IllegalArgumentException(extra + " bytes too many, that begin with " + kind);
    }
    boolean isLarge = kind == LARGE_DETOUR;
    PatchPlan bypass = readPlan(from, trapByte, isLarge ? from.getInt() : 1);
    int count = isLarge ? from.getShort() & 0xffff : from.get() & 0xff;
    ImmutableList.Builder<Extent> memory = ImmutableList.builder();
    for (int i = 0; i < count; i++) {
      memory.add(new Extent(from.getLong(), from.getLong()));
    }
    return new DetourNote(bypass, memory.build());
  }

  /** Ends with the bytes, however many pokes are promised. */
  private static PatchPlan readPlan(ByteBuffer from, int trapByte, int count) {
    ImmutableList.Builder<Poke> pokes = ImmutableList.builder();
    for (int i = 0; i < count; i++) {
      pokes.add(readPoke(from));
    }
    return PatchPlan.of(trapByte, pokes.build());
  }

  private static String readText(ByteBuffer from) {
    return new String(readBytes(from, from.getShort() & 0xffff), StandardCharsets.UTF_8);
  }

  private static Poke readPoke(ByteBuffer from) {
    long address = from.getLong();
    long redirect = from.getLong();
    int kind = from.get() & 0xff;
    TrapAction action = readAction(redirect, kind & (1 << FORM_BITS) - 1);
    int length = from.getInt();
    int oldLength = from.getInt();
    int newLength = from.getInt();
    CodeBytes old = CodeBytes.of(readBytes(from, length));
    CodeBytes replacement = CodeBytes.of(readBytes(from, length));
    ImmutableList<Boundary> oldInterior = ImmutableList.of();
    ImmutableList<Boundary> newInterior = ImmutableList.of();
    int form = kind >>> FORM_BITS;
    switch (form) {
      case ONE_FOR_ONE -> {}
      case SEVERAL_OLD -> oldInterior = readInterior(from);
      case SEVERAL_NEW -> newInterior = readInterior(from);
      default -> throw new IllegalArgumentException("a poke of form " + form);
    }
    return new Poke(
        new Site(address, old),
        oldLength,
        replacement,
        newLength,
        action,
        oldInterior,
        newInterior);
  }

  private static ImmutableList<Boundary> readInterior(ByteBuffer from) {
    int count = from.getInt();
    // Compared before anything is read: the count is hostile.
    if (count < 1 || count > from.remaining() / BOUNDARY) {
      throw new BufferUnderflowException();
    }
    ImmutableList.Builder<Boundary> interior = ImmutableList.builder();
    for (int i = 0; i < count; i++) {
      int offset = from.getInt();
      interior.add(new Boundary(offset, readAction(from.getLong(), from.get())));
    }
    return interior.build();
  }

  private static TrapAction readAction(long redirect, int kind) {
    if (kind != REDIRECT && redirect != 0) {
      throw new IllegalArgumentException("trap action " + kind + " with an address");
    }
    return switch (kind) {
      case REWIND -> new TrapAction.Rewind();
      case REDIRECT -> new TrapAction.Redirect(redirect);
      case PASS_ON -> new TrapAction.PassOn();
      default -> throw new IllegalArgumentException("trap action " + kind);
    };
  }

  private static byte[] readBytes(ByteBuffer from, int length) {
    // Compared before they are allocated: the length is hostile.
    if (length < 0 || length > from.remaining()) {
      throw new BufferUnderflowException();
    }
    byte[] bytes = new byte[length];
    from.get(bytes);
    return bytes;
  }
}
