package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import io.github.textpoke.x86.probe.Argument;
import io.github.textpoke.x86.probe.CapturedCall;
import io.github.textpoke.x86.probe.CapturedCalls;
import io.github.textpoke.x86.probe.IntegerType;
import io.github.textpoke.x86.probe.ProbeAction;
import java.io.IOException;
import java.io.PrintWriter;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;

/** Prints each captured call on a line, as text or as a JSON object. */
final class CallPrinter {
  private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("HH:mm:ss.SSSSSS");

  private final ProbeAction.Capture action;
  private final boolean json;
  private final PrintWriter out;

  /** The same moment on both clocks. */
  private final Instant instant = Instant.now();

  private final long nanos = System.nanoTime();

  CallPrinter(ProbeAction.Capture action, boolean json, PrintWriter out) {
    this.action = action;
    this.json = json;
    this.out = out;
  }

  /** Whether nobody reads it any more. */
  boolean isClosed() {
    return out.checkError();
  }

  void print(CapturedCalls calls) {
    for (CapturedCall call : calls.calls()) {
      if (json) {
        Output.printLine(writer -> json(writer, call), out);
      } else {
        out.println(text(call));
      }
    }
    if (calls.lost() > 0 && !json) {
      out.println(Output.count(calls.lost(), "call got lost", "calls got lost"));
    }
    out.flush();
  }

  private Instant begun(CapturedCall call) {
    return instant.plusNanos(call.nanos() - nanos);
  }

  private static String thread(CapturedCall call) {
    return call.thread().isPresent()
        ? Integer.toString(call.thread().getAsInt())
        : Output.hex(call.threadPointer());
  }

  private String text(CapturedCall call) {
    StringBuilder line = new StringBuilder();
    line.append(TIME.format(begun(call).atZone(ZoneId.systemDefault()))).append(' ');
    line.append(thread(call)).append(' ').append(call.function().name()).append('(');
    for (int i = 0; i < action.arguments().size(); i++) {
      Argument argument = action.arguments().get(i);
      line.append(i == 0 ? "" : ", ").append("arg").append(argument.number()).append('=');
      line.append(argument.type().text(call.arguments().get(i)));
    }
    line.append(')');
    action
        .returned()
        .ifPresent(
            type ->
                call.returned()
                    .ifPresentOrElse(
                        value -> line.append(" = ").append(type.text(value)),
                        () -> line.append(" goes on in another function")));
    call.tookNanos().ifPresent(took -> line.append(", ").append(Output.nanos(took)));
    return line.toString();
  }

  private void json(JsonWriter writer, CapturedCall call) throws IOException {
    writer.name("function").value(call.function().name());
    writer.name("time").value(begun(call).toString());
    writer.name("nanos").value(call.nanos());
    if (call.thread().isPresent()) {
      writer.name("thread").value(call.thread().getAsInt());
    }
    writer.name("threadPointer").value(Output.hex(call.threadPointer()));
    writer.name("arguments").beginObject();
    for (int i = 0; i < action.arguments().size(); i++) {
      Argument argument = action.arguments().get(i);
      number(writer, argument.toString(), argument.type(), call.arguments().get(i));
    }
    writer.endObject();
    if (call.returned().isPresent()) {
      number(writer, "returned", action.returned().orElseThrow(), call.returned().getAsLong());
    }
    if (call.tookNanos().isPresent()) {
      writer.name("took").value(call.tookNanos().getAsLong());
    }
  }

  private static void number(JsonWriter writer, String name, IntegerType type, long value)
      throws IOException {
    writer.name(name).jsonValue(type.text(value));
  }
}
