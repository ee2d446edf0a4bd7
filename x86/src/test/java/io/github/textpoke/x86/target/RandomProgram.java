package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Binary;
import io.github.textpoke.x86.target.Value.Call;
import io.github.textpoke.x86.target.Value.Constant;
import io.github.textpoke.x86.target.Value.Load;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Product;
import io.github.textpoke.x86.target.Value.Quotient;
import io.github.textpoke.x86.target.Value.Shift;
import io.github.textpoke.x86.target.Value.Signed;
import io.github.textpoke.x86.target.Value.Slot;
import io.github.textpoke.x86.target.Value.SystemCall;
import io.github.textpoke.x86.target.Value.Test;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** A program of all statements and values: emitted, and what it does as a list of lambdas. */
final class RandomProgram {
  /** Here ends what programs may read and write; slots and pointers lie below. */
  static final int END = 0x200;

  private static final int SLOTS_END = 0x40;
  private static final int VARIABLES = 0x80;
  private static final ImmutableList<Long> NUMBERS =
      ImmutableList.of(
          0L,
          1L,
          -1L,
          2L,
          127L,
          128L,
          -128L,
          -129L,
          255L,
          256L,
          0x7fff_ffffL,
          0x8000_0000L,
          -0x8000_0000L,
          0xffff_ffffL,
          0x1_0000_0000L,
          Long.MAX_VALUE,
          Long.MIN_VALUE);

  /** What a program sees while Java runs it. */
  static final class Model {
    final ByteBuffer memory = ByteBuffer.allocate(END).order(ByteOrder.LITTLE_ENDIAN);
    private boolean left;

    Model(long seed) {
      SplittableRandom random = new SplittableRandom(seed);
      for (int at = 0; at < END; at += Long.BYTES) {
        memory.putLong(at, random.nextBoolean() ? random.nextLong() : random.nextLong(-200, 200));
      }
    }

    static long systemCall(long... call) {
      long sum = 0;
      for (int i = 0; i < 3; i++) {
        sum = sum * 31 + call[i];
      }
      return sum;
    }

    private long read(long offset, int width) {
      long value = 0;
      for (int i = 0; i < width; i++) {
        value |= (memory.get((int) offset + i) & 0xffL) << 8 * i;
      }
      return value;
    }

    private void write(long offset, int width, long value) {
      for (int i = 0; i < width; i++) {
        memory.put((int) offset + i, (byte) (value >> 8 * i));
      }
    }

    private long value(Value value) {
      if (value instanceof Constant constant) {
        return constant.value();
      } else if (value instanceof Slot slot) {
        return read(slot.offset(), slot.width());
      } else if (value instanceof Place place) {
        return Interpreter.MEMORY + place.offset();
      } else if (value instanceof Load load) {
        return read(value(load.base()) + load.offset() - Interpreter.MEMORY, load.width());
      } else if (value instanceof Signed signed) {
        return (int) value(signed.value());
      } else if (value instanceof Binary binary) {
        long left = value(binary.left());
        long right = value(binary.right());
        return switch (binary.operation()) {
          case ADD -> left + right;
          case SUB -> left - right;
          case AND -> left & right;
          case OR -> left | right;
          case XOR -> left ^ right;
          case CMP -> throw new IllegalArgumentException("no value");
        };
      } else if (value instanceof Shift shift) {
        long left = value(shift.left());
        return shift.count() < 0 ? left >>> -shift.count() : left << shift.count();
      } else if (value instanceof Product product) {
        return value(product.left()) * product.factor();
      } else if (value instanceof Quotient quotient) {
        long left = value(quotient.left());
        return quotient.remainder()
            ? Long.remainderUnsigned(left, quotient.divisor())
            : Long.divideUnsigned(left, quotient.divisor());
      } else if (value instanceof SystemCall call) {
        return systemCall(
            call.number(), value(call.arguments().get(0)), value(call.arguments().get(1)));
      } else if (value instanceof Call call) {
        long first = value(call.arguments().get(0));
        long second = value(call.arguments().get(1));
        write(0, 8, read(0, 8) + second);
        return first < second ? second - first : first * 3 + second;
      }
      throw new IllegalArgumentException(value.toString());
    }

