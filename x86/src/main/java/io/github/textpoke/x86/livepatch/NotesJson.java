package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import io.github.textpoke.PatchException.BadLivePatchException;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.x86.livepatch.PatchNotes.CallbackAddresses;
import io.github.textpoke.x86.livepatch.PatchNotes.GateArea;
import io.github.textpoke.x86.livepatch.PatchNotes.LateWord;
import io.github.textpoke.x86.livepatch.PatchNotes.Led;
import java.util.function.Function;

/**
 * The text of {@link PatchNotes}. Only what we have written ourselves is read; it has a checksum.
 */
final class NotesJson {
  private NotesJson() {}

  static String write(PatchNotes notes) {
    JsonObject json = new JsonObject();
    json.addProperty("id", notes.id());
    json.addProperty("patch", notes.patch().toJson());
    json.addProperty("file", notes.file());
    json.add("object", extent(notes.object()));
    json.addProperty("bias", notes.bias());
    json.add("text", array(notes.text(), NotesJson::extent));
    JsonArray callbacks = new JsonArray();
    callbacks.add(notes.callbacks().prePatch());
    callbacks.add(notes.callbacks().postPatch());
    callbacks.add(notes.callbacks().preUnpatch());
    callbacks.add(notes.callbacks().postUnpatch());
    json.add("callbacks", callbacks);
    json.add("finalizers", array(notes.finalizers(), JsonPrimitive::new));
    json.addProperty("frames", notes.frames());
    json.add("replacements", array(notes.replacements(), JsonPrimitive::new));
    json.add("late", array(notes.late(), NotesJson::late));
    json.add("gates", array(notes.gates(), NotesJson::area));
    return json.toString();
  }

  static PatchNotes read(String text) {
    try {
      JsonObject json = JsonParser.parseString(text).getAsJsonObject();
      JsonArray callbacks = json.getAsJsonArray("callbacks");
      return new PatchNotes(
          json.get("id").getAsLong(),
          LivePatch.parse(json.get("patch").getAsString()),
          json.get("file").getAsString(),
          extent(json.get("object")),
          json.get("bias").getAsLong(),
          list(json.get("text"), NotesJson::extent),
          new CallbackAddresses(
              callbacks.get(0).getAsLong(),
              callbacks.get(1).getAsLong(),
              callbacks.get(2).getAsLong(),
              callbacks.get(3).getAsLong()),
          list(json.get("finalizers"), JsonElement::getAsLong),
          json.get("frames").getAsLong(),
          list(json.get("replacements"), JsonElement::getAsLong),
          list(json.get("late"), NotesJson::late),
          list(json.get("gates"), NotesJson::area));
    } catch (RuntimeException e) {
      throw new BadLivePatchException(
          "notes of a live patch in the process", String.valueOf(e.getMessage()), e);
    }
  }

  private static <T> JsonArray array(
      ImmutableList<T> values, Function<T, ? extends JsonElement> write) {
    JsonArray array = new JsonArray();
    values.forEach(value -> array.add(write.apply(value)));
    return array;
  }

  private static <T> ImmutableList<T> list(JsonElement array, Function<JsonElement, T> read) {
    return array.getAsJsonArray().asList().stream()
        .map(read)
        .collect(ImmutableList.toImmutableList());
  }

  private static JsonArray extent(Extent extent) {
    JsonArray array = new JsonArray();
    array.add(extent.start());
    array.add(extent.length());
    return array;
  }

  private static Extent extent(JsonElement json) {
    JsonArray array = json.getAsJsonArray();
    return new Extent(array.get(0).getAsLong(), array.get(1).getAsLong());
  }

  private static JsonArray late(LateWord word) {
    JsonArray array = new JsonArray();
    array.add(word.object());
    array.add(word.slot());
    array.add(word.symbol());
    array.add(word.version());
    array.add(word.addend());
    return array;
  }

  private static LateWord late(JsonElement json) {
    JsonArray array = json.getAsJsonArray();
    return new LateWord(
        array.get(0).getAsString(),
        array.get(1).getAsLong(),
        array.get(2).getAsString(),
        array.get(3).getAsString(),
        array.get(4).getAsLong());
  }

  private static JsonObject area(GateArea area) {
    JsonObject json = new JsonObject();
    json.addProperty("object", area.object());
    json.addProperty("bias", area.bias());
    json.addProperty("buildId", area.buildId());
    json.add("memory", extent(area.memory()));
    json.add("functions", array(area.functions(), NotesJson::led));
    return json;
  }

  private static GateArea area(JsonElement element) {
    JsonObject json = element.getAsJsonObject();
    return new GateArea(
        json.get("object").getAsString(),
        json.get("bias").getAsLong(),
        json.get("buildId").getAsString(),
        extent(json.get("memory")),
        list(json.get("functions"), NotesJson::led));
  }

  private static JsonArray led(Led led) {
    JsonArray array = new JsonArray();
    array.add(led.site());
    array.add(led.address());
    array.add(led.length());
    array.add(led.replacement());
    array.add(led.original());
    return array;
  }

  private static Led led(JsonElement json) {
    JsonArray array = json.getAsJsonArray();
    return new Led(
        array.get(0).getAsString(),
        array.get(1).getAsLong(),
        array.get(2).getAsLong(),
        array.get(3).getAsLong(),
        array.get(4).getAsLong());
  }
}
