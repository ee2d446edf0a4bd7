package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import com.google.gson.stream.JsonWriter;
import io.github.textpoke.apply.RecoveredPatch;
import io.github.textpoke.plan.FoundSite;
import java.io.IOException;
import java.io.PrintWriter;

/**
 * What became of the patches that were cut off.
 *
 * @param pid the process
 * @param patches by number
 */
record Recovered(int pid, ImmutableList<RecoveredPatch> patches) implements Result {
  @Override
  public void text(PrintWriter out) {
    if (patches.isEmpty()) {
      out.println("process " + pid + ": nothing was cut off");
      return;
    }
    out.println(
        "process "
            + pid
            + ": "
            + Output.count(patches.size(), "patch was", "patches were")
            + " cut off");
    for (RecoveredPatch patch : patches) {
      out.printf(
          "%d  %s: %s%n", patch.entry().id(), patch.entry().note().label(), words(patch.result()));
      for (FoundSite site : patch.foreign()) {
        out.println("    " + PatchList.line(site));
      }
    }
  }

  private static String words(RecoveredPatch.Result result) {
    return switch (result) {
      case FINISHED -> "finished: the new bytes stand";
      case ROLLED_BACK -> "rolled back: the old bytes stand";
      case LEFT ->
          "left in the ledger: another tool has changed these sites; the others hold old bytes";
    };
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("pid").value(pid);
    json.name("recovered").beginArray();
    for (RecoveredPatch patch : patches) {
      json.beginObject();
      json.name("id").value(patch.entry().id());
      json.name("label").value(patch.entry().note().label());
      json.name("result").value(patch.result().name());
      PatchList.sites(json, patch.foreign());
      json.endObject();
    }
    json.endArray();
  }
}
