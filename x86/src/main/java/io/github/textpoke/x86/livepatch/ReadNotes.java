package io.github.textpoke.x86.livepatch;

import io.github.textpoke.CodeBytes;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What the notes of live patches say, by their bytes: those of a thousand functions take long to
 * understand, and each command reads them often. Thread-safe.
 */
final class ReadNotes {
  private final Map<Long, Known> known = new ConcurrentHashMap<>();

  private record Known(CodeBytes text, PatchNotes notes) {}

  /** The notes of the header at an absolute address; the last ones of each are kept. */
  PatchNotes read(long header, CodeBytes text) {
    Known last = known.get(header);
    if (last != null && last.text().equals(text)) {
      return last.notes();
    }
    PatchNotes notes = NotesJson.read(new String(text.toByteArray(), StandardCharsets.UTF_8));
    known.put(header, new Known(text, notes));
    return notes;
  }
}
