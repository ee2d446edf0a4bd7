package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.decode.Disassembly;
import io.github.textpoke.plan.Poke;
import java.io.IOException;
import java.io.PrintWriter;

/**
 * A patch that stands.
 *
 * @param planned what was applied
 * @param report how it went
 * @param wayBack the command that puts the old bytes back
 */
record Applied(Planned planned, ApplyReport report, String wayBack) implements Result {
  @Override
  public void text(PrintWriter out) {
    Poke poke = planned.poke();
    out.println(planned.place() + " of process " + planned.pid() + " is patched");
    out.println("old   " + poke.site().bytes() + "  " + readsAs(poke.site().bytes()));
    out.println("new   " + poke.replacement() + "  " + readsAs(poke.replacement()));
    out.printf(
        "took  %s, %d traps, %d threads parked, %d threads traced%n",
        Output.micros(report.nanos()), report.traps(), report.parked(), report.threads());
    out.println("back  " + wayBack);
  }

  private String readsAs(CodeBytes bytes) {
    return Disassembly.of(planned.planner().decoder(), planned.poke().address(), bytes);
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    Poke poke = planned.poke();
    json.name("pid").value(planned.pid());
    json.name("address").value(Output.hex(poke.address()));
    json.name("place").value(planned.place());
    json.name("old").value(poke.site().bytes().hex());
    json.name("new").value(poke.replacement().hex());
    json.name("engine").value(report.engine());
    json.name("nanos").value(report.nanos());
    json.name("traps").value(report.traps());
    json.name("parked").value(report.parked());
    json.name("threads").value(report.threads());
    json.name("back").value(wayBack);
  }
}
