package io.github.textpoke.x86.flow;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Follows the registers through the straight code before an indirect jump, to see whether it jumps
 * through a table, and which. What it does not know makes it forget all registers, so that it never
 * takes another jump for one through a table. The forms of gcc and clang, at all levels:
 *
 * <pre>
 *   cmp $n, i; ja default                       or: and $n, i
 *   lea table(%rip), b                          perhaps long before
 *   movslq (b,i,4), x; add b, x; jmp *x         position-independent; without optimisation
 *                                               lea 0(,i,4), y; mov (y,b), x; cltq
 *   jmp *table(,i,8)                            linked for a fixed address;
 *                                               mov table(,i,8), x; jmp *x without optimisation
 * </pre>
 */
final class Dispatch {
  /** How many instructions may stand between comparison and jump. */
  private static final int WINDOW = 40;

  /** What a register holds. */
  private enum Kind {
    /** Something; two equal values are the same object. */
    OPAQUE,
    /** A constant address. */
    ADDRESS,
    /** An index, times 4. */
    SCALED,
    /** A 32-bit entry of a table, not yet sign-extended. */
    RAW_ENTRY,
    /** A 32-bit entry of a table. */
    ENTRY,
    /** The table's address plus a 32-bit entry of it. */
    RELATIVE_TARGET,
    /** A 64-bit entry of a table at a constant address. */
    TARGET
  }

  /** A value; an index learns its bound from a comparison behind it. */
  private static final class Value {
    private final Kind kind;
    private final long address;
    private final @Nullable Value base;
    private final @Nullable Value index;
    private int bound;

    private Value(Kind kind, long address, @Nullable Value base, @Nullable Value index, int bound) {
      this.kind = kind;
      this.address = address;
      this.base = base;
      this.index = index;
      this.bound = bound;
    }

    static Value opaque(int bound) {
      return new Value(Kind.OPAQUE, 0, null, null, bound);
    }

    static Value address(long address) {
      return new Value(Kind.ADDRESS, address, null, null, NO_BOUND);
    }
  }

  /** An operand in memory; the frame and the stack pointer count as values too. */
  private record Memory(
      @Nullable Value base, @Nullable Value index, int scale, int displacement, boolean isWide) {}

  private static final int NO_BOUND = -1;

  private final FunctionCode function;
  private final Value[] registers = new Value[16];
  private final Map<Memory, Value> memory = new HashMap<>();
  private @Nullable Value compared;
  private int comparedTo;

  private Dispatch(FunctionCode function) {
    this.function = function;
    forget();
  }

  /**
   * A table that a jump goes through.
   *
   * @param address of the table; 0 where it is not known, see {@link #isAddressKnown}
   * @param isAddressKnown whether the straight code before the jump says where the table is
   * @param isRelative entries are 4 bytes, relative to the table; else 8, absolute
   * @param last the last index; -1 where no bound was found
   */
  record Table(long address, boolean isAddressKnown, boolean isRelative, int last) {}

  /** The table that the indirect jump {@code index} goes through; null where it is none. */
  static @Nullable Table of(FunctionCode function, int index) {
    Dispatch dispatch = new Dispatch(function);
    for (int i = function.straightStart(index, WINDOW); i < index; i++) {
      dispatch.step(i);
    }
    return dispatch.jump(dispatch.operands(index));
  }

  private @Nullable Table jump(Operands jump) {
    if (jump.opcode() != 0xff || jump.extension() != 4) {
      return null;
    }
    Value value = jump.isMemory() ? absoluteEntry(jump) : registers[jump.rm()];
    if (value == null) {
      return null;
    }
    int last = value.index == null ? NO_BOUND : value.index.bound;
    return switch (value.kind) {
      case TARGET -> new Table(value.address, true, false, last);
      case RELATIVE_TARGET -> {
        Value base = value.base;
        yield base != null && base.kind == Kind.ADDRESS
            ? new Table(base.address, true, true, last)
            : new Table(0, false, true, last);
      }
      case OPAQUE, ADDRESS, SCALED, RAW_ENTRY, ENTRY -> null;
    };
  }

  /** The value of {@code table(,index,8)}; null where the operand has another form. */
  private @Nullable Value absoluteEntry(Operands load) {
    return load.base() == -1 && load.index() >= 0 && load.scale() == 8
        ? new Value(Kind.TARGET, load.displacement(), null, registers[load.index()], NO_BOUND)
        : null;
  }

