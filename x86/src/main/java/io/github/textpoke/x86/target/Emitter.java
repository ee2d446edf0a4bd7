package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSortedSet;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;
import io.github.textpoke.x86.target.Value.Binary;
import io.github.textpoke.x86.target.Value.Call;
import io.github.textpoke.x86.target.Value.Constant;
import io.github.textpoke.x86.target.Value.Entry;
import io.github.textpoke.x86.target.Value.Load;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Product;
import io.github.textpoke.x86.target.Value.Quotient;
import io.github.textpoke.x86.target.Value.Shift;
import io.github.textpoke.x86.target.Value.Signed;
import io.github.textpoke.x86.target.Value.Slot;
import io.github.textpoke.x86.target.Value.SystemCall;
import io.github.textpoke.x86.target.Value.Test;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * A small structured language, written in Java and compiled to machine code as it is written:
 * routines, variables, {@code when}, {@code loop}, system calls. Plain on purpose: a value is
 * computed into RAX, every variable lies in the session's memory, to whose start RBX points, and
 * nothing is optimised; the time goes to the kernel anyway. Routines do not call themselves, since
 * their variables have one place each. Mutable, of one thread.
 */
final class Emitter {
  /** Points to the session's memory, always. */
  static final Register BASE = Register.RBX;

  private static final ImmutableList<Register> SYSTEM_CALL_ARGUMENTS =
      ImmutableList.of(
          Register.RDI, Register.RSI, Register.RDX, Register.R10, Register.R8, Register.R9);

  private final Assembler assembler;
  private final int lastSlot;
  private int nextSlot;
  private final Deque<Label> ends = new ArrayDeque<>();
  private final Set<Integer> systemCalls = new TreeSet<>();

  /** A piece of code that is called by name. */
  static final class Routine {
    private final String name;
    private final ImmutableList<Slot> parameters;
    private final Label entry = new Label();

    private Routine(String name, ImmutableList<Slot> parameters) {
      this.name = name;
      this.parameters = parameters;
    }

    /** Where it begins. */
    Label entry() {
      return entry;
    }

    /** What it returns for these arguments. */
    Value of(Value... arguments) {
      if (arguments.length != parameters.size()) {
        throw new IllegalArgumentException(name + " takes " + parameters.size() + " arguments");
      }
      return new Call(this, ImmutableList.copyOf(arguments));
    }
  }

  /**
   * @param firstSlot offset of the first variable in the session's memory
   * @param lastSlot offset behind the last one
   */
  Emitter(Assembler assembler, int firstSlot, int lastSlot) {
    this.assembler = assembler;
    this.nextSlot = firstSlot;
    this.lastSlot = lastSlot;
  }

  /** A new variable. */
  Slot variable() {
    if (nextSlot + Long.BYTES > lastSlot) {
      throw new IllegalStateException("no room for another variable");
    }
    Slot slot = new Slot(nextSlot, Long.BYTES);
    nextSlot += Long.BYTES;
    return slot;
  }

  /** The numbers of the system calls that were written. */
  ImmutableSortedSet<Integer> systemCalls() {
    return ImmutableSortedSet.copyOf(systemCalls);
  }

  // ---------------------------------------------------------------- routines

  /** A routine that is written later. */
  Routine declare(String name, Slot... parameters) {
    return new Routine(name, ImmutableList.copyOf(parameters));
  }

  /** Writes a routine. It returns 0 where it ends without {@link #give}. */
  void define(Routine routine, String what, Runnable body) {
    assembler.note(routine.name + ": " + what);
    assembler.place(routine.entry);
    body.run();
    assembler.move(Register.RAX, 0);
    assembler.ret();
  }

  /** Declares and writes a routine. */
  Routine routine(String name, String what, ImmutableList<Slot> parameters, Runnable body) {
    Routine routine = new Routine(name, parameters);
    define(routine, what, body);
    return routine;
  }

  /** Calls a routine. */
  void run(Routine routine, Value... arguments) {
    compute(routine.of(arguments));
  }

