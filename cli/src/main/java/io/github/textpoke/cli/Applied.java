package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.decode.Disassembly;
import io.github.textpoke.plan.Poke;
import java.io.IOException;
import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;

/**
 * A patch that stands.
 *
 * @param planned what was applied
 * @param id its number in the process; 0 where it could not be recorded
 * @param report how it went
 * @param wayBack the command that puts the old bytes back
 */
record Applied(Planned planned, long id, ApplyReport report, String wayBack) implements Result {
  /**
   * @param was what stood at the site before it was patched for the first time, where that was said
   */
  static Applied of(Planned planned, Patch patch, @Nullable CodeBytes was) {
    String wayBack =
        patch.id() == 0
            ? planned.wayBack(was)
            : "textpoke revert " + planned.pid() + " " + patch.id();
    return new Applied(planned, patch.id(), patch.report().orElseThrow(), wayBack);
  }

  @Override
  public void text(PrintWriter out) {
    Poke poke = planned.poke();
    out.println(planned.place() + " of process " + planned.pid() + " is patched");
    out.println("id      " + (id == 0 ? "none: it could not be recorded in the process" : id));
    out.println("old     " + poke.site().bytes() + "  " + readsAs(poke.site().bytes()));
    out.println("new     " + poke.replacement() + "  " + readsAs(poke.replacement()));
    out.println("took    " + Output.took(report));
    out.println(
        "engine  " + report.engine() + (report.remark().isEmpty() ? "" : ": " + report.remark()));
    out.println("back    " + wayBack);
  }

  private String readsAs(CodeBytes bytes) {
    return Disassembly.of(planned.planner().decoder(), planned.poke().address(), bytes);
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    Poke poke = planned.poke();
    json.name("pid").value(planned.pid());
    json.name("id").value(id);
    json.name("address").value(Output.hex(poke.address()));
    json.name("place").value(planned.place());
    json.name("old").value(poke.site().bytes().hex());
    json.name("new").value(poke.replacement().hex());
    Output.report(json, report);
    json.name("back").value(wayBack);
  }
}
