package io.github.textpoke.plan;

import com.google.common.collect.ImmutableList;
import com.google.gson.stream.JsonWriter;
import io.github.textpoke.PatchException.BadPlanException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.plan.Step.Evacuate;
import io.github.textpoke.plan.Step.SyncCores;
import io.github.textpoke.plan.Step.Write;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.Map;

/**
 * A plan as JSON, and back. Stateless and thread-safe.
 *
 * <p>A plan is one object: {@code format} is {@code "textpoke-plan"}, {@code version}, {@code
 * trapByte}, {@code pokes} and {@code steps}. Addresses are absolute, strings such as {@code
 * "0x401000"}; bytes are hexadecimal strings such as {@code "0f 1f 44 00 00"}. An unknown, missing
 * or repeated name is an error.
 *
 * <p>Version 1 knows one instruction for one. Version 2 has in each poke {@code oldInterior} and
 * {@code newInterior}, which may be empty: arrays of {@code offset} and {@code trapAction}. Its
 * steps may be of the kind {@code "evacuate"}, with {@code address}, {@code length} and {@code
 * mapping}, an array of {@code from} and {@code to}. A plan is written as version 1 where that can
 * hold it, so that older releases read it.
 *
 * <p>The steps are there for people and other programs. What is read back is made anew from the
 * pokes by {@link PokeProtocol}, and refused where the steps in the text would do anything else: no
 * text can bring a plan into being that the protocol would not make.
 */
public final class PlanJson {
  static final String FORMAT = "textpoke-plan";

  /** Knows one instruction for one. */
  static final int ONE_FOR_ONE = 1;

  /** Knows several instructions, too. */
  static final int DISPLACING = 2;

  private PlanJson() {}

  /** The plan as indented JSON. */
  public static String write(PatchPlan plan) {
    boolean displaces = plan.pokes().stream().anyMatch(poke -> !poke.interior().isEmpty());
    int version = displaces ? DISPLACING : ONE_FOR_ONE;
    StringWriter text = new StringWriter();
    try (JsonWriter json = new JsonWriter(text)) {
      json.setIndent("  ");
      json.beginObject();
      json.name("format").value(FORMAT);
      json.name("version").value(version);
      json.name("trapByte").value(plan.trapByte());
      json.name("pokes").beginArray();
      for (Poke poke : plan.pokes()) {
        write(json, poke, version);
      }
      json.endArray();
      json.name("steps").beginArray();
      for (Step step : plan.steps()) {
        write(json, step);
      }
      json.endArray();
      json.endObject();
    } catch (IOException e) {
      throw new UncheckedIOException("a string can't fail to be written", e);
    }
    return text.toString();
  }

  private static void write(JsonWriter json, Poke poke, int version) throws IOException {
    json.beginObject();
    json.name("address").value(hex(poke.address()));
    json.name("old").value(poke.site().bytes().hex());
    json.name("oldLength").value(poke.oldLength());
    json.name("new").value(poke.replacement().hex());
    json.name("newLength").value(poke.newLength());
    json.name("trapAction").value(words(poke.trapAction()));
    if (version == DISPLACING) {
      write(json.name("oldInterior"), poke.oldInterior());
      write(json.name("newInterior"), poke.newInterior());
    }
    json.endObject();
  }

  private static void write(JsonWriter json, ImmutableList<Boundary> interior) throws IOException {
    json.beginArray();
    for (Boundary boundary : interior) {
      json.beginObject();
      json.name("offset").value(boundary.offset());
      json.name("trapAction").value(words(boundary.trapAction()));
      json.endObject();
    }
    json.endArray();
  }

  private static String words(TrapAction action) {
    if (action instanceof TrapAction.Rewind) {
      return "rewind";
    }
    if (action instanceof TrapAction.PassOn) {
      return "pass on";
    }
    if (action instanceof TrapAction.Redirect redirect) {
      return "redirect to " + hex(redirect.address());
    }
    throw new IllegalStateException("a trap action that is not known here: " + action);
  }

  private static void write(JsonWriter json, Step step) throws IOException {
    json.beginObject();
    if (step instanceof Write write) {
      json.name("kind").value("write");
      json.name("address").value(hex(write.address()));
      json.name("expected").value(write.expected().hex());
      json.name("bytes").value(write.bytes().hex());
    } else if (step instanceof SyncCores) {
      json.name("kind").value("sync cores");
    } else if (step instanceof Evacuate evacuate) {
      json.name("kind").value("evacuate");
      json.name("address").value(hex(evacuate.address()));
      json.name("length").value(evacuate.length());
      json.name("mapping").beginArray();
      for (Map.Entry<Long, Long> entry : evacuate.mapping().entrySet()) {
        json.beginObject();
        json.name("from").value(hex(entry.getKey()));
        json.name("to").value(hex(entry.getValue()));
        json.endObject();
      }
      json.endArray();
    } else {
      throw new IllegalStateException("a step that is not known here: " + step);
    }
    json.name("why").value(step.why());
    json.endObject();
  }

  /**
   * The plan that {@code text} holds: equal to the one that was written.
   *
   * @throws BadPlanException if the text is no plan of a version that is known, or its steps are
   *     not those of the protocol
   * @throws PlanRefusedException if its pokes break a rule
   */
  public static PatchPlan read(String text) {
    PlanJsonReader reader = new PlanJsonReader(text);
    PatchPlan found = reader.plan();
    PatchPlan made;
    try {
      made = PatchPlan.of(found.trapByte(), found.pokes());
    } catch (IllegalArgumentException e) {
      throw new BadPlanException("$.pokes", String.valueOf(e.getMessage()), e);
    }
    if (!found.pokes().equals(made.pokes())) {
      throw new BadPlanException("$.pokes", "they are not sorted by address", null);
    }
    checkSame(found.steps(), made.steps());
    return made;
  }

  /** Steps that do the same; the words why may be those of another release. */
  private static void checkSame(ImmutableList<Step> found, ImmutableList<Step> made) {
    if (found.size() != made.size()) {
      throw new BadPlanException(
          "$.steps", "there are " + found.size() + " steps, by the protocol " + made.size(), null);
    }
    for (int i = 0; i < found.size(); i++) {
      if (!withoutWords(found.get(i)).equals(withoutWords(made.get(i)))) {
        throw new BadPlanException(
            "$.steps[" + i + "]",
            "the step is " + found.get(i) + ", by the protocol " + made.get(i),
            null);
      }
    }
  }

  private static Step withoutWords(Step step) {
    if (step instanceof Write write) {
      return new Write(write.address(), write.expected(), write.bytes(), "");
    }
    if (step instanceof SyncCores) {
      return new SyncCores("");
    }
    if (step instanceof Evacuate evacuate) {
      return new Evacuate(evacuate.address(), evacuate.length(), evacuate.mapping(), "");
    }
    throw new IllegalStateException("a step that is not known here: " + step);
  }

  private static String hex(long address) {
    return "0x" + Long.toHexString(address);
  }
}
