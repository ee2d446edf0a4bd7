package io.github.textpoke.apply;

import static com.google.common.base.Preconditions.checkState;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.NoRoomException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.PatchException.PoolFullException;
import io.github.textpoke.Site;
import io.github.textpoke.apply.CodePatch.Made;
import io.github.textpoke.ledger.DetourNote;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.ledger.Progress.State;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.NearHole;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Room in the target for code of ours, near the code that leads there. It lies in arenas: a mapping
 * for code, which the target can't write, and behind it one for data, which it can't run.
 *
 * <ol>
 *   <li>Assumes that nobody else patches the target meanwhile.
 *   <li>Whose room is whose is told by the ledger alone: what no record names is free. Code is
 *       written before its record is, and nobody runs it before; so a patcher that is killed leaves
 *       nothing that counts.
 *   <li>What a retired patch has taken is free only when no thread can be in it.
 * </ol>
 */
final class CodeMemory {
  /** The arenas' names. */
  static final String CODE = "textpoke-out-of-line";

  static final String DATA = "textpoke-out-of-line-data";

  /** Bytes of each of an arena's two mappings, unless one patch needs more. */
  private static final long SHORTEST = 1 << 16;

  /** How often a hole that was taken meanwhile is followed by another. */
  private static final int TRIES = 16;

  /** How much longer than before is waited until threads are looked at again. */
  private static final long LOOK_AGAIN_NANOS = 5_000_000;

  private static final int PAGE = 4096;

  private final int pid;
  private final Engines engine;
  private final TargetLedger ledger;
  private final LongConsumer beforeFree;

  /** Whether retired patches were looked at since this handle was made. */
  private boolean isSwept;

  /** Two mappings, one behind the other. */
  private record Arena(Mapping code, Mapping data) {}

  /**
   * A patch in its place.
   *
   * @param note for the ledger
   * @param adopted the retired patch whose code this one runs again; null: none
   */
  record Placed(Made made, DetourNote note, @Nullable LedgerEntry adopted) {}

  /**
   * @param beforeFree is told of each retired patch whose room becomes free, while it still holds
   *     what it held at last
   */
  CodeMemory(int pid, Engines engine, TargetLedger ledger, LongConsumer beforeFree) {
    this.pid = pid;
    this.engine = engine;
    this.ledger = ledger;
    this.beforeFree = beforeFree;
  }

  /**
   * Finds room for a patch, and writes its code there.
   *
   * @throws NoRoomException if there is none in reach
   * @throws PlanRefusedException by rule 10 if a thread may be in the code of a retired patch that
   *     leads inside of the sites
   */
  Placed place(CodePatch patch) {
    Placed placed = find(patch);
    if (patch.hasCompanions()) {
      checkNobodyComesBack(placed.made().plan());
    }
    return placed;
  }

  /**
   * Who is in the copies of a retired patch goes on behind that patch's sites, or where their
   * instructions lead. If the new plan displaces the same together, that is in its copies, or
   * outside. If it displaces more, because one site leads inside of another, it may be inside.
   */
  private void checkNobodyComesBack(PatchPlan plan) {
    ImmutableSet<Site> sites = displaced(plan);
    Optional<LedgerEntry> before = comingBack(sites, ledger.contents().entries());
    for (int i = 0; i < TRIES && before.isPresent(); i++) {
      // No event tells that a thread has left.
      LockSupport.parkNanos(i * LOOK_AGAIN_NANOS);
      before = comingBack(sites, sweep(ledger.contents().entries()));
    }
    if (before.isPresent()) {
      LedgerEntry entry = before.get();
      Site site = displaced(entry.plan()).iterator().next();
      throw new PlanRefusedException(
          10,
          site.address(),
          site.bytes().hex(),
          "a thread may still be in the code of patch %d (%s), which was reverted, and would go on inside of a site"
              .formatted(entry.id(), entry.note().label()),
          "try again when it has left");
    }
  }

  private static Optional<LedgerEntry> comingBack(
      ImmutableSet<Site> sites, ImmutableList<LedgerEntry> entries) {
    return entries.stream()
        .filter(entry -> entry.progress().state() == State.RETIRED)
        .filter(
            entry -> {
              ImmutableSet<Site> others = displaced(entry.plan());
              return !others.equals(sites)
                  && others.stream().anyMatch(other -> sites.stream().anyMatch(other::overlaps));
            })
        .findFirst();
  }

  /** Sites of which several instructions are displaced. */
  private static ImmutableSet<Site> displaced(PatchPlan plan) {
    return plan.pokes().stream()
        .filter(Poke::displaces)
        .map(Poke::site)
        .collect(ImmutableSet.toImmutableSet());
  }

