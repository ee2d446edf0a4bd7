package io.github.textpoke.plan;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadPlanException;
import io.github.textpoke.Site;
import io.github.textpoke.plan.Step.Evacuate;
import io.github.textpoke.plan.Step.SyncCores;
import io.github.textpoke.plan.Step.Write;
import java.io.IOException;
import java.io.StringReader;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Reads the text of a plan, which may be hostile: whatever it holds, the answer is a plan or a
 * {@link BadPlanException}. Nothing is read recursively.
 */
final class PlanJsonReader {
  private static final Pattern ADDRESS = Pattern.compile("0x[0-9a-f]{1,16}");
  private static final String REDIRECT = "redirect to ";
  private static final ImmutableSet<String> POKE =
      ImmutableSet.of("address", "old", "oldLength", "new", "newLength", "trapAction");
  private static final ImmutableSet<String> BOUNDARY = ImmutableSet.of("offset", "trapAction");
  private static final ImmutableSet<String> WRITE =
      ImmutableSet.of("kind", "address", "expected", "bytes", "why");
  private static final ImmutableSet<String> SYNC = ImmutableSet.of("kind", "why");
  private static final ImmutableSet<String> EVACUATE =
      ImmutableSet.of("kind", "address", "length", "why");
  private static final ImmutableSet<String> MOVE = ImmutableSet.of("from", "to");

  private final JsonReader json;

  /** The versions that all of what was read so far may be of. */
  private final Set<Integer> versions =
      new HashSet<>(Set.of(PlanJson.ONE_FOR_ONE, PlanJson.DISPLACING));

  PlanJsonReader(String text) {
    json = new JsonReader(new StringReader(text));
    json.setStrictness(Strictness.STRICT);
  }

  /** The whole text. The steps are as found, compared with nothing yet. */
  PatchPlan plan() {
    try {
      PatchPlan plan = readPlan();
      if (json.peek() != JsonToken.END_DOCUMENT) {
        throw bad("more text behind the plan");
      }
      return plan;
    } catch (IOException | IllegalStateException | IllegalArgumentException e) {
      throw new BadPlanException(json.getPath(), String.valueOf(e.getMessage()), e);
    }
  }

  private PatchPlan readPlan() throws IOException {
    Map<String, String> header = new HashMap<>();
    ImmutableList<Poke> pokes = null;
    ImmutableList<Step> steps = null;
    json.beginObject();
    while (json.hasNext()) {
      String name = json.nextName();
      if (name.equals("pokes") && pokes == null) {
        pokes = readAll(this::readPoke);
      } else if (name.equals("steps") && steps == null) {
        steps = readAll(this::readStep);
      } else {
        putOnce(header, name, readScalar());
      }
    }
    json.endObject();
    checkNames(header.keySet(), ImmutableSet.of("format", "version", "trapByte"));
    String format = header.get("format") + " " + header.get("version");
    if (!format.equals(PlanJson.FORMAT + " " + PlanJson.ONE_FOR_ONE)
        && !format.equals(PlanJson.FORMAT + " " + PlanJson.DISPLACING)) {
      throw bad(
          "'"
              + format
              + "', expected '"
              + PlanJson.FORMAT
              + " "
              + PlanJson.ONE_FOR_ONE
              + "' or '"
              + PlanJson.DISPLACING
              + "'");
    }
    int version = number(header, "version");
    if (!versions.contains(version)) {
      throw bad("the pokes and steps are not those of version " + version);
    }
    if (pokes == null || steps == null) {
      throw bad("pokes or steps are missing");
    }
    return new PatchPlan(number(header, "trapByte"), pokes, steps);
  }

  private Poke readPoke() throws IOException {
    Map<String, ImmutableList<Boundary>> interior = new HashMap<>();
    Map<String, String> fields = new HashMap<>();
    json.beginObject();
    while (json.hasNext()) {
      String name = json.nextName();
      if (name.equals("oldInterior") || name.equals("newInterior")) {
        putOnce(interior, name, readAll(this::readBoundary));
      } else {
        putOnce(fields, name, readScalar());
      }
    }
    json.endObject();
    checkNames(fields.keySet(), POKE);
    if (interior.size() == 1) {
      throw bad("found " + interior.keySet() + " alone, expected oldInterior and newInterior");
    }
    versions.remove(interior.isEmpty() ? PlanJson.DISPLACING : PlanJson.ONE_FOR_ONE);
    return new Poke(
        new Site(address(text(fields, "address")), bytes(fields, "old")),
        number(fields, "oldLength"),
        bytes(fields, "new"),
        number(fields, "newLength"),
        trapAction(text(fields, "trapAction")),
        interior.getOrDefault("oldInterior", ImmutableList.of()),
        interior.getOrDefault("newInterior", ImmutableList.of()));
  }