  /** Returns a value. */
  void give(Value value) {
    compute(value);
    assembler.ret();
  }

  /** Returns a number. */
  void give(long value) {
    give(Value.of(value));
  }

  // ---------------------------------------------------------------- statements

  /** A line for who reads the listing. */
  void note(String text) {
    assembler.note("  " + text);
  }

  /** {@code to = value}. */
  void set(Slot to, Value value) {
    compute(value);
    assembler.store(BASE, to.offset(), Register.RAX, to.width());
  }

  /** {@code to = value}. */
  void set(Slot to, long value) {
    set(to, Value.of(value));
  }

  /** {@code to = to + value}. */
  void add(Slot to, long value) {
    set(to, to.plus(value));
  }

  /**
   * Writes to memory: {@code [address + offset] = value}.
   *
   * @param width in bytes: 1, 2, 4 or 8
   */
  void store(Value address, int offset, int width, Value value) {
    if (isSimple(value)) {
      compute(address);
      into(Register.RCX, value);
    } else {
      compute(value);
      assembler.push(Register.RAX);
      compute(address);
      assembler.pop(Register.RCX);
    }
    assembler.store(Register.RAX, offset, Register.RCX, width);
  }

  /** Calls the kernel. */
  void system(int number, Value... arguments) {
    compute(call(number, arguments));
  }

  /** What the kernel answers. */
  static Value call(int number, Value... arguments) {
    return new SystemCall(number, ImmutableList.copyOf(arguments));
  }

  /** Does {@code then} where {@code test} holds. */
  void when(Test test, Runnable then) {
    when(test, then, null);
  }

  /** Does {@code then} where {@code test} holds, else {@code otherwise}. */
  void when(Test test, Runnable then, @Nullable Runnable otherwise) {
    Label not = new Label();
    branchUnless(test, not);
    then.run();
    if (otherwise == null) {
      assembler.place(not);
      return;
    }
    Label end = new Label();
    assembler.jump(end);
    assembler.place(not);
    otherwise.run();
    assembler.place(end);
  }

  /** Does {@code body} again and again, until {@link #leave} or {@link #give}. */
  void loop(Runnable body) {
    Label start = new Label();
    Label end = new Label();
    assembler.place(start);
    ends.push(end);
    body.run();
    ends.pop();
    assembler.jump(start);
    assembler.place(end);
  }

  /** Does {@code body} while {@code test} holds. */
  void loopWhile(Test test, Runnable body) {
    loop(
        () -> {
          branchUnless(test, ends.element());
          body.run();
        });
  }

  /** Leaves the innermost loop. */
  void leave() {
    assembler.jump(ends.element());
  }

  /** {@code for (index = 0; index < count; index++) body}. */
  void times(Slot index, Value count, Runnable body) {
    set(index, 0);
    loopWhile(
        index.isLess(count),
        () -> {
          body.run();
          add(index, 1);
        });
  }

  // ---------------------------------------------------------------- tests

  private void branchUnless(Test test, Label target) {
    if (test instanceof Test.Compare compare) {
      compare(compare);
      assembler.jump(compare.condition().opposite(), target);
    } else if (test instanceof Test.Both both) {
      branchUnless(both.first(), target);
      branchUnless(both.second(), target);
    } else if (test instanceof Test.Either either) {
      Label holds = new Label();
      branchIf(either.first(), holds);
      branchUnless(either.second(), target);
      assembler.place(holds);
    }
  }

  private void branchIf(Test test, Label target) {
    if (test instanceof Test.Compare compare) {
      compare(compare);
      assembler.jump(compare.condition(), target);
    } else {
      Label not = new Label();
      branchUnless(test, not);
      assembler.jump(target);
      assembler.place(not);
    }
  }

  private void compare(Test.Compare compare) {
    compute(new Binary(Operation.CMP, compare.left(), compare.right()));
  }

  /** Both hold. */
  static Test both(Test first, Test second) {
    return new Test.Both(first, second);
  }

  /** One of both holds. */
  static Test either(Test first, Test second) {
    return new Test.Either(first, second);
  }

