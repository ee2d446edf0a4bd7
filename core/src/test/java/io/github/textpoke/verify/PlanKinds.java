package io.github.textpoke.verify;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.Write;
import io.github.textpoke.plan.TrapAction;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Plans of every kind, and how to bend them. */
public final class PlanKinds {
  public static final int INT3 = 0xcc;
  static final TrapAction REWIND = new TrapAction.Rewind();
  static final long COPY = 0x7000_0000;
  static final TrapAction REDIRECT = new TrapAction.Redirect(COPY);
  static final TrapAction PASS_ON = new TrapAction.PassOn();

  private PlanKinds() {}

  /** A plan and the kind of it. */
  public record Kind(String name, PatchPlan plan) {
    @Override
    public String toString() {
      return name + " of " + plan.pokes().get(0).length() + " bytes";
    }
  }

  /** Every kind of plan whose sites have {@code length} bytes, at {@code address}. */
  public static ImmutableList<Kind> all(long address, int length) {
    ImmutableList.Builder<Kind> kinds = ImmutableList.builder();
    Poke replacing = replacing(address, length, length, length, REWIND);
    Poke arming = arming(address, length, PASS_ON);
    kinds.add(
        kind("replacement", replacing),
        kind("replacement that redirects", replacing(address, length, length, length, REDIRECT)),
        kind("new code with padding", replacing(address, length, length, half(length), REWIND)),
        kind("old code with padding", replacing(address, length, half(length), length, REWIND)),
        kind("the first byte alone", firstByteAlone(address, length)),
        kind("no change", poke(address, code(length, 0x10), code(length, 0x10), REWIND)),
        kind("arming", arming),
        kind("arming that redirects", arming(address, length, REDIRECT)),
        kind("batch of neighbours", replacing, replacing(address + length, 1, 1, 1, REDIRECT)),
        kind(
            "batch of all",
            replacing,
            arming(address + 0x1000, length, PASS_ON),
            arming(address + 0x2000, length, PASS_ON).inverse(),
            firstByteAlone(address + 0x3000, length),
            replacing(address + 0x4000, length, length, half(length), REDIRECT)));
    if (length > 1) {
      addDisplacing(kinds, address, length);
    }
    ImmutableList<Kind> there = kinds.build();
    return Stream.concat(
            there.stream(),
            there.stream().map(kind -> new Kind("inverse of " + kind.name, kind.plan.inverse())))
        .collect(ImmutableList.toImmutableList());
  }

  private static void addDisplacing(ImmutableList.Builder<Kind> kinds, long address, int length) {
    Poke inTwo = displacing(address, length, length, REDIRECT, half(length));
    kinds.add(
        kind("two displaced", inTwo),
        kind("two displaced by a shorter one", displacing(address, length, 1, REWIND, 1)),
        kind("as many displaced as there are bytes", allDisplaced(address, length)),
        kind("batch of displaced ones", inTwo, allDisplaced(address + length, length)),
        kind(
            "batch of both",
            inTwo,
            replacing(address + length, length, length, length, REWIND),
            allDisplaced(address + 0x1000, length).inverse()));
    if (length > 2) {
      kinds.add(
          kind(
              "two displaced, and padding behind them",
              Poke.displacing(
                  new Site(address, code(length, 0x10)),
                  length - 1,
                  List.of(boundary(1)),
                  code(length, 0x80),
                  half(length),
                  REDIRECT)));
    }
  }

  static Poke allDisplaced(long address, int length) {
    return displacing(address, length, length, REDIRECT, IntStream.range(1, length).toArray());
  }

  /** Several instructions that begin at {@code offsets} for one, each byte of them another. */
  static Poke displacing(
      long address, int length, int newLength, TrapAction action, int... offsets) {
    return Poke.displacing(
        new Site(address, code(length, 0x10)),
        length,
        Arrays.stream(offsets).mapToObj(PlanKinds::boundary).toList(),
        code(length, 0x80),
        newLength,
        action);
  }

  static Boundary boundary(int offset) {
    return Boundary.copiedTo(offset, COPY + offset);
  }

  /** One instruction for one, each byte of it another. */
  static Poke replacing(long address, int length, int oldLength, int newLength, TrapAction action) {
    return new Poke(
        new Site(address, code(length, 0x10)), oldLength, code(length, 0x80), newLength, action);
  }

  private static Poke firstByteAlone(long address, int length) {
    return poke(
        address, code(length, 0x10), code(length, 0x10).with(0, CodeBytes.of(0x80)), REWIND);
  }

  static Poke arming(long address, int length, TrapAction action) {
    CodeBytes old = code(length, 0x10);
    return new Poke(new Site(address, old), length, old.with(0, CodeBytes.of(INT3)), 1, action);
  }

  static Poke poke(long address, CodeBytes old, CodeBytes replacement, TrapAction action) {
    return new Poke(
        new Site(address, old), old.length(), replacement, replacement.length(), action);
  }

  private static Kind kind(String name, Poke... pokes) {
    return new Kind(name, PatchPlan.of(INT3, List.of(pokes)));
  }

  private static CodeBytes code(int length, int first) {
    int[] bytes = new int[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = first + i;
    }
    return CodeBytes.of(bytes);
  }

  private static int half(int length) {
    return (length + 1) / 2;
  }

  /** The same pokes by other steps, whose expected bytes are made to fit. */
  static PatchPlan bent(PatchPlan plan, List<Step> steps) {
    Map<Long, Integer> memory = new HashMap<>();
    for (Poke poke : plan.pokes()) {
      for (int i = 0; i < poke.length(); i++) {
        memory.put(poke.address() + i, poke.site().bytes().at(i));
      }
    }
    List<Step> fitted = new ArrayList<>();
    for (Step step : steps) {
      if (step instanceof Write write) {
        int[] expected = new int[write.bytes().length()];
        for (int i = 0; i < expected.length; i++) {
          expected[i] = memory.put(write.address() + i, write.bytes().at(i));
        }
        fitted.add(new Write(write.address(), CodeBytes.of(expected), write.bytes(), write.why()));
      } else {
        fitted.add(step);
      }
    }
    return new PatchPlan(plan.trapByte(), plan.pokes(), ImmutableList.copyOf(fitted));
  }

  /** The same plan without one step. */
  static PatchPlan without(PatchPlan plan, int index) {
    List<Step> steps = new ArrayList<>(plan.steps());
    steps.remove(index);
    return bent(plan, steps);
  }
}
