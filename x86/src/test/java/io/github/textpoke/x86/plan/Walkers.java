package io.github.textpoke.x86.plan;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.Evacuate;
import io.github.textpoke.plan.Step.Write;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.decode.TableDecoder;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Threads that walk through functions while steps are done: everywhere that one may have come to,
 * whatever it and the patcher do first. Unlike the verifier it follows the branches, and knows one
 * memory alone. Not thread-safe.
 */
final class Walkers {
  private final TableDecoder decoder = new TableDecoder();
  private final Map<Long, Integer> memory = new HashMap<>();
  private final Map<Long, TrapAction> traps = new HashMap<>();
  private final Map<Long, Set<CodeBytes>> whole = new HashMap<>();
  private final Set<Long> starts;
  private final Set<Long> places = new HashSet<>();

  /**
   * @param starts where threads come from, and where they go on who leave what is known here
   */
  Walkers(Set<Long> starts) {
    this.starts = starts;
    places.addAll(starts);
  }

  /** Puts code somewhere. */
  void put(long address, CodeBytes bytes) {
    for (int i = 0; i < bytes.length(); i++) {
      memory.put(address + i, bytes.at(i));
    }
  }

  /** Takes the traps of a plan from now on, and watches its sites. */
  void watch(PatchPlan plan) {
    for (Poke poke : plan.pokes()) {
      traps.put(poke.address(), poke.trapAction());
      int several = poke.displaces() ? poke.oldLength() : poke.newLength();
      int one = poke.displaces() ? poke.newLength() : poke.oldLength();
      CodeBytes oneCode = poke.displaces() ? poke.replacement() : poke.site().bytes();
      Set<CodeBytes> first = whole.computeIfAbsent(poke.address(), at -> new HashSet<>());
      first.add(oneCode.slice(0, one));
      int end = several;
      for (Boundary boundary : poke.interior().reverse()) {
        traps.put(poke.address() + boundary.offset(), boundary.trapAction());
        whole.put(
            poke.address() + boundary.offset(),
            new HashSet<>(Set.of(poke.displacedBytes().slice(boundary.offset(), end))));
        end = boundary.offset();
      }
      first.add(poke.displacedBytes().slice(0, end));
      for (int i = 0; i < poke.length(); i++) {
        whole.putIfAbsent(poke.address() + i, new HashSet<>());
      }
    }
  }

  /** Does steps, each while threads walk. What a thread ran that it must not; empty: nothing. */
  Optional<String> during(List<Step> steps) {
    Optional<String> wrong = walk();
    for (Step step : steps) {
      if (step instanceof Write write) {
        put(write.address(), write.bytes());
      } else if (step instanceof Evacuate evacuate) {
        Set<Long> moved = new HashSet<>();
        for (long place : places) {
          moved.add(evacuate.mapping().getOrDefault(place, place));
        }
        places.clear();
        places.addAll(moved);
      }
      wrong = wrong.isPresent() ? wrong : walk().map(what -> step + ": " + what);
    }
    return wrong;
  }

  private Optional<String> walk() {
    Set<Long> seen = new HashSet<>();
    while (!seen.containsAll(places)) {
      for (long place : Set.copyOf(places)) {
        if (seen.add(place)) {
          Optional<String> wrong = run(place);
          if (wrong.isPresent()) {
            return wrong;
          }
        }
      }
    }
    return Optional.empty();
  }

  private Optional<String> run(long at) {
    if (!memory.containsKey(at)) {
      places.addAll(starts);
      return Optional.empty();
    }
    if (memory.get(at) == X86Planner.INT3) {
      if (!(traps.get(at) instanceof TrapAction.Redirect redirect)) {
        return Optional.of("a breakpoint at 0x%x that is not ours".formatted(at));
      }
      places.add(redirect.address());
      return Optional.empty();
    }
    CodeBytes bytes = CodeBytes.EMPTY;
    while (bytes.length() < Instruction.MAX_LENGTH && memory.containsKey(at + bytes.length())) {
      bytes = bytes.concat(CodeBytes.of(memory.get(at + bytes.length())));
    }
    CodeRegion region = CodeRegion.of("code", at, bytes);
    long decoded = decoder.decode(region, 0);
    if (!Decoded.isDecoded(decoded)) {
      return Optional.of("no instruction at 0x%x: %s".formatted(at, bytes));
    }
    Instruction instruction = Instruction.of(region, 0, decoded);
    if (whole.containsKey(at) && !whole.get(at).contains(instruction.bytes())) {
      return Optional.of("neither old nor new code at 0x%x: %s".formatted(at, bytes));
    }
    instruction.directTarget().ifPresent(places::add);
    if (instruction.flow() == Flow.RETURN) {
      places.addAll(starts);
    } else if (!instruction.flow().endsFlow()) {
      places.add(instruction.end());
    }
    return Optional.empty();
  }
}
