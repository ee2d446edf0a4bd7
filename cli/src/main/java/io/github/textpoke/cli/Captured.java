package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import java.io.IOException;
import java.io.PrintWriter;

/**
 * What a probe has captured, behind the calls.
 *
 * @param captured how many calls were printed
 * @param lost how many were counted and have no record
 */
record Captured(Probed probed, long captured, long lost) implements Result {
  @Override
  public void text(PrintWriter out) {
    out.printf(
        "%s captured, %s%n",
        Output.count(captured, "call was", "calls were"),
        Output.count(lost, "got lost", "got lost"));
    probed.text(out);
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("captured").value(captured);
    json.name("lost").value(lost);
    probed.json(json);
  }
}
