package io.github.textpoke.ledger;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.ledger.NoteBytes.BadNoteException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;

/**
 * What the notes of a ledger say, by their bytes: those of a thousand sites take long to
 * understand, and a ledger is read often. Only notes that the ledger held when it was read last are
 * kept. Not thread-safe.
 */
public final class ReadNotes {
  private Map<CodeBytes, NoteBytes.Read> last = new HashMap<>();
  private Map<CodeBytes, NoteBytes.Read> now = new HashMap<>();

  /** The whole ledger is about to be read. */
  void begin() {
    last = now;
    now = new HashMap<>();
  }

  NoteBytes.Read read(CodeBytes bytes) throws BadNoteException {
    NoteBytes.Read known = last.get(bytes);
    if (known == null) {
      known = now.get(bytes);
    }
    if (known == null) {
      known = NoteBytes.read(ByteBuffer.wrap(bytes.toByteArray()).order(ByteOrder.LITTLE_ENDIAN));
    }
    now.put(bytes, known);
    return known;
  }

  /** A note that was written just now. */
  void wrote(CodeBytes bytes, long id, PatchNote note) {
    now.put(bytes, new NoteBytes.Read(id, note));
  }
}