  private Operands operands(int index) {
    return Operands.of(bytes(), function.offset(index));
  }

  private void forget() {
    Arrays.setAll(registers, i -> Value.opaque(NO_BOUND));
    memory.clear();
    compared = null;
  }

  private void step(int index) {
    Flow flow = Decoded.flow(function.decoded(index));
    if (flow == Flow.NOP || flow == Flow.LANDING_PAD) {
      return;
    }
    Operands o = operands(index);
    if (o.namesHighByte()) {
      forget();
      return;
    }
    int opcode = o.opcode();
    if (opcode >= 0x70 && opcode < 0x80 || opcode >= 0x180 && opcode < 0x190) {
      branch(opcode & 15);
      return;
    }
    if (opcode >= 0xb8 && opcode < 0xc0) {
      set(o.reg(), o.wide() || o.narrow() ? opaque() : constant(o));
      return;
    }
    if (opcode >= 0x50 && opcode < 0x58) {
      store();
      return;
    }
    if (opcode >= 0x58 && opcode < 0x60) {
      set(o.reg(), opaque());
      return;
    }
    switch (opcode) {
      case 0x8d -> set(o.reg(), lea(o, index));
      case 0x8b -> set(o.reg(), o.narrow() ? opaque() : move(o));
      case 0x63 -> set(o.reg(), o.wide() ? signExtended(move(o)) : opaque());
      case 0x98 -> set(0, o.wide() ? signExtended(registers[0]) : opaque());
      case 0x1b6 -> set(o.reg(), zeroExtended(o, 0xff));
      case 0x1b7 -> set(o.reg(), zeroExtended(o, 0xffff));
      case 0x88 -> write(o, opaque());
      case 0x89 -> write(o, o.narrow() ? opaque() : registers[o.reg()]);
      case 0xc7 -> write(o, o.isMemory() || o.narrow() ? opaque() : constant(o));
      case 0x01 -> arithmetic(o.rm(), o.isMemory() ? opaque() : sum(o, o.rm(), o.reg()));
      case 0x03 -> arithmetic(o.reg(), o.isMemory() ? opaque() : sum(o, o.reg(), o.rm()));
      case 0x29, 0x31 -> arithmetic(o.rm(), opaque());
      case 0x2b, 0x33 -> arithmetic(o.reg(), opaque());
      case 0x80, 0x83 -> immediate(o, 1);
      case 0x81 -> immediate(o, 4);
      case 0x3c -> compare(registers[0], function.code().bytes().at(o.end()));
      case 0x3d -> compare(registers[0], o.narrow() ? NO_BOUND : o.immediate(bytes(), 4));
      case 0x38, 0x39, 0x3a, 0x3b, 0x84, 0x85 -> compared = null;
      default -> forget();
    }
  }

  /** 80, 81, 83: add, or, adc, sbb, and, sub, xor, cmp with an immediate operand. */
  private void immediate(Operands o, int width) {
    if (o.narrow()) {
      forget(); // the immediate may have two bytes
      return;
    }
    int value = o.immediate(bytes(), width);
    if (o.extension() == 7) {
      compare(o.isMemory() ? loaded(o) : registers[o.rm()], value);
    } else if (o.extension() == 4 && value >= 0 && o.opcode() != 0x80) {
      arithmetic(o.rm(), Value.opaque(value));
    } else {
      arithmetic(o.rm(), opaque());
    }
  }

  private void compare(Value value, int bound) {
    compared = value;
    comparedTo = bound;
  }

  /** Control runs on behind a conditional branch: what that says of the value compared. */
  private void branch(int condition) {
    if (compared == null || comparedTo < 0) {
      return;
    }
    switch (condition) {
      case 7 -> bound(compared, comparedTo); // not above
      case 3 -> bound(compared, comparedTo - 1); // not above or equal
      default -> {}
    }
  }

  private static void bound(Value value, int bound) {
    if (bound >= 0 && (value.bound == NO_BOUND || bound < value.bound)) {
      value.bound = bound;
    }
  }

