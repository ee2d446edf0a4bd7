package io.github.textpoke.x86.livepatch;

import com.google.gson.stream.JsonWriter;
import io.github.textpoke.x86.livepatch.PatchedFunction.At;
import io.github.textpoke.x86.livepatch.PatchedFunction.Named;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.Optional;

/** Writes the text that {@link LivePatchReader} reads. */
final class LivePatchWriter {
  private LivePatchWriter() {}

  static String write(LivePatch patch) {
    StringWriter text = new StringWriter();
    try (JsonWriter json = new JsonWriter(text)) {
      write(json, patch);
    } catch (IOException e) {
      throw new UncheckedIOException("writing to memory", e);
    }
    return text.toString();
  }

  private static void write(JsonWriter json, LivePatch patch) throws IOException {
    json.beginObject();
    json.name(LivePatchReader.NAME).value(patch.name());
    json.name(LivePatchReader.VERSION).value(patch.version());
    json.name(LivePatchReader.CONSISTENCY).value(patch.consistency().word());
    json.name(LivePatchReader.REPLACE).value(patch.replaces());
    json.name(LivePatchReader.OBJECTS).beginArray();
    for (PatchedObject object : patch.objects()) {
      write(json, object);
    }
    json.endArray();
    json.name(LivePatchReader.CALLBACKS).beginObject();
    write(json, LivePatchReader.PRE_PATCH, patch.callbacks().prePatch());
    write(json, LivePatchReader.POST_PATCH, patch.callbacks().postPatch());
    write(json, LivePatchReader.PRE_UNPATCH, patch.callbacks().preUnpatch());
    write(json, LivePatchReader.POST_UNPATCH, patch.callbacks().postUnpatch());
    json.endObject();
    json.endObject();
  }

  private static void write(JsonWriter json, PatchedObject object) throws IOException {
    json.beginObject();
    json.name(LivePatchReader.NAME).value(object.name());
    write(json, LivePatchReader.BUILD_ID, object.buildId());
    json.name(LivePatchReader.FUNCTIONS).beginArray();
    for (PatchedFunction function : object.functions()) {
      json.beginObject();
      if (function.old() instanceof Named named) {
        json.name(LivePatchReader.OLD).value(named.name());
        json.name(LivePatchReader.SYMPOS).value(named.sympos());
      } else if (function.old() instanceof At at) {
        json.name(LivePatchReader.ADDRESS).value(at.toString());
      }
      json.name(LivePatchReader.NEW).value(function.replacement());
      json.endObject();
    }
    json.endArray();
    json.endObject();
  }

  private static void write(JsonWriter json, String name, Optional<String> value)
      throws IOException {
    if (value.isPresent()) {
      json.name(name).value(value.get());
    }
  }
}
