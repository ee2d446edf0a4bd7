package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.apply.ApplyReport;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;

/** Prints results as text or as JSON, and failures as one line. */
final class Output {
  private static final String NAME = "textpoke: ";

  private Output() {}

  static void print(Result result, boolean asJson, PrintWriter out) {
    if (asJson) {
      out.println(json(result));
    } else {
      result.text(out);
    }
    out.flush();
  }

  /** Members of a JSON object. */
  @FunctionalInterface
  interface Members {
    void write(JsonWriter json) throws IOException;
  }

  /** One JSON object on one line. */
  static void printLine(Members members, PrintWriter out) {
    out.println(json(members, ""));
  }

  private static String json(Result result) {
    return json(result::json, "  ");
  }

  private static String json(Members members, String indent) {
    StringWriter text = new StringWriter();
    try (JsonWriter json = new JsonWriter(text)) {
      json.setIndent(indent);
      json.setHtmlSafe(false);
      json.beginObject();
      members.write(json);
      json.endObject();
    } catch (IOException e) {
      throw new UncheckedIOException("a string can't fail to be written", e);
    }
    return text.toString();
  }

  /** The one line on stderr. */
  static String line(Throwable failure) {
    String message = failure.getMessage();
    return NAME
        + (failure instanceof PatchException && message != null
            ? oneLine(message)
            : "unexpected: " + oneLine(failure.toString()) + " (--debug shows where)");
  }

  /** The one line on stderr for bad usage. */
  static String usage(String message, String command) {
    return NAME
        + oneLine(message).replaceFirst("^Error: ", "")
        + "; '"
        + command
        + " --help' shows how";
  }

  static String oneLine(String text) {
    return text.strip().replaceAll("\\s*\\R\\s*", "; ");
  }

  static String hex(long address) {
    return "0x" + Long.toHexString(address);
  }

  /** A refusal without the address that stands beside it already. */
  static String reason(PlanRefusedException refusal) {
    return "rule "
        + refusal.rule()
        + ": "
        + refusal.reason()
        + (refusal.remedy().isEmpty() ? "" : "; " + refusal.remedy());
  }

  /** Nanoseconds as microseconds. */
  static String micros(long nanos) {
    return "%.1f us".formatted(nanos / 1e3);
  }

  /** Nanoseconds, for people. */
  static String nanos(long nanos) {
    return "%,d ns".formatted(nanos);
  }

  /** What a change took, for people. */
  static String took(ApplyReport report) {
    return "%s, %s, %s parked, %s traced"
        .formatted(
            micros(report.nanos()),
            count(report.traps(), "trap", "traps"),
            count(report.parked(), "thread", "threads"),
            count(report.threads(), "thread", "threads"));
  }

  /** The same as members of a JSON object. */
  static void report(JsonWriter json, ApplyReport report) throws IOException {
    json.name("engine").value(report.engine());
    json.name("remark").value(report.remark());
    json.name("nanos").value(report.nanos());
    json.name("traps").value(report.traps());
    json.name("parked").value(report.parked());
    json.name("threads").value(report.threads());
  }

  /** A number and what is counted. */
  static String count(long number, String one, String many) {
    return number + " " + (number == 1 ? one : many);
  }
}