  private Value lea(Operands o, int index) {
    if (o.base() == Operands.RIP && o.wide()) {
      return Value.address(function.ripTarget(index));
    }
    if (o.base() >= 0 && o.base() < 16 && o.index() < 0 && o.displacement() == 0) {
      return moved(registers[o.base()], o.wide()); // for processors that add faster than they move
    }
    boolean scaled = o.base() == -1 && o.index() >= 0 && o.scale() == 4 && o.displacement() == 0;
    return scaled && o.wide()
        ? new Value(Kind.SCALED, 0, null, registers[o.index()], NO_BOUND)
        : opaque();
  }

  /** 8b, 63: the register or what is loaded. */
  private Value move(Operands o) {
    if (!o.isMemory()) {
      return moved(registers[o.rm()], o.wide());
    }
    boolean wideLoad = o.wide() && o.opcode() == 0x8b;
    if (wideLoad) {
      Value entry = absoluteEntry(o);
      return entry == null ? loaded(o) : entry;
    }
    if (o.base() >= 0 && o.base() < 16 && o.index() >= 0 && o.displacement() == 0) {
      Value base = registers[o.base()];
      Value index = registers[o.index()];
      if (o.scale() == 4) {
        return new Value(Kind.RAW_ENTRY, 0, base, index, NO_BOUND);
      }
      if (o.scale() == 1 && base.kind == Kind.SCALED) {
        return new Value(Kind.RAW_ENTRY, 0, index, base.index, NO_BOUND);
      }
      if (o.scale() == 1 && index.kind == Kind.SCALED) {
        return new Value(Kind.RAW_ENTRY, 0, base, index.index, NO_BOUND);
      }
    }
    return loaded(o);
  }

  /** Moving 32 bits keeps an index, and cuts an address. */
  private static Value moved(Value value, boolean wide) {
    return wide || value.kind == Kind.OPAQUE || value.kind == Kind.RAW_ENTRY ? value : opaque();
  }

  private Value signExtended(Value value) {
    return switch (value.kind) {
      case RAW_ENTRY -> new Value(Kind.ENTRY, 0, value.base, value.index, NO_BOUND);
      case OPAQUE -> value;
      case ADDRESS, SCALED, ENTRY, RELATIVE_TARGET, TARGET -> opaque();
    };
  }

  private Value zeroExtended(Operands o, int most) {
    return !o.isMemory() && registers[o.rm()].bound != NO_BOUND
        ? registers[o.rm()]
        : Value.opaque(most);
  }

  private Value sum(Operands o, int one, int other) {
    Value a = registers[one];
    Value b = registers[other];
    if (!o.wide()) {
      return opaque();
    }
    if (a.kind == Kind.ENTRY && isSame(a.base, b)) {
      return new Value(Kind.RELATIVE_TARGET, 0, b, a.index, NO_BOUND);
    }
    if (b.kind == Kind.ENTRY && isSame(b.base, a)) {
      return new Value(Kind.RELATIVE_TARGET, 0, a, b.index, NO_BOUND);
    }
    return opaque();
  }

  private static boolean isSame(@Nullable Value one, Value other) {
    return one == other
        || (one != null
            && one.kind == Kind.ADDRESS
            && other.kind == Kind.ADDRESS
            && one.address == other.address);
  }

  private Value loaded(Operands o) {
    if (o.base() == Operands.RIP || o.narrow() || o.opcode() == 0x80) {
      return opaque();
    }
    Value base = o.base() < 0 ? null : registers[o.base()];
    Value index = o.index() < 0 ? null : registers[o.index()];
    return memory.computeIfAbsent(
        new Memory(base, index, o.scale(), o.displacement(), o.wide()), any -> opaque());
  }

  private void arithmetic(int register, Value value) {
    compared = null;
    if (register < 0) {
      store();
    } else {
      set(register, value);
    }
  }

  private void write(Operands o, Value value) {
    if (o.isMemory()) {
      store();
    } else {
      set(o.rm(), value);
    }
  }

  private void set(int register, Value value) {
    registers[register] = value;
  }

  private void store() {
    memory.clear();
  }

  private Value constant(Operands o) {
    return Value.address(o.immediate(bytes(), 4));
  }

  private CodeBytes bytes() {
    return function.code().bytes();
  }

  private static Value opaque() {
    return Value.opaque(NO_BOUND);
  }
}
