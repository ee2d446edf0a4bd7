package io.github.textpoke.plan;

import com.google.common.base.Strings;
import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.Disassembly;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.plan.Step.Evacuate;
import io.github.textpoke.plan.Step.SyncCores;
import io.github.textpoke.plan.Step.Write;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A plan as a table of text: a row for each site and each boundary inside of it, then one for each
 * step, in order. Given a decoder, the table also tells what the site reads as: before and after in
 * a site's row, once the step is complete in a step's row. Addresses are absolute. Stateless; lines
 * end in {@code \n}.
 */
public final class PlanTable {
  private static final String GAP = "  ";

  private final PatchPlan plan;
  private final @Nullable InstructionDecoder decoder;
  private final PokeIndex index;
  private final List<CodeBytes> memory = new ArrayList<>();

  private PlanTable(PatchPlan plan, @Nullable InstructionDecoder decoder) {
    this.plan = plan;
    this.decoder = decoder;
    this.index = new PokeIndex(plan.pokes());
    plan.pokes().forEach(poke -> memory.add(poke.site().bytes()));
  }

  /** The table with bytes alone. */
  public static String of(PatchPlan plan) {
    return new PlanTable(plan, null).text();
  }

  /** The table with disassembly by {@code decoder}, which is not kept. */
  public static String of(PatchPlan plan, InstructionDecoder decoder) {
    return new PlanTable(plan, decoder).text();
  }

  private String text() {
    List<Row> rows = new ArrayList<>();
    rows.add(new Row("step", "address", "old bytes", "new bytes", "reads as", "why"));
    for (Poke poke : plan.pokes()) {
      rows.add(row(poke));
      poke.interior().forEach(boundary -> rows.add(row(poke, boundary)));
    }
    for (int i = 0; i < plan.steps().size(); i++) {
      rows.add(row(i + 1, plan.steps().get(i)));
    }
    int columns = rows.get(0).cells().size();
    int[] widths = new int[columns];
    for (Row row : rows) {
      for (int i = 0; i < columns; i++) {
        widths[i] = Math.max(widths[i], row.cells().get(i).length());
      }
    }
    StringBuilder text = new StringBuilder();
    for (Row row : rows) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < columns; i++) {
        if (i != Row.READS_AS || decoder != null) {
          line.append(Strings.padEnd(row.cells().get(i), widths[i], ' ')).append(GAP);
        }
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
    return text.toString();
  }

  private Row row(Poke poke) {
    return new Row(
        "site",
        hex(poke.address()),
        poke.site().bytes().hex(),
        poke.replacement().hex(),
        decoder == null
            ? ""
            : readsAs(poke.address(), poke.site().bytes())
                + " => "
                + readsAs(poke.address(), poke.replacement()),
        words("who hits the breakpoint ", poke.trapAction()));
  }

  /** The instruction on the side of the code that has several. */
  private Row row(Poke poke, Boundary boundary) {
    long address = poke.address() + boundary.offset();
    CodeBytes bytes = poke.instructionAt(boundary);
    return new Row(
        "",
        hex(address),
        poke.displaces() ? bytes.hex() : "",
        poke.restores() ? bytes.hex() : "",
        decoder == null ? "" : readsAs(address, bytes),
        boundary.trapAction() instanceof TrapAction.Redirect redirect
            ? "who stands there goes on in the copy at " + hex(redirect.address())
            : words("who stands there ", boundary.trapAction()));
  }

  private Row row(int number, Step step) {
    if (step instanceof Write write) {
      return new Row(
          Integer.toString(number),
          hex(write.address()),
          write.expected().hex(),
          write.bytes().hex(),
          readsAsOnceWritten(write),
          write.why());
    }
    if (step instanceof SyncCores sync) {
      return new Row(Integer.toString(number), "core sync", "", "", "", sync.why());
    }
    if (step instanceof Evacuate evacuate) {
      return new Row(
          Integer.toString(number),
          "evacuate " + hex(evacuate.address()),
          "",
          "",
          "",
          evacuate.why());
    }
    throw new IllegalStateException("a step that is not known here: " + step);
  }

  /** What the whole site reads as, once {@code write} is complete. */
  private String readsAsOnceWritten(Write write) {
    int i = index.holding(write.address(), write.bytes().length());
    if (i < 0) {
      return "(outside of every site)";
    }
    long start = plan.pokes().get(i).address();
    memory.set(i, memory.get(i).with((int) (write.address() - start), write.bytes()));
    return readsAs(start, memory.get(i));
  }

  private String readsAs(long address, CodeBytes bytes) {
    if (bytes.at(0) == plan.trapByte()) {
      return "breakpoint";
    }
    return decoder == null ? "" : Disassembly.of(decoder, address, bytes);
  }

  private static String words(String who, TrapAction action) {
    if (action instanceof TrapAction.Rewind) {
      return who + "waits, then runs the site again";
    }
    if (action instanceof TrapAction.Redirect redirect) {
      return who + "goes on at " + hex(redirect.address());
    }
    if (action instanceof TrapAction.PassOn) {
      return who + "gets the program's own SIGTRAP";
    }
    throw new IllegalStateException("a trap action that is not known here: " + action);
  }

  private static String hex(long address) {
    return "0x" + Long.toHexString(address);
  }

  private record Row(ImmutableList<String> cells) {
    static final int READS_AS = 4;

    Row(String step, String address, String before, String after, String readsAs, String why) {
      this(ImmutableList.of(step, address, before, after, readsAs, why));
    }
  }
}
