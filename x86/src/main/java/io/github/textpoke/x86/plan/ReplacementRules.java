package io.github.textpoke.x86.plan;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import java.util.OptionalLong;

/** The rules that new bytes must keep at a site that may be touched. */
final class ReplacementRules {
  private static final int INT3 = 0xcc;

  private final Reading reading;
  private final InstructionDecoder decoder;

  ReplacementRules(Reading reading) {
    this.reading = reading;
    this.decoder = reading.decoder();
  }

  /**
   * The one instruction that {@code bytes} begin with.
   *
   * @param atEntry whether the site is where the function is entered, so that nothing lies in the
   *     red zone
   * @throws PlanRefusedException by rule 1, 2, 4, 9, 11, 12, 15 or 19
   */
  Instruction check(OldCode old, CodeBytes bytes, boolean atEntry) {
    long address = old.site().address();
    CodeRegion region = CodeRegion.of("replacement", address, bytes);
    long decoded = decoder.decode(region, 0);
    if (!Decoded.isDecoded(decoded)) {
      throw Rules.WINDOW.refusal(
          address,
          bytes.hex(),
          "the new bytes are no instruction: " + Decoded.reason(decoded).words(),
          "give the bytes of one instruction");
    }
    Instruction fresh = Instruction.of(region, 0, decoded);
    String text = Reading.text(decoder, region, 0);
    checkOne(fresh, bytes, text);
    checkKind(fresh, text);
    checkHalfDone(old, fresh, text);
    checkRedZone(old, fresh, text, atEntry);
    checkTarget(fresh, bytes.length(), text);
    checkEnd(old, fresh, text);
    if (bytes.equals(old.site().bytes())) {
      throw Rules.SAME_LENGTH.refusal(
          address, text, "the new bytes stand there already", "there is nothing to do");
    }
    return fresh;
  }

  private void checkOne(Instruction fresh, CodeBytes bytes, String text) {
    boolean padded = true;
    for (int i = fresh.length(); i < bytes.length(); i++) {
      padded &= fresh.flow().endsFlow() && bytes.at(i) == INT3;
    }
    if (!padded) {
      throw Rules.INTERIOR.refusal(
          fresh.address(),
          text,
          "behind the first new instruction (%d bytes) a thread could stand when the patch is"
                  .formatted(fresh.length())
              + " undone: "
              + bytes.hex(),
          "give one instruction; put several into code of their own and jmp to it");
    }
  }

  private void checkKind(Instruction fresh, String text) {
    switch (fresh.flow()) {
      case BREAKPOINT ->
          throw Rules.BREAKPOINTS.refusal(
              fresh.address(),
              text,
              "a breakpoint needs somebody who takes its traps",
              "arm the site instead, with a trap action");
      case SYSTEM_CALL, INTERRUPT ->
          throw Rules.SPECIAL.refusal(
              fresh.address(),
              text,
              "a thread that sleeps in this system call when the patch is undone could be sent"
                  + " back to the site, and would run the old bytes with the call's registers",
              "put it into code of its own and call or jmp to that");
      case TRANSACTION ->
          throw Rules.SPECIAL.refusal(
              fresh.address(),
              text,
              "a transaction that one instruction starts is not ended by the code around it",
              "put it into code of its own and jmp to that");
      case FAR ->
          throw Rules.SPECIAL.refusal(
              fresh.address(),
              text,
              "a far branch loads a code segment: what runs next can't be judged",
              "use a near jmp, call or ret");
      case NEXT,
          NOP,
          LANDING_PAD,
          JUMP,
          CONDITIONAL_JUMP,
          COUNTER_JUMP,
          CALL,
          INDIRECT_JUMP,
          INDIRECT_CALL,
          RETURN,
          FAULT -> {}
    }
    if (Decoded.blocksInterrupts(fresh.decoded())) {
      throw Rules.SPECIAL.refusal(
          fresh.address(),
          text,
          "it loads ss and delays traps until the instruction behind it has run",
          "put it into code of its own and jmp to that");
    }
  }

  private void checkHalfDone(OldCode old, Instruction fresh, String text) {
    if (Resumable.is(old.now()) || Resumable.is(fresh)) {
      boolean isOld = Resumable.is(old.now());
      throw Rules.SPECIAL.refusal(
          old.site().address(),
          isOld
              ? Reading.text(
                  decoder, CodeRegion.of("site", old.site().address(), old.site().bytes()), 0)
              : text,
          "the "
              + (isOld ? "old" : "new")
              + " instruction can be interrupted half done: a thread may stand at it with a part"
              + " of its work behind it, and the rest would be lost",
          "use the instruction before or behind it");
    }
  }

  private void checkRedZone(OldCode old, Instruction fresh, String text, boolean atEntry) {
    if (isCall(fresh) && !isCall(old.before()) && !isCall(old.now()) && !atEntry) {
      throw Rules.RED_ZONE.refusal(
          fresh.address(),
          text,
          "no call stood here, so the code around may keep data in the 128 bytes below the stack"
              + " pointer, where the return address would go",
          "use jmp to code that moves the stack pointer by 128 first, or call from the function's"
              + " entry");
    }
  }

  private static boolean isCall(Instruction instruction) {
    return instruction.flow() == Flow.CALL || instruction.flow() == Flow.INDIRECT_CALL;
  }

  /** A function's last jmp, ret, or call of what never returns has nothing behind it. */
  private void checkEnd(OldCode old, Instruction fresh, String text) {
    boolean mayBeLast = old.before().flow().endsFlow() || isCall(old.before());
    boolean goesOn = !fresh.flow().endsFlow() && !isCall(fresh);
    if (mayBeLast && goesOn && !reading.goesOnAt(old.site().end())) {
      throw Rules.ROOM.refusal(
          fresh.address(),
          text,
          "it goes on behind the site, where %s has no code: at 0x%x"
              .formatted(reading.code().name(), old.site().end()),
          "use jmp or ret, or give more code if the function goes on there");
    }
  }

  private void checkTarget(Instruction fresh, int length, String text) {
    OptionalLong target = fresh.directTarget();
    if (target.isEmpty()) {
      return;
    }
    long distance = target.getAsLong() - fresh.address();
    if (distance > 0 && distance < length) {
      throw Rules.INTERIOR.refusal(
          fresh.address(),
          text,
          "it leads to byte %d of its own site".formatted(distance),
          "choose a target outside of the site");
    }
    reading
        .middleOf(target.getAsLong())
        .ifPresent(
            middle -> {
              throw Rules.BOUNDARY.refusal(
                  fresh.address(),
                  text,
                  "it leads into the middle of " + middle,
                  "choose the first byte of an instruction as target");
            });
  }
}