    private boolean holds(Test test) {
      if (test instanceof Test.Both both) {
        return holds(both.first()) && holds(both.second());
      } else if (test instanceof Test.Either either) {
        return holds(either.first()) || holds(either.second());
      }
      Test.Compare compare = (Test.Compare) test;
      long left = value(compare.left());
      long right = value(compare.right());
      return switch (compare.condition()) {
        case BELOW -> Long.compareUnsigned(left, right) < 0;
        case NOT_BELOW -> Long.compareUnsigned(left, right) >= 0;
        case EQUAL -> left == right;
        case NOT_EQUAL -> left != right;
        case NOT_ABOVE -> Long.compareUnsigned(left, right) <= 0;
        case ABOVE -> Long.compareUnsigned(left, right) > 0;
        case LESS -> left < right;
        case NOT_LESS -> left >= right;
        case NOT_GREATER -> left <= right;
        case GREATER -> left > right;
      };
    }
  }

  /** Leaves the routine. */
  private static final class Given extends RuntimeException {
    private final transient long value;

    private Given(long value) {
      super(null, null, false, false);
      this.value = value;
    }
  }

  private interface Statement {
    void run(Model model);
  }

  private final SplittableRandom random;
  private final Emitter emitter;
  private final Routine mix;
  private final Routine main;
  private final List<Statement> statements;
  private int loops;

  RandomProgram(long seed, Assembler assembler) {
    random = new SplittableRandom(seed);
    emitter = new Emitter(assembler, VARIABLES, END);
    Slot first = emitter.variable();
    Slot second = emitter.variable();
    mix =
        emitter.routine(
            "mix",
            "",
            ImmutableList.of(first, second),
            () -> {
              Slot sum = new Slot(0, 8);
              emitter.set(sum, sum.plus(second));
              emitter.when(first.isLess(second), () -> emitter.give(second.minus(first)));
              emitter.give(first.times(3).plus(second));
            });
    List<Statement> body = new ArrayList<>();
    main = emitter.routine("main", "", ImmutableList.of(), () -> body.addAll(block(12, 0)));
    statements = body;
  }

  Label entry() {
    return main.entry();
  }

  /** Whether only the emitted code uses it: arguments and indices. */
  boolean isPrivate(int offset) {
    return offset >= VARIABLES;
  }

  /** Runs it in Java; what it returns. */
  long run(Model model) {
    try {
      statements.forEach(statement -> statement.run(model));
      return 0;
    } catch (Given given) {
      return given.value;
    }
  }

  private List<Statement> block(int most, int depth) {
    List<Statement> block = new ArrayList<>();
    int count = random.nextInt(1, most + 1);
    for (int i = 0; i < count; i++) {
      block.add(statement(depth));
    }
    return block;
  }

  private static void run(List<Statement> block, Model model) {
    for (Statement statement : block) {
      statement.run(model);
      if (model.left) {
        return;
      }
    }
  }