  // ---------------------------------------------------------------- values

  /** Computes a value into RAX. */
  void compute(Value value) {
    if (isSimple(value)) {
      into(Register.RAX, value);
    } else if (value instanceof Load load) {
      compute(load.base());
      assembler.load(Register.RAX, Register.RAX, load.offset(), load.width());
    } else if (value instanceof Signed signed) {
      compute(signed.value());
      assembler.signExtend();
    } else if (value instanceof Binary binary) {
      binary(binary);
    } else if (value instanceof Shift shift) {
      compute(shift.left());
      if (shift.count() < 0) {
        assembler.shiftRight(Register.RAX, -shift.count());
      } else {
        assembler.shiftLeft(Register.RAX, shift.count());
      }
    } else if (value instanceof Product product) {
      compute(product.left());
      assembler.multiply(Register.RAX, product.factor());
    } else if (value instanceof Quotient quotient) {
      compute(quotient.left());
      assembler.move(Register.RCX, quotient.divisor());
      assembler.divide();
      if (quotient.remainder()) {
        assembler.move(Register.RAX, Register.RDX);
      }
    } else if (value instanceof Call call) {
      for (int i = 0; i < call.arguments().size(); i++) {
        set(call.routine().parameters.get(i), call.arguments().get(i));
      }
      assembler.call(call.routine().entry);
    } else if (value instanceof SystemCall call) {
      systemCall(call);
    }
  }

  private void binary(Binary binary) {
    compute(binary.left());
    if (binary.right() instanceof Constant constant && constant.value() == (int) constant.value()) {
      assembler.operate(binary.operation(), Register.RAX, (int) constant.value());
    } else if (binary.right() instanceof Slot slot && slot.width() == Long.BYTES) {
      assembler.operate(binary.operation(), Register.RAX, BASE, slot.offset());
    } else if (isSimple(binary.right())) {
      into(Register.RCX, binary.right());
      assembler.operate(binary.operation(), Register.RAX, Register.RCX);
    } else {
      assembler.push(Register.RAX);
      compute(binary.right());
      assembler.move(Register.RCX, Register.RAX);
      assembler.pop(Register.RAX);
      assembler.operate(binary.operation(), Register.RAX, Register.RCX);
    }
  }

  private void systemCall(SystemCall call) {
    List<Value> arguments = call.arguments();
    for (Value argument : arguments) {
      if (!isSimple(argument)) {
        compute(argument);
        assembler.push(Register.RAX);
      }
    }
    for (int i = arguments.size() - 1; i >= 0; i--) {
      if (!isSimple(arguments.get(i))) {
        assembler.pop(SYSTEM_CALL_ARGUMENTS.get(i));
      }
    }
    for (int i = 0; i < arguments.size(); i++) {
      if (isSimple(arguments.get(i))) {
        into(SYSTEM_CALL_ARGUMENTS.get(i), arguments.get(i));
      }
    }
    systemCalls.add(call.number());
    assembler.move(Register.RAX, call.number());
    assembler.syscall();
  }

  private static boolean isSimple(Value value) {
    return value instanceof Constant
        || value instanceof Slot
        || value instanceof Place
        || value instanceof Entry;
  }

  private void into(Register register, Value value) {
    if (value instanceof Constant constant) {
      assembler.move(register, constant.value());
    } else if (value instanceof Slot slot) {
      assembler.load(register, BASE, slot.offset(), slot.width());
    } else if (value instanceof Place place) {
      assembler.address(register, BASE, place.offset());
    } else if (value instanceof Entry entry) {
      assembler.address(register, entry.routine().entry);
    }
  }

  /**
   * A core sync: when membarrier returns 0, every core that runs the target has run a serializing
   * instruction.
   */
  void coreSync() {
    loop(
        () ->
            when(
                call(
                        Sys.MEMBARRIER,
                        Value.of(Sys.MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE),
                        Value.of(0),
                        Value.of(0))
                    .is(0),
                this::leave));
  }
}