  private Placed find(CodePatch patch) {
    ImmutableList<LedgerEntry> entries = ledger.contents().entries();
    Optional<Placed> again = adopt(patch, entries);
    if (again.isPresent()) {
      return again.get();
    }
    if (!isSwept) {
      isSwept = true;
      entries = sweep(entries);
    }
    List<Extent> taken = taken(entries);
    for (int i = 0; i < TRIES; i++) {
      MemoryMap map = MemoryMap.read(pid);
      for (Arena arena : arenas(map)) {
        Optional<Placed> placed = placeIn(arena, patch, taken);
        if (placed.isPresent()) {
          return placed.get();
        }
      }
      entries = sweep(entries);
      if (taken(entries).size() < taken.size()) {
        taken = taken(entries);
      } else if (patch.pool().isPresent()) {
        throw new PoolFullException(
            patch.nearStart(), patch.codeSize(), patch.dataSize(), patch.pool().get());
      } else {
        map(map, patch.nearStart(), patch.nearEnd(), patch.codeSize(), patch.dataSize());
      }
    }
    throw new NoRoomException(patch.nearStart(), "each hole was taken by the program meanwhile");
  }

  /**
   * Has room for patches, so that placing them maps nothing.
   *
   * @throws NoRoomException if there is none in reach
   */
  void reserve(long nearStart, long nearEnd, long code, long data) {
    List<Extent> taken = taken(ledger.contents().entries());
    for (int i = 0; i < TRIES; i++) {
      MemoryMap map = MemoryMap.read(pid);
      for (Arena arena : arenas(map)) {
        OptionalLong at = room(arena.code, code, taken);
        if (at.isPresent()
            && room(arena.data, data, taken).isPresent()
            && reaches(at.getAsLong(), code, nearStart, nearEnd)) {
          return;
        }
      }
      map(map, nearStart, nearEnd, code, data);
    }
    throw new NoRoomException(nearStart, "each hole was taken by the program meanwhile");
  }

  /**
   * Makes patches for where they would be placed now, one after the other. Their code is written,
   * but no record is: the room is free still. {@link CodePatch#placed} is not told. What needs room
   * that is not free is left out.
   */
  ImmutableList<Placed> makeAhead(List<? extends CodePatch> patches) {
    ImmutableList<Arena> arenas = arenas(MemoryMap.read(pid));
    List<Extent> taken = taken(ledger.contents().entries());
    ImmutableList.Builder<Placed> made = ImmutableList.builder();
    for (CodePatch patch : patches) {
      for (Arena arena : arenas) {
        Optional<ImmutableList<Extent>> memory = memory(arena, patch, taken);
        if (memory.isPresent()) {
          Placed placed = made(patch, memory.get());
          write(placed);
          made.add(placed);
          taken.addAll(memory.get());
          taken.sort(Comparator.comparingLong(Extent::start));
          break;
        }
      }
    }
    return made.build();
  }

  /** The first room of an arena that a patch's code finds, and behind it that of its data. */
  private static Optional<ImmutableList<Extent>> memory(
      Arena arena, CodePatch patch, List<Extent> taken) {
    OptionalLong code = room(arena.code, align(patch.codeSize()), taken);
    if (code.isEmpty() || !reaches(code.getAsLong(), patch)) {
      return Optional.empty();
    }
    Extent ofCode = new Extent(code.getAsLong(), align(patch.codeSize()));
    if (patch.dataSize() == 0) {
      return Optional.of(ImmutableList.of(ofCode));
    }
    OptionalLong data = room(arena.data, align(patch.dataSize()), taken);
    return data.isEmpty()
        ? Optional.empty()
        : Optional.of(
            ImmutableList.of(ofCode, new Extent(data.getAsLong(), align(patch.dataSize()))));
  }

  /**
   * @param own memory, of the code and perhaps of the data
   */
  private static Placed made(CodePatch patch, ImmutableList<Extent> own) {
    Made made = patch.make(own.get(0).start(), data(own));
    checkState(made.code().length() <= patch.codeSize(), "more code than was asked for");
    checkState(made.data().length() <= patch.dataSize(), "more data than was asked for");
    ImmutableList<Extent> memory =
        ImmutableList.<Extent>builder().addAll(own).addAll(patch.callees()).build();
    return new Placed(made, new DetourNote(made.bypass(), memory), null);
  }

  private static long data(ImmutableList<Extent> memory) {
    return memory.size() > 1 ? memory.get(1).start() : 0;
  }

  /**
   * Gives back what retired patches hold and no thread is in.
   *
   * @return what the ledger holds now
   */
  private ImmutableList<LedgerEntry> sweep(ImmutableList<LedgerEntry> entries) {
    ImmutableList<LedgerEntry> retired =
        entries.stream()
            .filter(entry -> entry.progress().state() == State.RETIRED)
            .collect(ImmutableList.toImmutableList());
    if (retired.isEmpty()) {
      return entries;
    }
    ImmutableSet<Extent> unused =
        ImmutableSet.copyOf(engine.unused(ImmutableSet.copyOf(taken(retired)).asList()));
    for (LedgerEntry entry : retired) {
      if (unused.containsAll(entry.note().detour().orElseThrow().memory())) {
        beforeFree.accept(entry.id());
        ledger.ledger().progress(entry, new Progress(State.REVERTED, 0));
      }
    }
    return ledger.contents().entries();
  }