  private Boundary readBoundary() throws IOException {
    Map<String, String> fields = readFields();
    checkNames(fields.keySet(), BOUNDARY);
    return new Boundary(number(fields, "offset"), trapAction(text(fields, "trapAction")));
  }

  private TrapAction trapAction(String words) {
    if (words.equals("rewind")) {
      return new TrapAction.Rewind();
    }
    if (words.equals("pass on")) {
      return new TrapAction.PassOn();
    }
    if (words.startsWith(REDIRECT)) {
      return new TrapAction.Redirect(address(words.substring(REDIRECT.length())));
    }
    throw bad("'" + words + "' is no trap action");
  }

  private Step readStep() throws IOException {
    Map<String, ImmutableMap<Long, Long>> mapping = new HashMap<>();
    Map<String, String> fields = new HashMap<>();
    json.beginObject();
    while (json.hasNext()) {
      String name = json.nextName();
      if (name.equals("mapping")) {
        putOnce(mapping, name, readMapping());
      } else {
        putOnce(fields, name, readScalar());
      }
    }
    json.endObject();
    String kind = fields.get("kind");
    if ("evacuate".equals(kind)) {
      checkNames(fields.keySet(), EVACUATE);
      versions.remove(PlanJson.ONE_FOR_ONE);
      return new Evacuate(
          address(text(fields, "address")),
          number(fields, "length"),
          mapping.getOrDefault("mapping", ImmutableMap.of()),
          text(fields, "why"));
    }
    if (!mapping.isEmpty()) {
      throw bad("a mapping in a step of the kind '" + kind + "'");
    }
    if ("write".equals(kind)) {
      checkNames(fields.keySet(), WRITE);
      return new Write(
          address(text(fields, "address")),
          bytes(fields, "expected"),
          bytes(fields, "bytes"),
          text(fields, "why"));
    }
    if ("sync cores".equals(kind)) {
      checkNames(fields.keySet(), SYNC);
      return new SyncCores(text(fields, "why"));
    }
    throw bad("'" + kind + "' is no kind of step");
  }

  private ImmutableMap<Long, Long> readMapping() throws IOException {
    ImmutableMap.Builder<Long, Long> mapping = ImmutableMap.builder();
    for (Map<String, String> move : readAll(this::readFields)) {
      checkNames(move.keySet(), MOVE);
      mapping.put(address(text(move, "from")), address(text(move, "to")));
    }
    return mapping.buildOrThrow();
  }

  private <T> ImmutableList<T> readAll(Item<T> item) throws IOException {
    ImmutableList.Builder<T> items = ImmutableList.builder();
    json.beginArray();
    while (json.hasNext()) {
      items.add(item.read());
    }
    json.endArray();
    return items.build();
  }

  private Map<String, String> readFields() throws IOException {
    Map<String, String> fields = new HashMap<>();
    json.beginObject();
    while (json.hasNext()) {
      putOnce(fields, json.nextName(), readScalar());
    }
    json.endObject();
    return fields;
  }

  private String readScalar() throws IOException {
    return switch (json.peek()) {
      case STRING, NUMBER -> json.nextString();
      default -> throw bad("expected a string or a number, found " + json.peek());
    };
  }

  private <T> void putOnce(Map<String, T> fields, String name, T value) {
    if (fields.put(name, value) != null) {
      throw bad("'" + name + "' stands twice");
    }
  }

  private void checkNames(Set<String> found, ImmutableSet<String> expected) {
    if (!found.equals(expected)) {
      throw bad("found the names " + found + ", expected " + expected);
    }
  }

  private String text(Map<String, String> fields, String name) {
    String text = fields.get(name);
    if (text == null) {
      throw bad("'" + name + "' is missing");
    }
    return text;
  }

  private int number(Map<String, String> fields, String name) {
    return Integer.parseInt(text(fields, name));
  }

  private CodeBytes bytes(Map<String, String> fields, String name) {
    return CodeBytes.ofHex(text(fields, name));
  }

  private long address(String text) {
    if (!ADDRESS.matcher(text).matches()) {
      throw bad("'" + text + "' is no address such as 0x401000");
    }
    return Long.parseUnsignedLong(text.substring(2), 16);
  }

  private BadPlanException bad(String reason) {
    return new BadPlanException(json.getPath(), reason, null);
  }

  private interface Item<T> {
    T read() throws IOException;
  }
}
