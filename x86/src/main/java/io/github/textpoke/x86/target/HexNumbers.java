package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Slot;

/** Hexadecimal numbers, in lower case, as files of /proc have them. */
final class HexNumbers {
  private static final int TEN = 10;
  private static final int MOST_DIGIT = 15;
  private static final int DIGIT_BITS = 4;

  /** {@code read(address)}: the number there; {@link #end} is behind it. */
  final Routine read;

  /** See {@link #read}. */
  final Slot end;

  /** {@code last(end)}: address of the last number of the text before an end that has 0x. */
  final Routine last;

  private final Emitter emitter;
  private final ThreadFiles files;

  HexNumbers(Emitter emitter, ThreadFiles files) {
    this.emitter = emitter;
    this.files = files;
    end = emitter.variable();
    read = read(emitter.variable(), emitter.variable(), emitter.variable());
    last = last(emitter.variable());
  }

  private Routine read(Slot from, Slot value, Slot digit) {
    return emitter.routine(
        "hex",
        "the hexadecimal number at an address",
        ImmutableList.of(from),
        () -> {
          emitter.set(value, 0);
          emitter.set(end, from);
          emitter.loop(
              () -> {
                emitter.set(digit, end.byteAt(0).minus('0'));
                emitter.when(
                    Emitter.either(digit.isLess(0), digit.isGreater(TEN - 1)),
                    () -> {
                      emitter.set(digit, end.byteAt(0).minus('a' - TEN));
                      emitter.when(
                          Emitter.either(digit.isLess(TEN), digit.isGreater(MOST_DIGIT)),
                          () -> emitter.give(value));
                    });
                emitter.set(value, value.shiftedLeft(DIGIT_BITS).plus(digit));
                emitter.add(end, 1);
              });
        });
  }

  private Routine last(Slot before) {
    return emitter.routine(
        "lastHex",
        "the last number of the text before an end that begins with 0x",
        ImmutableList.of(before),
        () -> {
          emitter.loopWhile(
              files.text.isBelow(before),
              () -> {
                emitter.set(before, before.minus(1));
                emitter.when(before.byteAt(0).is('x'), () -> emitter.give(before.plus(1)));
              });
          emitter.give(before);
        });
  }
}
