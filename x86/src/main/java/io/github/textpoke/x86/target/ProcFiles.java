package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Quotient;
import io.github.textpoke.x86.target.Value.Slot;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Paths of /proc, and opening them. */
final class ProcFiles {
  /** Bytes of scratch memory that it takes. */
  static final int SCRATCH_SIZE = 0x80;

  private static final int TEN = 10;

  /** {@code path(pid, tail)}: /proc/PID and behind it up to eight characters. */
  final Routine path;

  /**
   * {@code open(flags)}: opens the path; one without a slash in front, below {@link #directory}.
   */
  final Routine open;

  /** Where paths begin that don't begin with a slash: a descriptor. */
  final Slot directory;

  private final Emitter emitter;
  private final int scratch;
  private final Slot to;
  private final Routine decimal;

  /**
   * @param scratch offset of {@link #SCRATCH_SIZE} bytes of scratch memory
   */
  ProcFiles(Emitter emitter, int scratch) {
    this.emitter = emitter;
    this.scratch = scratch;
    directory = emitter.variable();
    to = emitter.variable();
    Slot process = emitter.variable();
    Slot tail = emitter.variable();
    Slot flags = emitter.variable();
    decimal = decimal(emitter.variable(), emitter.variable(), emitter.variable());
    path =
        emitter.routine(
            "path",
            "/proc/PID and a tail",
            ImmutableList.of(process, tail),
            () -> {
              emitter.set(to, new Place(scratch));
              append("/proc/");
              emitter.run(decimal, process);
              end(tail);
            });
    open =
        emitter.routine(
            "open",
            "open the path",
            ImmutableList.of(flags),
            () ->
                emitter.give(
                    Emitter.call(Sys.OPENAT, directory, new Place(scratch), flags, Value.of(0))));
  }

  /** Writes {@code descriptor(tid, fd)}: /proc/TID/fd/FD. */
  Routine descriptor() {
    Slot owner = emitter.variable();
    Slot number = emitter.variable();
    return emitter.routine(
        "descriptor",
        "/proc/TID/fd/FD",
        ImmutableList.of(owner, number),
        () -> {
          emitter.run(path, owner, word("/fd/"));
          emitter.add(to, "/fd/".length());
          emitter.run(decimal, number);
          end(Value.of(0));
        });
  }

  /** Writes {@code sibling(tid, tail)}: TID and a tail, below the directory. */
  Routine sibling() {
    Slot thread = emitter.variable();
    Slot tail = emitter.variable();
    return emitter.routine(
        "sibling",
        "TID and a tail, below a process's list of threads",
        ImmutableList.of(thread, tail),
        () -> {
          emitter.set(to, new Place(scratch));
          emitter.run(decimal, thread);
          end(tail);
        });
  }

  /** Writes {@code taskPath(tid, tail)}: /proc/TID/task/TID and a tail. */
  Routine taskPath() {
    Slot thread = emitter.variable();
    Slot tail = emitter.variable();
    return emitter.routine(
        "taskPath",
        "/proc/TID/task/TID and a tail: of one thread, however many its process has",
        ImmutableList.of(thread, tail),
        () -> {
          emitter.run(path, thread, word("/task/"));
          emitter.add(to, "/task/".length());
          emitter.run(decimal, thread);
          end(tail);
        });
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

  private void end(Value tail) {
    emitter.store(to, 0, Long.BYTES, tail);
    emitter.store(to, Long.BYTES, 1, Value.of(0));
  }

  private Routine decimal(Slot value, Slot tenth, Slot digit) {
    return emitter.routine(
        "decimal",
        "append a number to the path",
        ImmutableList.of(value),
        () -> {
          emitter.set(digit, new Place(scratch + SCRATCH_SIZE));
          emitter.loop(
              () -> {
                emitter.set(tenth, new Quotient(value, TEN, false));
                emitter.set(digit, digit.minus(1));
                emitter.store(digit, 0, 1, value.minus(tenth.times(TEN)).plus('0'));
                emitter.set(value, tenth);
                emitter.when(value.is(0), emitter::leave);
              });
          emitter.loopWhile(
              digit.isBelow(new Place(scratch + SCRATCH_SIZE)),
              () -> {
                emitter.store(to, 0, 1, digit.byteAt(0));
                emitter.add(digit, 1);
                emitter.add(to, 1);
              });
        });
  }
}
