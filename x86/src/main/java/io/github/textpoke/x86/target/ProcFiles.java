package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Quotient;
import io.github.textpoke.x86.target.Value.Slot;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Reads what /proc tells of a thread: paths, small files, numbers in them. */
final class ProcFiles {
  /** Bytes of scratch memory that it takes. */
  static final int SCRATCH_SIZE = 0x1080;

  private static final int PATH = 0;
  private static final int DIGITS_END = 0x80;
  private static final int TEXT_AT = 0x80;

  /** The text that was read last. */
  final Place text;

  private static final int TEXT_SIZE = 0x1000;
  private static final int TEN = 10;

  /** {@code path(pid, tail)}: /proc/PID and behind it up to eight characters. */
  final Routine path;

  /** {@code taskPath(tid, tail)}: /proc/TID/task/TID and behind it up to eight characters. */
  final Routine taskPath;

  /** {@code descriptor(tid, fd)}: /proc/TID/fd/FD. */
  final Routine descriptor;

  /** {@code open(flags)}: opens the path. */
  final Routine open;

  /** {@code read()}: reads the path's file into {@link #text}; its length, 0 where it is gone. */
  final Routine read;

  /** {@code number(address)}: the decimal number there; {@link #end} is what stands behind it. */
  final Routine number;

  /** {@code field(n)}: address of the n-th field of a stat file in {@link #text}, from 3. */
  final Routine field;

  /** {@code find(word)}: address behind the first eight bytes like these in {@link #text}, or 0. */
  final Routine find;

  /** Behind the number that was read last. */
  final Slot end;

  private final Emitter emitter;
  private final int scratch;
  private final Slot to;
  private final Slot length;

  /**
   * @param scratch offset of {@link #SCRATCH_SIZE} bytes of scratch memory
   */
  ProcFiles(Emitter emitter, int scratch) {
    this.emitter = emitter;
    this.scratch = scratch;
    text = new Place(scratch + TEXT_AT);
    to = emitter.variable();
    length = emitter.variable();
    end = emitter.variable();
    Slot process = emitter.variable();
    Slot thread = emitter.variable();
    Slot tail = emitter.variable();
    Slot taskTail = emitter.variable();
    Slot flags = emitter.variable();
    Routine decimal = decimal(emitter.variable());
    Slot owner = emitter.variable();
    Slot number = emitter.variable();
    path =
        emitter.routine(
            "path",
            "/proc/PID and a tail",
            ImmutableList.of(process, tail),
            () -> {
              emitter.set(to, new Place(scratch + PATH));
              append("/proc/");
              emitter.run(decimal, process);
              emitter.store(to, 0, Long.BYTES, tail);
              emitter.store(to, Long.BYTES, 1, Value.of(0));
            });
    taskPath =
        emitter.routine(
            "taskPath",
            "/proc/TID/task/TID and a tail: of one thread, however many its process has",
            ImmutableList.of(thread, taskTail),
            () -> {
              emitter.run(path, thread, word("/task/"));
              emitter.add(to, "/task/".length());
              emitter.run(decimal, thread);
              emitter.store(to, 0, Long.BYTES, taskTail);
              emitter.store(to, Long.BYTES, 1, Value.of(0));
            });
    descriptor =
        emitter.routine(
            "descriptor",
            "/proc/TID/fd/FD",
            ImmutableList.of(owner, number),
            () -> {
              emitter.run(path, owner, word("/fd/"));
              emitter.add(to, "/fd/".length());
              emitter.run(decimal, number);
              emitter.store(to, 0, 1, Value.of(0));
            });
    open =
        emitter.routine(
            "open",
            "open the path",
            ImmutableList.of(flags),
            () ->
                emitter.give(
                    Emitter.call(Sys.OPEN, new Place(scratch + PATH), flags, Value.of(0))));
    read = read(emitter.variable());
    this.number = number(emitter.variable(), emitter.variable());
    field = field(emitter.variable(), emitter.variable());
    find = find(emitter.variable(), emitter.variable(), emitter.variable());
  }

