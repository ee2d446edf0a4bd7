package io.github.textpoke.x86.plan;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.x86.flow.FunctionCode;
import io.github.textpoke.x86.flow.FunctionExits;
import io.github.textpoke.x86.flow.FunctionExits.Exit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The entry of a function and all its exits, as runs of instructions that do not overlap, each of
 * which a jump can displace. Immutable.
 *
 * @param entry that begins at the site asked for; exits may be in it
 * @param exits the others, by address
 */
public record FunctionEnds(ExitRun entry, ImmutableList<ExitRun> exits) {
  /** No longer: a longer site is poked in a slower way. */
  private static final int LONGEST = 15;

  /** Where copies might be, behind the code: what is planned for it tells whether they can be. */
  private static final long AWAY = 256 << 20;

  /**
   * Finds them.
   *
   * @param planner that knows of the object's restartable sequences
   * @param function as it stands now
   * @param site absolute address of the instruction at the entry from which on a jump displaces
   * @param entryLength how many bytes it displaces there
   * @param entrances of the object that holds the function
   * @param parts of the function
   * @throws PlanRefusedException by rule 7 if it is not known where control leaves the function, by
   *     another if no jump can stand at an exit
   */
  static FunctionEnds of(
      X86Planner planner,
      CodeRegion function,
      long site,
      int entryLength,
      Entrances entrances,
      PartSource parts) {
    FunctionExits found = entrances.exits(planner.decoder(), function);
    long bias = entrances.bias();
    found
        .obstacle()
        .ifPresent(
            obstacle -> {
              throw Rules.DISPLACING.refusal(
                  obstacle.address() + bias,
                  "",
                  "where control leaves %s is not known: %s"
                      .formatted(function.name(), obstacle.reason()),
                  "count its calls at the entry");
            });
    List<ExitRun> runs = new ArrayList<>();
    ExitRun entry = new ExitRun(function, site, site + entryLength, ImmutableSet.of());
    for (int part = 0; part < found.parts().size(); part++) {
      int index = part;
      CodeRegion code =
          part == 0
              ? function
              : parts.part(
                  found.parts().get(part).start() + bias, found.parts().get(part).end() + bias);
      List<Exit> exits =
          found.exits().stream()
              .filter(exit -> exit.part() == index)
              .sorted(Comparator.comparingLong(Exit::address))
              .toList();
      Search search = new Search(planner, entrances, code);
      if (part == 0) {
        search.runs.add(entry);
      }
      exits.forEach(exit -> search.add(exit.address() + bias, exit.length()));
      if (part == 0) {
        entry = search.runs.remove(0);
      }
      runs.addAll(search.runs);
    }
    runs.sort(Comparator.comparingLong(ExitRun::start));
    return new FunctionEnds(entry, ImmutableList.copyOf(runs));
  }

  /** In one part of the function, from its start to its end. */
  private static final class Search {
    private final X86Planner planner;
    private final Entrances entrances;
    private final CodeRegion code;
    private final FunctionCode read;

    /** Those before the next exit; the last one may grow. */
    private final List<ExitRun> runs = new ArrayList<>();

    Search(X86Planner planner, Entrances entrances, CodeRegion part) {
      this.planner = planner;
      this.entrances = entrances;
      this.code = entrances.withPadding(planner.decoder(), part, LONGEST);
      this.read = new FunctionCode(planner.decoder(), code.recovered());
    }

    void add(long exit, int length) {
      long end = exit + length;
      if (!runs.isEmpty() && exit < last().end()) {
        // It is displaced already.
        replaceLast(join(last(), last().end(), exit));
        return;
      }
      PlanRefusedException refused;
      try {
        take(exit, start(exit, ExitRun.JUMP - length), end);
        return;
      } catch (PlanRefusedException reason) {
        refused = reason;
      }
      int padding = padding(end);
      if (padding == 0) {
        throw refused;
      }
      take(exit, start(exit, ExitRun.JUMP - length - padding), end);
    }

    private ExitRun last() {
      return runs.get(runs.size() - 1);
    }

    private void replaceLast(ExitRun run) {
      runs.set(runs.size() - 1, run);
    }

    /** The last boundary that is so many bytes before the exit, or more. */
    private long start(long exit, int before) {
      int index = read.indexOf(exit);
      while (index > 0 && exit - read.address(index) < before) {
        index--;
      }
      return read.address(index);
    }

    /** Bytes of no-operations from an address on. */
    private int padding(long from) {
      int index = read.indexOf(from);
      long end = from;
      while (index >= 0
          && index < read.count()
          && Decoded.flow(read.decoded(index)) == Flow.NOP
          && end - from < ExitRun.JUMP) {
        end += Decoded.length(read.decoded(index++));
      }
      return (int) (end - from);
    }

    /** Takes the run from {@code start} to {@code end}; with those before that it runs into. */
    private void take(long exit, long start, long end) {
      List<ExitRun> joined = new ArrayList<>();
      long from = start;
      for (int i = runs.size() - 1;
          i >= 0 && runs.get(i).start() + runs.get(i).displacedLength() > from;
          i--) {
        joined.add(runs.get(i));
        from = Math.min(from, runs.get(i).start());
      }
      Set<Long> exits = new HashSet<>(Set.of(exit));
      joined.forEach(run -> exits.addAll(run.exits()));
      ExitRun run = new ExitRun(code, from, end, ImmutableSet.copyOf(exits));
      check(run);
      runs.removeAll(joined);
      runs.add(run);
    }

    private void check(ExitRun run) {
      if (run.length() > LONGEST) {
        throw Rules.ROOM.refusal(
            run.start(),
            "",
            "the jump at the exit would displace %d bytes".formatted(run.length()),
            "count its calls at the entry");
      }
      long copy = code.end() + AWAY & -16;
      planner.displace(run, copy - 16, copy, entrances);
    }

    private static ExitRun join(ExitRun run, long end, long exit) {
      Set<Long> exits = new HashSet<>(run.exits());
      exits.add(exit);
      return new ExitRun(run.code(), run.start(), end, ImmutableSet.copyOf(exits));
    }
  }
}
