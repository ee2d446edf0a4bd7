package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import com.google.gson.stream.JsonWriter;
import io.github.textpoke.x86.livepatch.LoadedPatch;
import io.github.textpoke.x86.livepatch.PatchState;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;

/** What the commands about live patches have to say. */
sealed interface LivePatchResult extends Result {
  /** One live patch, as it is after a command. */
  static LivePatchResult of(int pid, LoadedPatch patch) {
    return new One(pid, Row.of(patch));
  }

  /**
   * A live patch at one moment.
   *
   * @param functions those that it replaces, as {@code object:name}
   * @param file that it was loaded from
   * @param bias what was added to the addresses in the file
   * @param held what keeps an unregistered one in the process
   */
  record Row(
      long id,
      String name,
      String version,
      PatchState state,
      ImmutableList<String> functions,
      String file,
      long bias,
      Optional<String> held) {
    /** What parts the words of a command of gdb's, or begins something in one. */
    private static final Pattern SPECIAL = Pattern.compile("[\\s\"'\\\\]");

    static Row of(LoadedPatch patch) {
      ImmutableList<String> functions =
          patch.description().objects().stream()
              .flatMap(
                  object ->
                      object.functions().stream()
                          .map(
                              function ->
                                  (object.name().isEmpty() ? "" : object.name() + ":")
                                      + function.old()))
              .collect(ImmutableList.toImmutableList());
      return new Row(
          patch.id(),
          patch.description().name(),
          patch.description().version(),
          patch.state(),
          functions,
          patch.file(),
          patch.bias(),
          patch.heldBy());
    }

    /** With this gdb knows the object: it finds names, lines and callers. */
    private String gdb() {
      return String.format(
          Locale.ROOT,
          "add-symbol-file %s -o 0x%x",
          SPECIAL.matcher(file).replaceAll("\\\\$0"),
          bias);
    }

    private void json(JsonWriter json) throws IOException {
      json.name("id").value(id);
      json.name("name").value(name);
      json.name("version").value(version);
      json.name("state").value(state.name());
      json.name("functions").beginArray();
      for (String function : functions) {
        json.value(function);
      }
      json.endArray();
      json.name("file").value(file);
      json.name("bias").value(bias);
      json.name("gdb").value(gdb());
      json.name("heldBy").value(held.orElse(null));
    }
  }

  /** One of them. */
  record One(int pid, Row row) implements LivePatchResult {
    @Override
    public void text(PrintWriter out) {
      out.printf("live patch %d is %s%n", row.id, row.state.word());
      if (row.state == PatchState.REGISTERED) {
        out.println("gdb: " + row.gdb());
      }
    }

    @Override
    public void json(JsonWriter json) throws IOException {
      json.name("pid").value(pid);
      row.json(json);
    }
  }

  /** One that was unloaded; {@code held}: what keeps it in the process. */
  record Unloaded(int pid, long id, Optional<String> held) implements LivePatchResult {
    @Override
    public void text(PrintWriter out) {
      out.println(
          "live patch "
              + id
              + held.map(what -> " is unregistered; it stays in the process: " + what)
                  .orElse(" is unloaded"));
    }

    @Override
    public void json(JsonWriter json) throws IOException {
      json.name("pid").value(pid);
      json.name("id").value(id);
      json.name("unloaded").value(held.isEmpty());
      json.name("heldBy").value(held.orElse(null));
    }
  }

  /** All of them. */
  record Listed(int pid, ImmutableList<Row> rows) implements LivePatchResult {
    private static final int SHOWN = 3;

    @Override
    public void text(PrintWriter out) {
      out.println(
          "process " + pid + ": " + Output.count(rows.size(), "live patch", "live patches"));
      TextTable table = new TextTable("id", "name", "version", "state", "functions", "file");
      for (Row row : rows) {
        table.row(
            Long.toString(row.id),
            row.name,
            row.version,
            row.state.word(),
            some(row.functions),
            row.file);
        table.line("    gdb: " + row.gdb());
        row.held.ifPresent(what -> table.line("    held: " + what));
      }
      if (!rows.isEmpty()) {
        table.print(out);
      }
    }

    /** There may be a thousand; JSON has them all. */
    private static String some(ImmutableList<String> functions) {
      return functions.size() <= SHOWN
          ? String.join(", ", functions)
          : String.join(", ", functions.subList(0, SHOWN))
              + " and "
              + (functions.size() - SHOWN)
              + " more";
    }

    @Override
    public void json(JsonWriter json) throws IOException {
      json.name("pid").value(pid);
      json.name("livePatches").beginArray();
      for (Row row : rows) {
        json.beginObject();
        row.json(json);
        json.endObject();
      }
      json.endArray();
    }
  }
}
