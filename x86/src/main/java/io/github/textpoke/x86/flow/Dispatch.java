package io.github.textpoke.x86.flow;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.x86.flow.Held.Kind;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Follows the registers through the straight code before an indirect jump, to see whether it jumps
 * through a table, and which, or to a pointer in memory. What it does not know makes it forget all
 * registers, so that it never takes another jump for one through a table. The forms of gcc and
 * clang, at all levels:
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

  /** An operand in memory; the frame and the stack pointer count as values too. */
  private record Memory(
      @Nullable Held base, @Nullable Held index, int scale, int displacement, boolean isWide) {}

  private final FunctionCode function;
  private final Held[] registers = new Held[16];
  private final Map<Memory, Held> memory = new HashMap<>();
  private @Nullable Held compared;
  private int comparedTo;

  private Dispatch(FunctionCode function) {
    this.function = function;
    forget();
  }

  /** Where the indirect jump {@code index} takes its target from; null where that is not seen. */
  static @Nullable Way of(FunctionCode function, int index) {
    Dispatch dispatch = new Dispatch(function);
    for (int i = function.straightStart(index, WINDOW); i < index; i++) {
      dispatch.step(i);
    }
    return dispatch.jump(dispatch.operands(index));
  }

  private @Nullable Way jump(Operands jump) {
    if (jump.opcode() != 0xff || jump.extension() != 4 || jump.narrow()) {
      return null;
    }
    Held value = jump.isMemory() ? absoluteEntry(jump) : registers[jump.rm()];
    if (value == null || value.isPointer) {
      return new Way.Pointer();
    }
    int last = value.index == null ? Held.NO_BOUND : value.index.bound;
    return switch (value.kind) {
      case TARGET -> new Way.Table(value.address, true, false, last);
      case RELATIVE_TARGET -> {
        Held base = value.base;
        yield base != null && base.kind == Kind.ADDRESS
            ? new Way.Table(base.address, true, true, last)
            : new Way.Table(0, false, true, last);
      }
      case OPAQUE, ADDRESS, SCALED, RAW_ENTRY, ENTRY -> null;
    };
  }

  /** The value of {@code table(,index,8)}; null where the operand has another form. */
  private @Nullable Held absoluteEntry(Operands load) {
    return load.base() == -1 && load.index() >= 0 && load.scale() == 8
        ? Held.target(load.displacement(), registers[load.index()])
        : null;
  }

  private Operands operands(int index) {
    return Operands.of(bytes(), function.offset(index));
  }

  private void forget() {
    Arrays.setAll(registers, i -> Held.opaque(Held.NO_BOUND));
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
      case 0x3d -> compare(registers[0], o.narrow() ? Held.NO_BOUND : o.immediate(bytes(), 4));
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
      arithmetic(o.rm(), Held.opaque(value));
    } else {
      arithmetic(o.rm(), opaque());
    }
  }

  private void compare(Held value, int bound) {
    compared = value;
    comparedTo = bound;
  }

  /** Control runs on behind a conditional branch: what that says of the value compared. */
  private void branch(int condition) {
    if (compared == null || comparedTo < 0) {
      return;
    }
    switch (condition) {
      case 7 -> compared.limit(comparedTo); // not above
      case 3 -> compared.limit(comparedTo - 1); // not above or equal
      default -> {}
    }
  }

  private Held lea(Operands o, int index) {
    if (o.base() == Operands.RIP && o.wide()) {
      return Held.address(function.ripTarget(index));
    }
    if (o.base() >= 0 && o.base() < 16 && o.index() < 0 && o.displacement() == 0) {
      return moved(registers[o.base()], o.wide()); // for processors that add faster than they move
    }
    boolean scaled = o.base() == -1 && o.index() >= 0 && o.scale() == 4 && o.displacement() == 0;
    return scaled && o.wide() ? Held.indexed(Kind.SCALED, null, registers[o.index()]) : opaque();
  }

  /** 8b, 63: the register or what is loaded. */
  private Held move(Operands o) {
    if (!o.isMemory()) {
      return moved(registers[o.rm()], o.wide());
    }
    boolean wideLoad = o.wide() && o.opcode() == 0x8b;
    if (wideLoad) {
      Held entry = absoluteEntry(o);
      return entry == null ? loaded(o) : entry;
    }
    if (o.base() >= 0 && o.base() < 16 && o.index() >= 0 && o.displacement() == 0) {
      Held base = registers[o.base()];
      Held index = registers[o.index()];
      if (o.scale() == 4) {
        return Held.indexed(Kind.RAW_ENTRY, base, index);
      }
      if (o.scale() == 1 && base.kind == Kind.SCALED) {
        return Held.indexed(Kind.RAW_ENTRY, index, base.index);
      }
      if (o.scale() == 1 && index.kind == Kind.SCALED) {
        return Held.indexed(Kind.RAW_ENTRY, base, index.index);
      }
    }
    return loaded(o);
  }

  /** Moving 32 bits keeps an index, and cuts an address. */
  private static Held moved(Held value, boolean wide) {
    return wide || value.kind == Kind.OPAQUE || value.kind == Kind.RAW_ENTRY ? value : opaque();
  }

  private Held signExtended(Held value) {
    return switch (value.kind) {
      case RAW_ENTRY -> Held.indexed(Kind.ENTRY, value.base, value.index);
      case OPAQUE -> value;
      case ADDRESS, SCALED, ENTRY, RELATIVE_TARGET, TARGET -> opaque();
    };
  }

  private Held zeroExtended(Operands o, int most) {
    return !o.isMemory() && registers[o.rm()].bound != Held.NO_BOUND
        ? registers[o.rm()]
        : Held.opaque(most);
  }

  private Held sum(Operands o, int one, int other) {
    Held a = registers[one];
    Held b = registers[other];
    if (!o.wide()) {
      return opaque();
    }
    if (a.kind == Kind.ENTRY && isSame(a.base, b)) {
      return Held.indexed(Kind.RELATIVE_TARGET, b, a.index);
    }
    if (b.kind == Kind.ENTRY && isSame(b.base, a)) {
      return Held.indexed(Kind.RELATIVE_TARGET, a, b.index);
    }
    return opaque();
  }

  private static boolean isSame(@Nullable Held one, Held other) {
    return one == other
        || (one != null
            && one.kind == Kind.ADDRESS
            && other.kind == Kind.ADDRESS
            && one.address == other.address);
  }

  private Held loaded(Operands o) {
    boolean isPointer = o.opcode() == 0x8b && o.wide();
    if (o.base() == Operands.RIP || o.narrow() || o.opcode() == 0x80) {
      return isPointer && !o.narrow() ? Held.pointer() : opaque();
    }
    Held base = o.base() < 0 ? null : registers[o.base()];
    Held index = o.index() < 0 ? null : registers[o.index()];
    return memory.computeIfAbsent(
        new Memory(base, index, o.scale(), o.displacement(), o.wide()),
        any -> isPointer ? Held.pointer() : opaque());
  }

  private void arithmetic(int register, Held value) {
    compared = null;
    if (register < 0) {
      store();
    } else {
      set(register, value);
    }
  }

  private void write(Operands o, Held value) {
    if (o.isMemory()) {
      store();
    } else {
      set(o.rm(), value);
    }
  }

  private void set(int register, Held value) {
    registers[register] = value;
  }

  private void store() {
    memory.clear();
  }

  private Held constant(Operands o) {
    return Held.address(o.immediate(bytes(), 4));
  }

  private CodeBytes bytes() {
    return function.code().bytes();
  }

  private static Held opaque() {
    return Held.opaque(Held.NO_BOUND);
  }
}
