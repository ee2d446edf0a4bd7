package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import com.google.gson.stream.JsonWriter;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.process.FoundSymbol;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.Locale;

/**
 * Functions of a process.
 *
 * @param pid the process
 * @param symbols in the order of objects in memory and of symbols in their tables
 * @param unreadable why objects are missing, one message each
 */
record SymbolList(int pid, ImmutableList<FoundSymbol> symbols, ImmutableList<String> unreadable)
    implements Result {

  @Override
  public void text(PrintWriter out) {
    for (FoundSymbol found : symbols) {
      Symbol symbol = found.symbol();
      out.printf(
          "%-16s %6d  %-8s %-6s  %s:%s%n",
          Output.hex(found.address()),
          symbol.size(),
          words(symbol.kind()),
          words(symbol.binding()),
          found.object(),
          symbol.versionedName());
    }
    for (String problem : unreadable) {
      out.println("not read: " + problem);
    }
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("pid").value(pid);
    json.name("symbols").beginArray();
    for (FoundSymbol found : symbols) {
      Symbol symbol = found.symbol();
      json.beginObject();
      json.name("address").value(Output.hex(found.address()));
      json.name("size").value(symbol.size());
      json.name("kind").value(words(symbol.kind()));
      json.name("binding").value(words(symbol.binding()));
      json.name("object").value(found.object());
      json.name("name").value(symbol.name());
      json.name("version").value(symbol.version());
      json.endObject();
    }
    json.endArray();
    json.name("unreadable").beginArray();
    for (String problem : unreadable) {
      json.value(problem);
    }
    json.endArray();
  }

  private static String words(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }
}
