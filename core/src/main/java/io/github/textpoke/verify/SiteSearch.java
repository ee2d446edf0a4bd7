package io.github.textpoke.verify;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.verify.VisibleBytes.Sighting;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Every fetch that a thread can make from where it stands: byte after byte, each value that it may
 * see. What has been read so far can still become the whole old instruction, the whole new one,
 * both, or neither; fetches that agree in this differ no further, and the one that has read the
 * least recent bytes can do all that the others can. So at most three are carried from byte to
 * byte. Mutable counter, for one thread.
 */
final class SiteSearch {
  private final int trapByte;
  private final MemoryModel model;
  private long states;

  SiteSearch(int trapByte, MemoryModel model) {
    this.trapByte = trapByte;
    this.model = model;
  }

  /** How many partial fetches were looked at. */
  long states() {
    return states;
  }

  /**
   * A fetch that runs what it must not; {@code null} where there is none.
   *
   * @param target what may still run after the plan's end; {@link Target#NONE} before it
   */
  @Nullable Wrong wrongFetch(Stand stand, VisibleBytes visible, Target target) {
    List<Fetch> fetches = List.of(new Fetch(null, null, 0, stand.oldEnd() > 0, stand.newEnd() > 0));
    for (int at = stand.offset(); at < stand.poke().length(); at++) {
      @Nullable Fetch[] carried = new Fetch[4];
      for (Fetch fetch : fetches) {
        for (Sighting sighting : visible.at(at)) {
          Fetch next = read(fetch, sighting, at, stand.poke());
          if (next == null) {
            continue;
          }
          states++;
          if (at == stand.offset() && sighting.value() == trapByte) {
            String problem = trapProblem(stand, target);
            if (problem != null) {
              return new Wrong(stand, next.seen(), problem);
            }
            continue;
          }
          if (!next.old && !next.fresh) {
            return new Wrong(
                stand, complete(next, at + 1, visible), "which is neither old nor new code");
          }
          boolean wholeOld = next.old && at + 1 == stand.oldEnd();
          boolean wholeNew = next.fresh && at + 1 == stand.newEnd();
          if (wholeOld || wholeNew) {
            if (target.forbids(wholeOld, wholeNew)) {
              return new Wrong(stand, next.seen(), target.problem);
            }
            continue;
          }
          int kind = (next.old ? 2 : 0) + (next.fresh ? 1 : 0);
          Fetch best = carried[kind];
          if (best == null || next.time < best.time) {
            carried[kind] = next;
          }
        }
      }
      fetches = new ArrayList<>(3);
      for (Fetch fetch : carried) {
        if (fetch != null) {
          fetches.add(fetch);
        }
      }
    }
    return null;
  }

  /** {@code fetch} and behind it {@code sighting}; {@code null} where it can't be seen any more. */
  private @Nullable Fetch read(Fetch fetch, Sighting sighting, int at, Poke poke) {
    int time =
        switch (model) {
          case CONSERVATIVE -> 0;
          case PROGRAM_ORDER -> Math.max(fetch.time, sighting.from());
        };
    if (time > sighting.to()) {
      return null;
    }
    return new Fetch(
        fetch,
        sighting,
        time,
        fetch.old && sighting.value() == poke.site().bytes().at(at),
        fetch.fresh && sighting.value() == poke.replacement().at(at));
  }

  /** The rest of the site as {@code fetch} may see it: for the reader of a counterexample. */
  private ImmutableList<Sighting> complete(Fetch fetch, int from, VisibleBytes visible) {
    ImmutableList.Builder<Sighting> seen = ImmutableList.builder();
    seen.addAll(fetch.seen());
    int time = fetch.time;
    for (int at = from; at < visible.length(); at++) {
      for (Sighting sighting : visible.at(at)) {
        if (time <= sighting.to()) {
          seen.add(sighting);
          time = model == MemoryModel.CONSERVATIVE ? 0 : Math.max(time, sighting.from());
          break;
        }
      }
    }
    return seen.build();
  }

  private @Nullable String trapProblem(Stand stand, Target target) {
    Poke poke = stand.poke();
    boolean setBefore = !stand.isInside() && poke.site().bytes().at(0) == trapByte;
    boolean setAfter = !stand.isInside() && poke.replacement().at(0) == trapByte;
    if (target != Target.NONE) {
      return (target == Target.OLD ? setBefore : setAfter)
          ? null
          : "a breakpoint of which nobody takes the trap any more: the plan is over";
    }
    if (stand.trapAction() instanceof TrapAction.PassOn && !setBefore && !setAfter) {
      return "a breakpoint that is passed on to the program, which has not set it: no trap action";
    }
    if (stand.trapAction() instanceof TrapAction.Rewind && stand.isInside()) {
      return "a breakpoint that is waited at, and then the middle of another instruction is run";
    }
    return null;
  }

  /** What must run once the plan is over. */
  enum Target {
    /** It is not over: old and new. */
    NONE(""),
    /** After a rollback. */
    OLD("which is new code, after the rollback's end"),
    /** After the plan. */
    NEW("which is old code, after the plan's end");

    private final String problem;

    Target(String problem) {
      this.problem = problem;
    }

    private boolean forbids(boolean wholeOld, boolean wholeNew) {
      return switch (this) {
        case NONE -> false;
        case OLD -> !wholeOld;
        case NEW -> !wholeNew;
      };
    }
  }

  /**
   * A fetch that runs what it must not.
   *
   * @param stand where the thread stands
   * @param seen the bytes, from there on
   * @param problem what is wrong with them
   */
  record Wrong(Stand stand, ImmutableList<Sighting> seen, String problem) {
    CodeBytes bytes() {
      return CodeBytes.of(seen.stream().mapToInt(Sighting::value).toArray());
    }
  }

  /**
   * A fetch under way.
   *
   * @param before the fetch without its last byte
   * @param last the last byte; {@code null} where nothing was read yet
   * @param time the earliest half step at which it can have been read
   * @param old whether it can become the whole old instruction
   * @param fresh whether it can become the whole new one
   */
  private record Fetch(
      @Nullable Fetch before, @Nullable Sighting last, int time, boolean old, boolean fresh) {
    ImmutableList<Sighting> seen() {
      List<Sighting> reversed = new ArrayList<>();
      for (Fetch fetch = this; fetch != null && fetch.last != null; fetch = fetch.before) {
        reversed.add(fetch.last);
      }
      return ImmutableList.copyOf(reversed).reverse();
    }
  }
}