  private Statement statement(int depth) {
    int kind = random.nextInt(depth < 3 ? 14 : 9);
    switch (kind) {
      case 0, 1, 2, 3 -> {
        Slot slot = slot();
        Value value = value(3);
        emitter.set(slot, value);
        return model -> model.write(slot.offset(), slot.width(), model.value(value));
      }
      case 4 -> {
        Slot slot = slot();
        long number = number();
        emitter.add(slot, number);
        return model -> model.write(slot.offset(), slot.width(), model.value(slot) + number);
      }
      case 5 -> {
        Slot slot = slot();
        Value value = new Binary(operation(), slot, Value.of(number()));
        emitter.set(slot, value);
        return model -> model.write(slot.offset(), slot.width(), model.value(value));
      }
      case 6, 7 -> {
        Value address = pointer();
        int width = width();
        int offset = random.nextInt(0, 8);
        Value value =
            kind == 6
                ? value(2)
                : new Binary(operation(), new Load(address, offset, width), Value.of(number()));
        emitter.store(address, offset, width, value);
        return model -> {
          long written = model.value(value);
          model.write(model.value(address) + offset - Interpreter.MEMORY, width, written);
        };
      }
      case 8 -> {
        if (random.nextInt(4) > 0) {
          Value value = value(3);
          emitter.compute(value);
          return model -> model.value(value);
        }
        if (loops > 0 && random.nextBoolean()) {
          emitter.leave();
          return model -> model.left = true;
        }
        Value value = value(2);
        emitter.give(value);
        return model -> {
          throw new Given(model.value(value));
        };
      }
      case 9, 10, 11 -> {
        Test test = test(2);
        List<Statement> then = new ArrayList<>();
        List<Statement> otherwise = new ArrayList<>();
        if (random.nextBoolean()) {
          emitter.when(test, () -> then.addAll(block(3, depth + 1)));
        } else {
          emitter.when(
              test,
              () -> then.addAll(block(3, depth + 1)),
              () -> otherwise.addAll(block(3, depth + 1)));
        }
        return model -> run(model.holds(test) ? then : otherwise, model);
      }
      default -> {
        Slot index = emitter.variable();
        int count = random.nextInt(4);
        List<Statement> body = new ArrayList<>();
        loops++;
        emitter.times(index, Value.of(count), () -> body.addAll(block(3, depth + 1)));
        loops--;
        return model -> {
          for (int i = 0; i < count && !model.left; i++) {
            run(body, model);
          }
          model.left = false;
        };
      }
    }
  }

  private int width() {
    return 1 << random.nextInt(4);
  }

  private Slot slot() {
    int width = width();
    return new Slot(random.nextInt(SLOTS_END / width) * width, width);
  }

  private long number() {
    return NUMBERS.get(random.nextInt(NUMBERS.size()));
  }

  private Operation operation() {
    return Operation.values()[random.nextInt(Operation.values().length - 1)];
  }

  /** Leads into the first half of the memory, with room for an offset behind it. */
  private Value pointer() {
    return switch (random.nextInt(3)) {
      case 0 -> new Place(random.nextInt(SLOTS_END));
      case 1 -> new Place(random.nextInt(8)).plus(slot().and(0x1f));
      default -> slot().and(7).times(random.nextInt(1, 5)).plus(new Place(random.nextInt(8)));
    };
  }

  private Value value(int depth) {
    switch (random.nextInt(depth == 0 ? 4 : 13)) {
      case 0 -> {
        return Value.of(number());
      }
      case 1, 2 -> {
        return slot();
      }
      case 3 -> {
        return new Place(random.nextInt(END));
      }
      case 4, 5 -> {
        return new Load(pointer(), random.nextInt(8), width());
      }
      case 6 -> {
        return new Signed(value(depth - 1));
      }
      case 7, 8, 9 -> {
        return new Binary(operation(), value(depth - 1), value(depth - 1));
      }
      case 10 -> {
        int count = random.nextInt(1, 64);
        return new Shift(value(depth - 1), random.nextBoolean() ? count : -count);
      }
      case 11 -> {
        return random.nextBoolean()
            ? new Product(value(depth - 1), (int) number())
            : new Quotient(value(depth - 1), random.nextInt(1, 1000), random.nextBoolean());
      }
      default -> {
        return random.nextBoolean()
            ? mix.of(plain(depth - 1), plain(depth - 1))
            : Emitter.call(random.nextInt(500), value(depth - 1), value(depth - 1));
      }
    }
  }

  /** A value for an argument: one that calls nothing, since arguments have one place each. */
  private Value plain(int depth) {
    return depth == 0 || random.nextBoolean() ? slot() : slot().plus(slot());
  }

  private Test test(int depth) {
    return switch (random.nextInt(depth == 0 ? 3 : 5)) {
      case 0 -> value(1).has(number());
      case 1 -> new Test.Compare(value(1), condition(), Value.of(number()));
      case 2 -> new Test.Compare(value(2), condition(), value(2));
      case 3 -> Emitter.both(test(depth - 1), test(depth - 1));
      default -> Emitter.either(test(depth - 1), test(depth - 1));
    };
  }

  private Condition condition() {
    return Condition.values()[random.nextInt(Condition.values().length)];
  }
}
