package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.x86.detour.ReturnOverride;
import java.io.IOException;
import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;

/**
 * An override that stands, or stood.
 *
 * @param place the function as a person reads it
 * @param address absolute
 * @param id its number in the process
 * @param report how applying it went
 * @param reverted how taking it back went; null: it stands
 */
record Overridden(
    int pid,
    String place,
    long address,
    ReturnOverride override,
    long id,
    ApplyReport report,
    @Nullable ApplyReport reverted)
    implements Result {
  Overridden revertedBy(ApplyReport by) {
    return new Overridden(pid, place, address, override, id, report, by);
  }

  private String wayBack() {
    return "textpoke revert " + pid + " " + id;
  }

  @Override
  public void text(PrintWriter out) {
    out.println(place + " of process " + pid + " " + override);
    out.println("id      " + id);
    out.println("took    " + Output.took(report));
    out.println(
        "engine  " + report.engine() + (report.remark().isEmpty() ? "" : ": " + report.remark()));
    out.println("back    " + wayBack());
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("pid").value(pid);
    json.name("id").value(id);
    json.name("address").value(Output.hex(address));
    json.name("place").value(place);
    json.name("override").value(override.toString());
    Output.report(json, report);
    if (reverted == null) {
      json.name("back").value(wayBack());
    }
    json.name("reverted").value(reverted != null);
  }
}
