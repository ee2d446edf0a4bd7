package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.util.List;

/** The site of the {@code displaced} program: a jump over its four first instructions. */
final class DisplacedSite {
  private static final int JUMP = 5;

  /** Of the function in bytes; behind it are breakpoints that nobody reaches. */
  private static final int LENGTH = 9;

  /** A site of so many bytes is too long for the poker. */
  private static final int LONG = 16;

  /** Bytes between the copies. */
  private static final int ROOM = 64;

  private final int pid;
  private final long site;
  private final long repl;
  private final OutOfLineCopy copy;

  /** Of the whole function. */
  private final OutOfLineCopy longCopy;

  private DisplacedSite(int pid, long site, long repl, OutOfLineCopy copy, OutOfLineCopy longCopy) {
    this.pid = pid;
    this.site = site;
    this.repl = repl;
    this.copy = copy;
    this.longCopy = longCopy;
  }

  /** Writes the out-of-line copy into the program, where no thread runs yet. */
  static DisplacedSite prepare(Fixture fixture) {
    return prepare(
        fixture.pid(), fixture.address("site"), fixture.address("repl"), fixture.address("copy"));
  }

  /**
   * As above, for who has no {@link Fixture}.
   *
   * @param pid the program
   * @param site absolute address
   * @param repl absolute address of the replacement
   * @param room absolute address for the copy
   */
  static DisplacedSite prepare(int pid, long site, long repl, long room) {
    CodeBytes code;
    try (ProcMemReader reader = new ProcMemReader(pid)) {
      code = reader.read(site, LENGTH);
    }
    CodeRegion region = CodeRegion.of("site", site, code);
    OutOfLineCopy copy = OutOfLineCopy.of(X86Planner.create().decoder(), region, site, JUMP, room);
    OutOfLineCopy longCopy =
        OutOfLineCopy.of(X86Planner.create().decoder(), region, site, LENGTH, room + ROOM);
    int[] error = new int[1];
    ProcMem opened = ProcMem.open(pid, error);
    assertThat(opened).as("errno %s", error[0]).isNotNull();
    try (ProcMem memory = opened) {
      for (OutOfLineCopy one : List.of(copy, longCopy)) {
        assertThat(memory.write(one.address(), one.bytes())).isEqualTo(one.bytes().length());
      }
    }
    return new DisplacedSite(pid, site, repl, copy, longCopy);
  }

  /** The jump to the replacement; who meets the first breakpoint goes on in the copy. */
  PatchPlan plan() {
    return plan(new TrapAction.Redirect(copy.address()));
  }

  PatchPlan plan(TrapAction first) {
    assertThat(boundaries(copy)).extracting(Boundary::offset).containsExactly(1, 3, 4);
    return plan(copy, copy.displacedLength(), first);
  }

  /** The jump over the whole function, and padding behind it. */
  PatchPlan longPlan() {
    return plan(longCopy, LONG, new TrapAction.Redirect(longCopy.address()));
  }

  private PatchPlan plan(OutOfLineCopy displaced, int length, TrapAction first) {
    CodeBytes old = displaced.displaced().bytes();
    CodeBytes jump = Assembly.jmp(repl).at(site, JUMP);
    return PatchPlan.of(
        X86Planner.INT3,
        ImmutableList.of(
            Poke.displacing(
                new Site(
                    site, old.concat(CodeBytes.filled(length - old.length(), X86Planner.INT3))),
                old.length(),
                boundaries(displaced),
                jump.concat(CodeBytes.filled(length - JUMP, X86Planner.INT3)),
                JUMP,
                first)));
  }

  private ImmutableList<Boundary> boundaries(OutOfLineCopy displaced) {
    return displaced.boundaries().entrySet().stream()
        .filter(boundary -> boundary.getKey() != site)
        .map(boundary -> Boundary.copiedTo((int) (boundary.getKey() - site), boundary.getValue()))
        .collect(ImmutableList.toImmutableList());
  }

  /** The last of the four with the other result: one instruction for one. */
  PatchPlan oneForOne() {
    CodeBytes lea = CodeBytes.ofHex("48 8d 42 01");
    return PatchPlan.of(
        X86Planner.INT3,
        ImmutableList.of(
            new Poke(
                new Site(site + 4, lea),
                4,
                CodeBytes.ofHex("48 8d 42 02"),
                4,
                new TrapAction.Rewind())));
  }

  /** Whether an absolute address is that of a boundary inside, not the first. */
  boolean isInside(long address) {
    return address != site && copy.boundaries().containsKey(address);
  }

  boolean isInCopy(long address) {
    return copy.stretchAt(address).isPresent();
  }

  CodeBytes bytesNow() {
    try (ProcMemReader reader = new ProcMemReader(pid)) {
      return reader.read(site, copy.displacedLength());
    }
  }

  CodeBytes oldBytes() {
    return copy.displaced().bytes();
  }
}
