package io.github.textpoke.verify;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.UnsafePlanException;
import io.github.textpoke.decode.Disassembly;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.plan.Poke;

/** What a {@link Verifier} found. Immutable. */
public sealed interface Verdict {
  /** Whether the plan is safe. */
  default boolean isSafe() {
    return this instanceof Safe;
  }

  /** In words. */
  String text();

  /**
   * Returns this if the plan is safe.
   *
   * @throws UnsafePlanException with the {@link #text} if it is not
   */
  default Safe orThrow() {
    if (this instanceof Safe safe) {
      return safe;
    }
    throw new UnsafePlanException(text());
  }

  /**
   * In every interleaving a thread runs the whole old code, the whole new code, or a breakpoint
   * that is taken.
   *
   * @param model the memory model that was explored
   * @param prefixes how many prefixes of the steps: one for each step, and the empty one
   * @param states how many partial fetches, over all prefixes, sites and bytes
   */
  record Safe(MemoryModel model, int prefixes, long states) implements Verdict {
    @Override
    public String text() {
      return "safe in every interleaving ("
          + model.words()
          + " memory, "
          + prefixes
          + " prefixes, "
          + states
          + " states)";
    }
  }

  /**
   * A plan that does not do what it says: its steps, expected bytes, sites and trap actions do not
   * fit together.
   *
   * @param step the step at fault, from 1; 0 where no single one is
   * @param problem in words, with addresses and bytes
   */
  record Malformed(int step, String problem) implements Verdict {
    @Override
    public String text() {
      return step == 0 ? problem : "step " + step + ": " + problem;
    }
  }

  /**
   * An interleaving in which a thread runs what it must not.
   *
   * @param model the memory model in which it happens
   * @param step the last step begun, from 1; 0: before the first one
   * @param steps how many there are
   * @param what that step in words
   * @param atEnd whether all steps are complete; else {@code step} may be complete or under way
   * @param poke the site
   * @param offset where in the site the thread stands, in bytes from its first byte
   * @param seen the bytes that the thread's core fetches, from there on
   * @param problem what is wrong with them, in words
   */
  record Counterexample(
      MemoryModel model,
      int step,
      int steps,
      String what,
      boolean atEnd,
      Poke poke,
      int offset,
      ImmutableList<SeenByte> seen,
      String problem)
      implements Verdict {

    /** The absolute address at which the thread stands. */
    public long address() {
      return poke.address() + offset;
    }

    /** The bytes that the thread's core fetches. */
    public CodeBytes bytes() {
      return CodeBytes.of(seen.stream().mapToInt(SeenByte::value).toArray());
    }

    @Override
    public String text() {
      String when =
          atEnd ? "after all " + steps + " steps" : "in or after step " + step + " of " + steps;
      StringBuilder text = new StringBuilder(when);
      text.append(step == 0 ? "" : " (" + what + ")")
          .append(", a thread at 0x")
          .append(Long.toHexString(address()))
          .append(" may run [")
          .append(bytes())
          .append("], ")
          .append(problem)
          .append("; seen: ");
      String separator = "";
      for (int i = 0; i < seen.size(); ) {
        int end = i + 1;
        while (end < seen.size() && seen.get(end).origin().equals(seen.get(i).origin())) {
          end++;
        }
        text.append(separator).append(bytes().slice(i, end)).append(" ");
        text.append(seen.get(i).origin());
        separator = ", ";
        i = end;
      }
      return text.append("; old code [")
          .append(poke.site().bytes())
          .append("], new code [")
          .append(poke.replacement())
          .append("], ")
          .append(model.words())
          .append(" memory")
          .toString();
    }

    /** As {@link #text()}, and what the bytes seen, the old and the new ones there read as. */
    public String text(InstructionDecoder decoder) {
      return text()
          + "; it runs '"
          + Disassembly.of(decoder, address(), bytes())
          + "', old is "
          + words(decoder, poke.site().bytes(), !poke.restores())
          + ", new is "
          + words(decoder, poke.replacement(), !poke.displaces());
    }

    /**
     * @param begins whether an instruction of {@code code} begins where the thread stands, if that
     *     is inside
     */
    private String words(InstructionDecoder decoder, CodeBytes code, boolean begins) {
      return offset == 0 || begins
          ? "'" + Disassembly.of(decoder, address(), code.slice(offset, code.length())) + "'"
          : "inside of '" + Disassembly.of(decoder, poke.address(), code) + "'";
    }
  }

  /**
   * A byte that a core fetches.
   *
   * @param value 0 to 255
   * @param step the step that wrote it, from 1; 0: it stood there before the plan
   * @param kind {@code old}, {@code new} or {@code breakpoint}, {@code same} where old and new
   *     agree
   */
  record SeenByte(int value, int step, String kind) {
    private String origin() {
      return step == 0 ? kind : kind + " (step " + step + ")";
    }
  }
}
