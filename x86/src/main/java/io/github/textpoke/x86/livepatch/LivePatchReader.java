package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import io.github.textpoke.PatchException.BadLivePatchException;
import io.github.textpoke.x86.livepatch.PatchedFunction.At;
import io.github.textpoke.x86.livepatch.PatchedFunction.Named;
import io.github.textpoke.x86.livepatch.PatchedFunction.Old;
import java.io.IOException;
import java.io.StringReader;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Reads the description of a live patch, which may be hostile: whatever it holds, the answer is one
 * or a {@link BadLivePatchException}. Nothing is read recursively. Of one text.
 */
final class LivePatchReader {
  static final String NAME = "name";
  static final String VERSION = "version";
  static final String CONSISTENCY = "consistency";
  static final String REPLACE = "replace";
  static final String OBJECTS = "objects";
  static final String BUILD_ID = "buildId";
  static final String FUNCTIONS = "functions";
  static final String OLD = "old";
  static final String SYMPOS = "sympos";
  static final String ADDRESS = "address";
  static final String NEW = "new";
  static final String CALLBACKS = "callbacks";
  static final String PRE_PATCH = "prePatch";
  static final String POST_PATCH = "postPatch";
  static final String PRE_UNPATCH = "preUnpatch";
  static final String POST_UNPATCH = "postUnpatch";

  private static final Pattern HEX_ADDRESS = Pattern.compile("0x[0-9a-f]{1,16}");
  private static final Pattern DIGITS = Pattern.compile("([0-9a-f]{2}){1,64}");
  private static final int HEX = 16;

  private final JsonReader json;

  LivePatchReader(String text) {
    json = new JsonReader(new StringReader(text));
    json.setStrictness(Strictness.STRICT);
  }

  LivePatch read() {
    try {
      LivePatch patch = readPatch();
      if (json.peek() != JsonToken.END_DOCUMENT) {
        throw bad("more text behind the description");
      }
      return patch;
    } catch (IOException | IllegalStateException | IllegalArgumentException e) {
      throw new BadLivePatchException(json.getPath(), String.valueOf(e.getMessage()), e);
    }
  }

  private BadLivePatchException bad(String reason) {
    return new BadLivePatchException(json.getPath(), reason, null);
  }

  /** The next name of an object. */
  private String name(Set<String> seen) throws IOException {
    String name = json.nextName();
    if (!seen.add(name)) {
      throw bad("'" + name + "' is there twice");
    }
    return name;
  }

  private BadLivePatchException unknown(String name) {
    return bad("'" + name + "' is not known");
  }

  private <T> T needed(@Nullable T value, String name) {
    if (value == null) {
      throw bad("'" + name + "' is missing");
    }
    return value;
  }

  private LivePatch readPatch() throws IOException {
    String name = null;
    String version = "";
    Consistency consistency = Consistency.IMMEDIATE;
    boolean replaces = false;
    ImmutableList<PatchedObject> objects = null;
    Callbacks callbacks = Callbacks.NONE;
    Set<String> seen = new HashSet<>();
    json.beginObject();
    while (json.hasNext()) {
      String field = name(seen);
      switch (field) {
        case NAME -> name = json.nextString();
        case VERSION -> version = json.nextString();
        case CONSISTENCY -> consistency = consistency();
        case REPLACE -> replaces = json.nextBoolean();
        case OBJECTS -> objects = objects();
        case CALLBACKS -> callbacks = callbacks();
        default -> throw unknown(field);
      }
    }
    json.endObject();
    return new LivePatch(
        needed(name, NAME), version, consistency, replaces, needed(objects, OBJECTS), callbacks);
  }

  private Consistency consistency() throws IOException {
    String word = json.nextString();
    return Consistency.of(word)
        .orElseThrow(() -> bad("'" + word + "' is neither immediate nor when-unused"));
  }

  private ImmutableList<PatchedObject> objects() throws IOException {
    ImmutableList.Builder<PatchedObject> objects = ImmutableList.builder();
    json.beginArray();
    while (json.hasNext()) {
      objects.add(object());
    }
    json.endArray();
    return objects.build();
  }

  private PatchedObject object() throws IOException {
    String name = null;
    Optional<String> buildId = Optional.empty();
    ImmutableList<PatchedFunction> functions = null;
    Set<String> seen = new HashSet<>();
    json.beginObject();
    while (json.hasNext()) {
      String field = name(seen);
      switch (field) {
        case NAME -> name = json.nextString();
        case BUILD_ID -> buildId = Optional.of(buildId());
        case FUNCTIONS -> functions = functions();
        default -> throw unknown(field);
      }
    }
    json.endObject();
    return new PatchedObject(needed(name, NAME), buildId, needed(functions, FUNCTIONS));
  }

  private String buildId() throws IOException {
    String id = json.nextString();
    if (!DIGITS.matcher(id).matches()) {
      throw bad("'" + id + "' is no build-id");
    }
    return id;
  }

  private ImmutableList<PatchedFunction> functions() throws IOException {
    ImmutableList.Builder<PatchedFunction> functions = ImmutableList.builder();
    json.beginArray();
    while (json.hasNext()) {
      functions.add(function());
    }
    json.endArray();
    return functions.build();
  }

  private PatchedFunction function() throws IOException {
    String old = null;
    int sympos = 0;
    Old at = null;
    String replacement = null;
    Set<String> seen = new HashSet<>();
    json.beginObject();
    while (json.hasNext()) {
      String field = name(seen);
      switch (field) {
        case OLD -> old = json.nextString();
        case SYMPOS -> sympos = json.nextInt();
        case ADDRESS -> at = address();
        case NEW -> replacement = json.nextString();
        default -> throw unknown(field);
      }
    }
    if ((old == null) == (at == null) || (at != null && sympos != 0)) {
      throw bad("a function has either 'old' or 'address'");
    }
    json.endObject();
    return new PatchedFunction(
        at == null ? new Named(needed(old, OLD), sympos) : at, needed(replacement, NEW));
  }

  private At address() throws IOException {
    String text = json.nextString();
    if (!HEX_ADDRESS.matcher(text).matches()) {
      throw bad("'" + text + "' is no address such as 0x1040");
    }
    return new At(Long.parseUnsignedLong(text.substring(2), HEX));
  }

  private Callbacks callbacks() throws IOException {
    Optional<String> prePatch = Optional.empty();
    Optional<String> postPatch = Optional.empty();
    Optional<String> preUnpatch = Optional.empty();
    Optional<String> postUnpatch = Optional.empty();
    Set<String> seen = new HashSet<>();
    json.beginObject();
    while (json.hasNext()) {
      String field = name(seen);
      switch (field) {
        case PRE_PATCH -> prePatch = Optional.of(json.nextString());
        case POST_PATCH -> postPatch = Optional.of(json.nextString());
        case PRE_UNPATCH -> preUnpatch = Optional.of(json.nextString());
        case POST_UNPATCH -> postUnpatch = Optional.of(json.nextString());
        default -> throw unknown(field);
      }
    }
    json.endObject();
    return new Callbacks(prePatch, postPatch, preUnpatch, postUnpatch);
  }
}
