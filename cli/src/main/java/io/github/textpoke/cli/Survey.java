package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import com.google.gson.stream.JsonWriter;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.x86.plan.DetourReason;
import io.github.textpoke.x86.plan.DetourSurvey;
import io.github.textpoke.x86.plan.DetourSurvey.Totals;
import io.github.textpoke.x86.plan.X86Planner;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/**
 * How many functions of some files can be detoured, and why others can't.
 *
 * @param decoder who read the code
 * @param files in the order in which they were named
 */
record Survey(String decoder, ImmutableList<SurveyedFile> files) implements Result {
  /**
   * One file.
   *
   * @param file as it was named
   */
  record SurveyedFile(String file, Totals totals) {}

  /** Plans a detour of each function of {@code files}. */
  static Survey of(List<Path> files, X86Planner planner) {
    ImmutableList.Builder<SurveyedFile> surveyed = ImmutableList.builder();
    for (Path file : files) {
      ElfImage image = ElfImage.read(file);
      DetourSurvey survey = new DetourSurvey(image, Symbols.of(image), planner);
      surveyed.add(new SurveyedFile(file.toString(), Totals.of(survey.findings())));
    }
    return new Survey(planner.decoder().name(), surveyed.build());
  }

  @Override
  public void text(PrintWriter out) {
    for (SurveyedFile surveyed : files) {
      Totals totals = surveyed.totals();
      out.printf(
          "%s: %s, %d shorter than %d bytes%n",
          surveyed.file(),
          Output.count(totals.functions(), "function", "functions"),
          totals.tooShort(),
          DetourSurvey.JUMP);
      out.printf(
          "of the other %d, %d can be detoured: %.1f %%%n",
          totals.longEnough(), totals.detoured(), 100 * totals.share());
      if (!totals.obstacles().isEmpty()) {
        TextTable table = new TextTable("rule", "functions", "why not");
        for (Map.Entry<DetourReason, Long> obstacle : mostFirst(totals)) {
          DetourReason reason = obstacle.getKey();
          table.row(
              Integer.toString(reason.rule()), obstacle.getValue().toString(), reason.words());
        }
        table.print(out);
      }
      out.println();
    }
    out.println("read by " + decoder);
  }

  private static List<Map.Entry<DetourReason, Long>> mostFirst(Totals totals) {
    Comparator<Map.Entry<DetourReason, Long>> byCount = Map.Entry.comparingByValue();
    return totals.obstacles().entrySet().stream().sorted(byCount.reversed()).toList();
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("decoder").value(decoder);
    json.name("files").beginArray();
    for (SurveyedFile surveyed : files) {
      Totals totals = surveyed.totals();
      json.beginObject();
      json.name("file").value(surveyed.file());
      json.name("functions").value(totals.functions());
      json.name("tooShort").value(totals.tooShort());
      json.name("longEnough").value(totals.longEnough());
      json.name("detoured").value(totals.detoured());
      json.name("share").value(totals.share());
      json.name("obstacles").beginArray();
      for (Map.Entry<DetourReason, Long> obstacle : mostFirst(totals)) {
        json.beginObject();
        json.name("rule").value(obstacle.getKey().rule());
        json.name("reason").value(obstacle.getKey().words());
        json.name("functions").value(obstacle.getValue());
        json.endObject();
      }
      json.endArray();
      json.endObject();
    }
    json.endArray();
  }
}