  /** Up to eight characters as one number, the first in its lowest byte. */
  static Value word(String text) {
    byte[] bytes = new byte[Long.BYTES];
    byte[] ascii = text.getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(ascii, 0, bytes, 0, ascii.length);
    return Value.of(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong());
  }

  private void append(String text) {
    emitter.store(to, 0, Long.BYTES, word(text));
    emitter.add(to, text.length());
  }

  private Routine decimal(Slot value) {
    Slot digit = emitter.variable();
    return emitter.routine(
        "decimal",
        "append a number to the path",
        ImmutableList.of(value),
        () -> {
          emitter.set(digit, new Place(scratch + DIGITS_END));
          emitter.loop(
              () -> {
                emitter.set(digit, digit.minus(1));
                emitter.store(digit, 0, 1, new Quotient(value, TEN, true).plus('0'));
                emitter.set(value, new Quotient(value, TEN, false));
                emitter.when(value.is(0), emitter::leave);
              });
          emitter.loopWhile(
              digit.isBelow(new Place(scratch + DIGITS_END)),
              () -> {
                emitter.store(to, 0, 1, digit.byteAt(0));
                emitter.add(digit, 1);
                emitter.add(to, 1);
              });
        });
  }

  private Routine read(Slot fd) {
    return emitter.routine(
        "read",
        "read the file of the path",
        ImmutableList.of(),
        () -> {
          emitter.set(length, 0);
          emitter.set(fd, open.of(Value.of(Sys.O_CLOEXEC)));
          emitter.when(
              fd.isGreater(-1),
              () -> {
                emitter.set(length, Emitter.call(Sys.READ, fd, text, Value.of(TEXT_SIZE - 1)));
                emitter.system(Sys.CLOSE, fd);
              });
          emitter.when(length.isLess(0), () -> emitter.set(length, 0));
          emitter.store(text.plus(length), 0, 1, Value.of(0));
          emitter.give(length);
        });
  }

  private Routine number(Slot at, Slot value) {
    return emitter.routine(
        "number",
        "the decimal number at an address",
        ImmutableList.of(at),
        () -> {
          emitter.set(value, 0);
          emitter.set(end, at);
          emitter.loop(
              () -> {
                emitter.when(
                    Emitter.either(
                        end.byteAt(0).isBelow(Value.of('0')), end.byteAt(0).isGreater('9')),
                    () -> emitter.give(value));
                emitter.set(value, value.times(TEN).plus(end.byteAt(0)).minus('0'));
                emitter.add(end, 1);
              });
        });
  }

  private Routine field(Slot n, Slot at) {
    return emitter.routine(
        "field",
        "a field of a stat file; names may hold anything, so from the last parenthesis on",
        ImmutableList.of(n),
        () -> {
          emitter.set(at, text.plus(length));
          emitter.loop(
              () -> {
                emitter.when(at.byteAt(0).is(')'), emitter::leave);
                emitter.when(at.isBelow(text), () -> emitter.give(0));
                emitter.set(at, at.minus(1));
              });
          emitter.set(n, n.minus(2));
          emitter.loopWhile(
              n.isGreater(0),
              () -> {
                emitter.loop(
                    () -> {
                      emitter.when(at.byteAt(0).is(0), () -> emitter.give(0));
                      emitter.add(at, 1);
                      emitter.when(at.byteAt(-1).is(' '), emitter::leave);
                    });
                emitter.set(n, n.minus(1));
              });
          emitter.give(at);
        });
  }

  private Routine find(Slot word, Slot at, Slot last) {
    return emitter.routine(
        "findText",
        "behind eight bytes of the text",
        ImmutableList.of(word),
        () -> {
          emitter.set(at, text);
          emitter.set(last, text.plus(length).minus(Long.BYTES));
          emitter.loopWhile(
              at.isBelow(last),
              () -> {
                emitter.when(at.at(0).is(word), () -> emitter.give(at.plus(Long.BYTES)));
                emitter.add(at, 1);
              });
        });
  }
}