  /**
   * The code of a retired patch is run again, if it is the same to the byte: a thread that is still
   * in it does not mind. Neither does one that still writes to data that is gone on with.
   */
  private Optional<Placed> adopt(CodePatch patch, ImmutableList<LedgerEntry> entries) {
    boolean hasData = patch.dataSize() != 0;
    if (hasData && !patch.keepsData()) {
      return Optional.empty();
    }
    for (LedgerEntry entry : entries) {
      ImmutableList<Extent> memory =
          entry.progress().state() == State.RETIRED
              ? entry.note().detour().orElseThrow().memory()
              : ImmutableList.of();
      int own = hasData ? 2 : 1;
      boolean fits =
          memory.size() == own + patch.callees().size()
              && memory.subList(own, memory.size()).equals(patch.callees())
              && memory.get(0).length() == align(patch.codeSize())
              && (!hasData || memory.get(1).length() == align(patch.dataSize()));
      if (fits && reaches(memory.get(0).start(), patch)) {
        long at = memory.get(0).start();
        long data = hasData ? memory.get(1).start() : 0;
        Made made = patch.make(at, data);
        CodeBytes found = ledger.read(at, made.code().length());
        if (found != null && found.equals(made.code()) && made.plan().equals(entry.plan())) {
          patch.placed(at, data, true);
          return Optional.of(new Placed(made, new DetourNote(made.bypass(), memory), entry));
        }
      }
    }
    return Optional.empty();
  }

  /** What is not free. */
  private static List<Extent> taken(ImmutableList<LedgerEntry> entries) {
    List<Extent> taken = new ArrayList<>();
    for (LedgerEntry entry : entries) {
      entry.note().detour().ifPresent(detour -> taken.addAll(detour.memory()));
    }
    taken.sort(Comparator.comparingLong(Extent::start));
    return taken;
  }

  private static ImmutableList<Arena> arenas(MemoryMap map) {
    ImmutableList.Builder<Arena> arenas = ImmutableList.builder();
    for (Mapping code : map.mappings()) {
      if (code.path().equals("/memfd:" + CODE) && code.executable() && !code.writable()) {
        map.at(code.end())
            .filter(data -> data.path().equals("/memfd:" + DATA) && data.writable())
            .ifPresent(data -> arenas.add(new Arena(code, data)));
      }
    }
    return arenas.build();
  }

  private static long align(long size) {
    return size + CodePatch.ALIGNMENT - 1 & -CodePatch.ALIGNMENT;
  }

  private static boolean reaches(long code, CodePatch patch) {
    return reaches(code, patch.codeSize(), patch.nearStart(), patch.nearEnd());
  }

  private static boolean reaches(long code, long size, long nearStart, long nearEnd) {
    return nearEnd - code <= NearHole.REACH && code + size - nearStart <= NearHole.REACH;
  }

  private Optional<Placed> placeIn(Arena arena, CodePatch patch, List<Extent> taken) {
    Optional<ImmutableList<Extent>> memory = memory(arena, patch, taken);
    if (memory.isEmpty()) {
      return Optional.empty();
    }
    Placed placed = made(patch, memory.get());
    write(placed);
    patch.placed(memory.get().get(0).start(), data(memory.get()), false);
    return Optional.of(placed);
  }

  private void write(Placed placed) {
    ImmutableList<Extent> memory = placed.note().memory();
    if (placed.made().data().length() > 0) {
      engine.fill(memory.get(1).start(), placed.made().data());
    }
    engine.fill(memory.get(0).start(), placed.made().code());
  }

  /** The first room of {@code size} bytes that is not taken. */
  private static OptionalLong room(Mapping in, long size, List<Extent> taken) {
    long at = in.start();
    for (Extent extent : taken) {
      if (extent.start() < in.end() && extent.end() > at) {
        if (extent.start() - at >= size) {
          return OptionalLong.of(at);
        }
        at = extent.end();
      }
    }
    return in.end() - at >= size ? OptionalLong.of(at) : OptionalLong.empty();
  }

  private void map(MemoryMap map, long nearStart, long nearEnd, long codeSize, long dataSize) {
    long code = roundUp(Math.max(SHORTEST, align(codeSize)));
    long data = roundUp(Math.max(SHORTEST, align(dataSize)));
    long at =
        NearHole.find(map, nearStart, nearEnd, code + data)
            .orElseThrow(
                () ->
                    new NoRoomException(
                        nearStart,
                        "no hole of %d bytes is free within 2 GiB".formatted(code + data)));
    int toRead = TargetMappings.PROT_READ;
    if (engine.map(CODE, at, code, toRead | TargetMappings.PROT_EXEC)) {
      // Where this one fails the first is an arena without data, which nobody looks at again.
      engine.map(DATA, at + code, data, toRead | TargetMappings.PROT_WRITE);
    }
  }

  private static long roundUp(long size) {
    return size + PAGE - 1 & -PAGE;
  }
}
