package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import com.google.gson.stream.JsonWriter;
import io.github.textpoke.x86.plan.CodeLine;
import io.github.textpoke.x86.plan.PatchOption;
import io.github.textpoke.x86.plan.SiteClass;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.Optional;

/**
 * A site, the code around it, and what can be done there.
 *
 * @param pid the process
 * @param address of the site, absolute
 * @param place the site as a person reads it
 * @param decoder who read the code
 * @param lines the whole function
 * @param options one row for each kind of patch
 */
record Inspection(
    int pid,
    long address,
    String place,
    String decoder,
    ImmutableList<CodeLine> lines,
    ImmutableList<PatchOption> options)
    implements Result {
  private static final int BEFORE = 6;
  private static final int BEHIND = 8;

  /** The lines around the site. */
  private ImmutableList<CodeLine> around() {
    int at = 0;
    while (at + 1 < lines.size()
        && Long.compareUnsigned(lines.get(at + 1).address(), address) <= 0) {
      at++;
    }
    return lines.subList(Math.max(0, at - BEFORE), Math.min(lines.size(), at + BEHIND + 1));
  }

  private Optional<SiteClass> siteClass() {
    return lines.stream()
        .filter(line -> line.address() == address && line.isInstruction())
        .map(line -> SiteClass.of(address, line.bytes().length()))
        .findFirst();
  }

  @Override
  public void text(PrintWriter out) {
    out.println(place + " of process " + pid + ", read by " + decoder);
    siteClass().ifPresent(kind -> out.println(words(kind)));
    out.println();
    for (CodeLine line : around()) {
      out.printf(
          "%s %s  %-30s  %s%n",
          line.address() == address ? "->" : "  ",
          Output.hex(line.address()),
          line.bytes().hex(),
          line.text());
    }
    out.println();
    for (PatchOption option : options) {
      out.printf(
          "%-10s  %s%n",
          option.kind().words(), option.refusal().map(Output::reason).orElse("possible"));
    }
  }

  private static String words(SiteClass kind) {
    return switch (kind) {
      case IN_QUADWORD -> "inside 8 aligned bytes";
      case IN_LINE -> "inside a cache line";
      case STRADDLES_LINE -> "across a cache line";
      case STRADDLES_PAGE -> "across a page";
    };
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("pid").value(pid);
    json.name("address").value(Output.hex(address));
    json.name("place").value(place);
    json.name("decoder").value(decoder);
    json.name("siteClass").value(siteClass().map(SiteClass::name).orElse(null));
    json.name("code").beginArray();
    for (CodeLine line : around()) {
      json.beginObject();
      json.name("address").value(Output.hex(line.address()));
      json.name("bytes").value(line.bytes().hex());
      json.name("text").value(line.text());
      json.name("isInstruction").value(line.isInstruction());
      json.endObject();
    }
    json.endArray();
    json.name("options").beginArray();
    for (PatchOption option : options) {
      json.beginObject();
      json.name("kind").value(option.kind().words());
      json.name("possible").value(option.isPossible());
      if (option.refusal().isPresent()) {
        json.name("rule").value(option.refusal().get().rule());
        json.name("reason").value(option.refusal().get().reason());
        json.name("remedy").value(option.refusal().get().remedy());
      }
      json.endObject();
    }
    json.endArray();
  }
}
