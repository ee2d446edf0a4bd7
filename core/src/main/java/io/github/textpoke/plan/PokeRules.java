package io.github.textpoke.plan;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import java.util.List;

/** What the protocol asks of pokes, whatever the instruction set. Stateless. */
final class PokeRules {
  private PokeRules() {}

  /**
   * @param sorted by unsigned address
   * @throws PlanRefusedException as {@link PokeProtocol#plan} says
   */
  static void check(int trapByte, List<Poke> sorted) {
    for (int i = 1; i < sorted.size(); i++) {
      checkApart(sorted.get(i - 1), sorted.get(i));
    }
    for (Poke poke : sorted) {
      checkBreakpoints(trapByte, poke);
      checkInterior(trapByte, poke);
    }
  }

  private static void checkApart(Poke first, Poke second) {
    if (Long.compareUnsigned(first.address() + first.length() - 1, second.address()) >= 0) {
      throw new PlanRefusedException(
          6,
          second.address(),
          second.site().bytes().hex(),
          first.address() == second.address()
              ? "two pokes at one address: " + first.site() + " and " + second.site()
              : "two sites overlap: " + first.site() + " and " + second.site());
    }
  }

  private static void checkBreakpoints(int trapByte, Poke poke) {
    boolean before = poke.site().bytes().at(0) == trapByte;
    boolean after = poke.replacement().at(0) == trapByte;
    if (before && after) {
      throw refused(19, poke, "old and new code both begin with the breakpoint: nothing to do");
    }
    if ((before || after) && !tail(poke.site().bytes()).equals(tail(poke.replacement()))) {
      throw refused(
          19,
          poke,
          "a poke that sets or removes a breakpoint changes the first byte only, not the tail to "
              + poke.replacement());
    }
    if (after && poke.trapAction() instanceof TrapAction.Rewind) {
      throw refused(
          19, poke, "a breakpoint that stays can't rewind: the thread would wait for ever");
    }
    if (!before && !after && poke.trapAction() instanceof TrapAction.PassOn) {
      throw refused(
          4,
          poke,
          "the breakpoint of a replacement is ours: passing it on to the program would kill it");
    }
    if ((before || after) && !poke.interior().isEmpty()) {
      throw refused(
          19, poke, "a poke that sets or removes a breakpoint displaces no other instruction");
    }
  }

  private static void checkInterior(int trapByte, Poke poke) {
    for (Boundary boundary : poke.interior()) {
      long address = poke.address() + boundary.offset();
      CodeBytes code = poke.displacedBytes();
      String bytes = code.slice(boundary.offset(), code.length()).hex();
      if (code.at(boundary.offset()) == trapByte) {
        throw new PlanRefusedException(
            19, address, bytes, "a breakpoint that is not ours can't be displaced");
      }
      if (!(boundary.trapAction() instanceof TrapAction.Redirect)) {
        throw new PlanRefusedException(
            4,
            address,
            bytes,
            "a thread inside of the site needs an address in an out-of-line copy where it goes on:"
                + " no new instruction begins there");
      }
    }
  }

  private static CodeBytes tail(CodeBytes bytes) {
    return bytes.slice(1, bytes.length());
  }

  private static PlanRefusedException refused(int rule, Poke poke, String reason) {
    return new PlanRefusedException(rule, poke.address(), poke.site().bytes().hex(), reason);
  }
}
