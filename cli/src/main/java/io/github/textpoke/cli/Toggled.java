package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import java.io.IOException;
import java.io.PrintWriter;

/**
 * A site that was patched and put back.
 *
 * @param planned what was applied and reverted
 * @param done how often
 * @param asked how often it was to be
 * @param measurement what it cost
 */
record Toggled(Planned planned, long done, long asked, Measurement measurement) implements Result {
  @Override
  public void text(PrintWriter out) {
    out.printf(
        "%s of process %d: %d toggles%s, and the old bytes stand%n",
        planned.place(),
        planned.pid(),
        done,
        done < asked ? " of " + asked + " before it was interrupted" : "");
    measurement.text("", out);
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("pid").value(planned.pid());
    json.name("address").value(Output.hex(planned.poke().address()));
    json.name("place").value(planned.place());
    json.name("toggles").value(done);
    json.name("asked").value(asked);
    measurement.json(json);
  }
}
