package io.github.textpoke.x86.detour;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.CodePatch;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.process.TargetClock;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.Companion;
import io.github.textpoke.x86.plan.DisplacingPlan;
import io.github.textpoke.x86.plan.FunctionSource;
import io.github.textpoke.x86.plan.X86Planner;
import java.time.Duration;

/**
 * A detour, before it has a place. Its code is the {@link EntryStub}, the out-of-line copy of what
 * the jump displaces, where that is not the jump of another detour, with those of companions, and
 * its body, if it has one.
 */
final class DetourPatch implements CodePatch {
  private static final int COPY = EntryStub.SIZE;

  private final int pid;
  private final X86Planner planner;
  private final Entry entry;
  private final FunctionSource functions;
  private final Destination destination;

  /** Offset of the body, behind the copies. */
  private final int body;

  /** Where what was there before runs; known when there is a place. */
  private long original;

  private long data;

  private boolean hasCompanions;

  /**
   * @param functions of the process, as they stand now
   */
  DetourPatch(
      int pid, X86Planner planner, Entry entry, FunctionSource functions, Destination destination) {
    this.pid = pid;
    this.planner = planner;
    this.entry = entry;
    this.functions = functions;
    this.destination = destination;
    int copies = DisplacingPlan.room(Entry.JUMP_LENGTH, companions(entry));
    this.body = COPY + copies + ALIGNMENT - 1 & -ALIGNMENT;
  }

  /** How many companions there may be, before it is known what is displaced. */
  private static int companions(Entry entry) {
    if (entry.jump().isPresent()) {
      return 0;
    }
    int displaced = Entry.JUMP_LENGTH - 1 + Instruction.MAX_LENGTH;
    return Math.min(
        Companion.MOST, entry.entrances().functionsLeadingInside(entry.site(), displaced));
  }

  @Override
  public long nearStart() {
    return entry.object().start();
  }

  @Override
  public long nearEnd() {
    return entry.object().end();
  }

  @Override
  public int codeSize() {
    if (destination instanceof Destination.Override override) {
      return body + OverrideBody.roomForCode(override.what());
    }
    if (destination instanceof Destination.Announcing) {
      return body + AnnouncingBody.SIZE;
    }
    return destination instanceof Destination.Holding ? body + HoldingBody.SIZE : body;
  }

  @Override
  public int dataSize() {
    if (destination instanceof Destination.Override override) {
      return OverrideData.size(override.what());
    }
    return destination instanceof Destination.Holding ? HoldingBody.DATA_SIZE : 0;
  }

  @Override
  public Made make(long code, long data) {
    this.data = data;
    CodeBytes copies;
    PatchPlan plan;
    if (entry.jump().isPresent()) {
      copies = CodeBytes.EMPTY;
      // The first detour has proved that nobody enters what its jump stands for.
      Entry.OwnJump jump = entry.jump().get();
      original = jump.target();
      plan = planner.replace(jump.code(), jump.code().address(), Assembly.jmp(code));
    } else {
      DisplacingPlan displacing =
          planner.displace(
              entry.code(), entry.site(), code, code + COPY, entry.entrances(), functions);
      copies = displacing.copies();
      hasCompanions = !displacing.companions().isEmpty();
      original = code + COPY;
      plan = displacing.plan();
    }
    CodeBytes bodyCode = CodeBytes.EMPTY;
    CodeBytes values = CodeBytes.EMPTY;
    long leadsTo;
    if (destination instanceof Destination.Override override) {
      OverrideBody made = OverrideBody.of(override.what(), places(override, code + body, data));
      bodyCode = made.code();
      values = made.data();
      leadsTo = code + body;
    } else if (destination instanceof Destination.Holding holding) {
      bodyCode = HoldingBody.code(code + body, data, original, holding.sleeps());
      values = HoldingBody.data();
      leadsTo = code + body;
    } else if (destination instanceof Destination.Announcing announcing) {
      bodyCode = AnnouncingBody.code(code + body, announcing, original);
      leadsTo = code + body;
    } else if (destination instanceof Destination.Elsewhere elsewhere) {
      leadsTo = elsewhere.address();
    } else {
      leadsTo = original;
    }
    CodeBytes stub = EntryStub.bytes(code, leadsTo);
    CodeBytes all = stub.concat(copies);
    if (bodyCode.length() > 0) {
      all = all.concat(CodeBytes.filled(body - all.length(), X86Planner.INT3)).concat(bodyCode);
    }
    return new Made(plan, bypass(code, stub), all, values);
  }

  @Override
  public boolean hasCompanions() {
    return hasCompanions;
  }

  /** The time of an override begins now. */
  private OverrideBody.Places places(Destination.Override override, long bodyAt, long data) {
    TargetClock clock =
        override.what().duration().isPresent() ? TargetClock.of(pid) : new TargetClock(0, 0);
    long deadline = clock.nanos() + override.what().duration().map(Duration::toNanos).orElse(0L);
    return new OverrideBody.Places(
        entry.code().address(),
        bodyAt,
        data,
        original,
        override.errnoLocation(),
        clock.function(),
        deadline);
  }

  /** A detour to the original is led past by leading to it another way. */
  private PatchPlan bypass(long code, CodeBytes stub) {
    return destination instanceof Destination.Original
        ? EntryStub.farther(planner, code, stub)
        : EntryStub.bypass(planner, code, stub, original);
  }

  /** Where the function runs as it was before; after {@link #make}. */
  long original() {
    return original;
  }

  /** Absolute address of its data, if it has any; after {@link #make}. */
  long data() {
    return data;
  }
}
