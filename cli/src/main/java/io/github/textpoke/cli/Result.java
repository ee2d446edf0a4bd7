package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import java.io.IOException;
import java.io.PrintWriter;

/** What a command has to say, in two forms with the same content. */
interface Result {
  /** For people. */
  void text(PrintWriter out);

  /** The members of one JSON object; names in camelCase, addresses as {@code "0x401000"}. */
  void json(JsonWriter json) throws IOException;
}
