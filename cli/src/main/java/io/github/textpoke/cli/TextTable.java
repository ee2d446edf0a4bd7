package io.github.textpoke.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;

/** Rows whose columns are as wide as they must be. Used by one thread. */
final class TextTable {
  private static final String GAP = "  ";

  private final int[] widths;
  private final List<String[]> rows = new ArrayList<>();

  TextTable(String... titles) {
    widths = new int[titles.length];
    row(titles);
  }

  void row(String... cells) {
    for (int i = 0; i < widths.length; i++) {
      widths[i] = Math.max(widths[i], cells[i].length());
    }
    rows.add(cells);
  }

  /** A line below the last row, across all columns. */
  void line(String text) {
    rows.add(new String[] {text});
  }

  void print(PrintWriter out) {
    for (String[] cells : rows) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < cells.length - 1; i++) {
        line.append(cells[i]).append(" ".repeat(widths[i] - cells[i].length())).append(GAP);
      }
      out.println(line.append(cells[cells.length - 1]));
    }
  }
}
