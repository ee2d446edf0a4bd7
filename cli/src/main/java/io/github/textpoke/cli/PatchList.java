package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import com.google.gson.stream.JsonWriter;
import io.github.textpoke.apply.LedgerStatus;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.ledger.DamagedRecord;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.plan.FoundSite;
import io.github.textpoke.plan.Poke;
import java.io.IOException;
import java.io.PrintWriter;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Optional;

/**
 * The patches in a process, as its ledger tells.
 *
 * @param pid the process
 * @param status what the ledger says, and what stands at the sites
 * @param withSites whether each site is shown
 */
record PatchList(int pid, LedgerStatus status, boolean withSites) implements Result {
  private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("uuuu-MM-dd HH:mm:ss");

  @Override
  public void text(PrintWriter out) {
    out.println(
        "process " + pid + ": " + Output.count(status.patches().size(), "patch", "patches"));
    TextTable table = new TextTable("id", "state", "label", "sites", "when", "who");
    for (PatchStatus patch : status.patches()) {
      table.row(
          Long.toString(patch.entry().id()),
          words(patch),
          patch.entry().note().label(),
          Integer.toString(patch.sites().size()),
          local(patch.entry().note().time()),
          patch.entry().note().who());
      if (withSites) {
        patch.sites().forEach(site -> table.line("    " + line(site)));
      }
    }
    if (!status.patches().isEmpty()) {
      table.print(out);
    }
    for (DamagedRecord damaged : status.damaged()) {
      out.println("damaged " + Output.hex(damaged.address()) + ": " + damaged.reason());
    }
  }

  private static String local(Instant time) {
    return TIME.format(time.atZone(ZoneId.systemDefault()));
  }

  private String words(PatchStatus patch) {
    Progress progress = patch.entry().progress();
    return switch (patch.state()) {
      case APPLIED -> "applied";
      case IN_PROGRESS ->
          "in progress: "
              + verb(progress.state())
              + ", "
              + Output.count(progress.step(), "step", "steps")
              + " done";
      case BYPASSED -> "reverted under another patch, and led past";
      case RETIRED -> "reverted; its code is kept while threads may be in it";
      case CHANGED ->
          coveredBy(patch)
              .map(cover -> "covered by patch " + cover)
              .orElse("changed by another tool");
    };
  }

  private static String verb(Progress.State state) {
    return switch (state) {
      case APPLYING -> "applying";
      case BYPASSING -> "leading past it";
      default -> "reverting";
    };
  }

  /** The number of a later patch on the same bytes: it is to be reverted first. */
  private Optional<Long> coveredBy(PatchStatus patch) {
    return status.patches().stream()
        .filter(other -> other.entry().id() > patch.entry().id())
        .filter(other -> other.state() == PatchStatus.State.APPLIED)
        .filter(
            other ->
                other.entry().plan().pokes().stream()
                    .anyMatch(
                        poke ->
                            patch.entry().plan().pokes().stream()
                                .anyMatch(mine -> share(poke, mine))))
        .map(other -> other.entry().id())
        .findFirst();
  }

  private static boolean share(Poke one, Poke other) {
    return one.address() < other.address() + other.length()
        && other.address() < one.address() + one.length();
  }

  static String line(FoundSite site) {
    return "%s  old %s  new %s  found %s  %s"
        .formatted(
            Output.hex(site.poke().address()),
            site.poke().site().bytes(),
            site.poke().replacement(),
            site.found().length() == 0 ? "nothing" : site.found(),
            words(site.state()));
  }

  private static String words(FoundSite.State state) {
    return switch (state) {
      case OLD -> "old bytes";
      case NEW -> "new bytes";
      case CUT_OFF -> "cut off";
      case FOREIGN -> "foreign bytes";
    };
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("pid").value(pid);
    json.name("patches").beginArray();
    for (PatchStatus patch : status.patches()) {
      json.beginObject();
      json.name("id").value(patch.entry().id());
      json.name("state").value(patch.state().name());
      json.name("coveredBy")
          .value(patch.state() == PatchStatus.State.CHANGED ? coveredBy(patch).orElse(null) : null);
      json.name("progress").value(patch.entry().progress().state().name());
      json.name("stepsDone").value(patch.entry().progress().step());
      json.name("label").value(patch.entry().note().label());
      json.name("siteCount").value(patch.sites().size());
      json.name("time").value(patch.entry().note().time().toString());
      json.name("who").value(patch.entry().note().who());
      json.name("engine").value(patch.entry().note().engine());
      if (withSites) {
        sites(json, patch.sites());
      }
      json.endObject();
    }
    json.endArray();
    json.name("damaged").beginArray();
    for (DamagedRecord damaged : status.damaged()) {
      json.beginObject();
      json.name("address").value(Output.hex(damaged.address()));
      json.name("reason").value(damaged.reason());
      json.endObject();
    }
    json.endArray();
  }

  static void sites(JsonWriter json, ImmutableList<FoundSite> sites) throws IOException {
    json.name("sites").beginArray();
    for (FoundSite site : sites) {
      json.beginObject();
      json.name("address").value(Output.hex(site.poke().address()));
      json.name("old").value(site.poke().site().bytes().hex());
      json.name("new").value(site.poke().replacement().hex());
      json.name("found").value(site.found().hex());
      json.name("state").value(site.state().name());
      json.endObject();
    }
    json.endArray();
  }
}
