package io.github.textpoke.cli;

import com.google.gson.JsonParser;
import com.google.gson.stream.JsonWriter;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.PlanJson;
import io.github.textpoke.plan.PlanTable;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.ResolvedSite;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.verify.Verdict;
import io.github.textpoke.verify.Verifier;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import java.io.IOException;
import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;

/**
 * A plan for one site of a process, verified; made without touching the process.
 *
 * @param pid the target
 * @param place the site as a person reads it
 * @param code the function that holds it, as it was read
 * @param plan of one poke
 * @param planner that made it
 * @param verdict the verifier's
 */
record Planned(
    int pid,
    String place,
    CodeRegion code,
    PatchPlan plan,
    X86Planner planner,
    Verdict.Safe verdict)
    implements Result {

  /** Plans, verifies and checks what can be checked from outside. */
  static Planned make(
      Arguments.Place place, Arguments.Replacement replacement, Arguments.Decoders decoders) {
    X86Planner planner = Look.planner(decoders);
    try (Look look = new Look(place.pid)) {
      SiteResolver resolver = look.resolver();
      ResolvedSite site = resolver.resolve(place.site);
      CodeRegion code = Look.code(site, place.was);
      PatchPlan plan = planner.replace(code, site.address(), replacement.assembly(resolver));
      Verdict.Safe verdict = Verifier.check(plan).orThrow();
      look.preflight().checkPlan(plan);
      String name = resolver.describe(site.address()).orElse(Output.hex(site.address()));
      return new Planned(place.pid, name, code, plan, planner, verdict);
    }
  }

  Poke poke() {
    return plan.pokes().get(0);
  }

  /**
   * The command that puts the old bytes back. Who runs it knows the new code alone; where that is
   * not enough for the planner, the old bytes are given as what was there.
   */
  String wayBack(@Nullable CodeBytes wasBefore) {
    String old = digits(poke().site().bytes());
    String command =
        "textpoke apply " + pid + " " + Output.hex(poke().address()) + " --bytes " + old;
    if (wasBefore != null) {
      return command + " --was " + digits(wasBefore);
    }
    int at = code.offsetOf(poke().address());
    CodeRegion patched =
        new CodeRegion(
            code.name(),
            code.address(),
            code.bytes().with(at, poke().replacement()),
            code.entryPoints(),
            code.originals(),
            code.backing());
    try {
      planner.replace(patched, poke().address(), Assembly.bytes(poke().site().bytes()));
      return command;
    } catch (PlanRefusedException unlessItKnows) {
      return command + " --was " + old;
    }
  }

  private static String digits(CodeBytes bytes) {
    return bytes.hex().replace(" ", "");
  }

  @Override
  public void text(PrintWriter out) {
    out.println(place + " of process " + pid);
    out.println();
    out.print(PlanTable.of(plan, planner.decoder()));
    out.println();
    out.println(verdict.text());
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("pid").value(pid);
    json.name("address").value(Output.hex(poke().address()));
    json.name("place").value(place);
    json.name("safe").value(true);
    json.name("verdict").value(verdict.text());
    json.name("plan").jsonValue(JsonParser.parseString(PlanJson.write(plan)).toString());
  }
}
