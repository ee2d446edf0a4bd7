package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.FrameRow.CfaExpression;
import io.github.textpoke.elf.FrameRow.CfaOffset;
import io.github.textpoke.elf.FrameRow.CfaRule;
import io.github.textpoke.elf.FrameRow.InRegister;
import io.github.textpoke.elf.FrameRow.RegisterRule;
import io.github.textpoke.elf.FrameRow.SameValue;
import io.github.textpoke.elf.FrameRow.SavedAt;
import io.github.textpoke.elf.FrameRow.SavedWhere;
import io.github.textpoke.elf.FrameRow.Undefined;
import io.github.textpoke.elf.FrameRow.ValueBy;
import io.github.textpoke.elf.FrameRow.ValueOf;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.TreeMap;
import java.util.function.LongPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Carries out the call frame instructions of one entry and of its CIE (DWARF 4, sections 6.4.2 and
 * 7.23). A closed list: an instruction that is not named here is refused. Used once.
 */
final class CallFrameProgram {
  /** Of x86-64 there are fewer than 140 (psABI, figure 3.36). */
  private static final int REGISTERS = 256;

  /** States that are remembered at one time; compilers need two or three. */
  private static final int MOST_STATES = 64;

  private static final int LOW_BITS = 0x3f;

  /** What an instruction may change, and a later one bring back. */
  private record State(@Nullable CfaRule cfa, TreeMap<Integer, RegisterRule> registers) {}

  private final ElfBytes bytes;
  private final long address;
  private final CallFrames.Entry entry;
  private final Deque<State> states = new ArrayDeque<>();
  private TreeMap<Integer, RegisterRule> registers = new TreeMap<>();

  /** What the CIE has set; null while it is carried out. */
  private @Nullable ImmutableMap<Integer, RegisterRule> initial;

  private @Nullable CfaRule cfa;
  private long location;

  /**
   * @param bytes the section
   * @param address link-time address of the section
   */
  CallFrameProgram(ElfBytes bytes, long address, CallFrames.Entry entry) {
    this.bytes = bytes;
    this.address = address;
    this.entry = entry;
    this.location = entry.range().start();
  }

  /** The row for an address in the entry's range. */
  FrameRow rowAt(long wanted) {
    run(next -> Long.compareUnsigned(next, wanted) <= 0);
    return row();
  }

  /** All rows, the first one from the start of the range. */
  ImmutableList<FrameRow> rows() {
    ImmutableList.Builder<FrameRow> rows = ImmutableList.builder();
    run(
        next -> {
          boolean isInside = Long.compareUnsigned(next, entry.range().end()) < 0;
          if (isInside) {
            rows.add(row());
          }
          return isInside;
        });
    return rows.add(row()).build();
  }

  /**
   * @param goesOn whether to go on behind an instruction that leads to this address
   */
  private void run(LongPredicate goesOn) {
    EhCursor cursor = new EhCursor(bytes, entry.cie().instructions(), address);
    run(cursor, entry.cie().end(), next -> true);
    initial = ImmutableMap.copyOf(registers);
    states.clear();
    location = entry.range().start();
    run(new EhCursor(bytes, entry.instructions(), address), entry.end(), goesOn);
  }

  private void run(EhCursor cursor, long end, LongPredicate goesOn) {
    while (cursor.offset() < end) {
      long next = next(cursor);
      if (cursor.offset() > end) {
        throw bad("are cut off");
      }
      if (next != location) {
        if (Long.compareUnsigned(next, location) < 0) {
          throw bad("lead backwards");
        }
        if (!goesOn.test(next)) {
          return;
        }
        location = next;
      }
    }
  }

  private FrameRow row() {
    CfaRule rule = cfa;
    if (rule == null) {
      throw bad("don't say where the frame is");
    }
    long number = entry.cie().returnAddress();
    return new FrameRow(
        location,
        rule,
        ImmutableMap.copyOf(registers),
        checked(number),
        entry.cie().isSignalFrame());
  }

  /** Carries out one instruction; the address that what follows is for. */
  private long next(EhCursor cursor) {
    int opcode = cursor.u8();
    int low = opcode & LOW_BITS;
    switch (opcode >> 6) {
      case 0 -> {
        return extended(opcode, cursor);
      }
      case 1 -> { // advance_loc
        return advanced(low);
      }
      case 2 -> registers.put(low, new SavedAt(factored(cursor.uleb()))); // offset
      case 3 -> restore(low);
      default -> throw new IllegalStateException("two bits");
    }
    return location;
  }

  private long extended(int opcode, EhCursor cursor) {
    switch (opcode) {
      case 0x00 -> {} // nop
      case 0x01 -> { // set_loc
        return cursor.pointer(entry.cie().addresses());
      }
      case 0x02 -> { // advance_loc1
        return advanced(cursor.u8());
      }
      case 0x03 -> { // advance_loc2
        return advanced(cursor.value(2));
      }
      case 0x04 -> { // advance_loc4
        return advanced(cursor.value(3));
      }
      case 0x05 -> registers.put(register(cursor), new SavedAt(factored(cursor.uleb())));
      case 0x06 -> restore(register(cursor)); // restore_extended
      case 0x07 -> registers.put(register(cursor), new Undefined());
      case 0x08 -> registers.put(register(cursor), new SameValue());
      case 0x09 -> registers.put(register(cursor), new InRegister(register(cursor)));
      case 0x0a -> remember();
      case 0x0b -> restoreState();
      case 0x0c -> cfa = new CfaOffset(register(cursor), cursor.uleb()); // def_cfa
      case 0x0d -> cfa = new CfaOffset(register(cursor), cfaOffset().offset()); // .._register
      case 0x0e -> cfa = new CfaOffset(cfaOffset().register(), cursor.uleb()); // .._offset
      case 0x0f -> cfa = new CfaExpression(cursor.block()); // def_cfa_expression
      case 0x10 -> registers.put(register(cursor), new SavedWhere(cursor.block())); // expression
      case 0x11 -> registers.put(register(cursor), new SavedAt(factored(cursor.sleb())));
      case 0x12 -> cfa = new CfaOffset(register(cursor), factored(cursor.sleb())); // def_cfa_sf
      case 0x13 -> cfa = new CfaOffset(cfaOffset().register(), factored(cursor.sleb()));
      case 0x14 -> registers.put(register(cursor), new ValueOf(factored(cursor.uleb())));
      case 0x15 -> registers.put(register(cursor), new ValueOf(factored(cursor.sleb())));
      case 0x16 -> registers.put(register(cursor), new ValueBy(cursor.block())); // val_expression
      case 0x2e -> cursor.uleb(); // GNU_args_size: for landing pads only
      case 0x2f -> registers.put(register(cursor), new SavedAt(-factored(cursor.uleb())));
      default -> throw bad("have the instruction 0x" + Integer.toHexString(opcode) + ", not known");
    }
    return location;
  }

  private long advanced(long units) {
    return location + units * entry.cie().codeAlignment();
  }

  private long factored(long units) {
    return units * entry.cie().dataAlignment();
  }

  private int register(EhCursor cursor) {
    return checked(cursor.uleb());
  }

  private int checked(long register) {
    if (register < 0 || register >= REGISTERS) {
      throw bad("name register " + register);
    }
    return (int) register;
  }

  private CfaOffset cfaOffset() {
    if (cfa instanceof CfaOffset offset) {
      return offset;
    }
    throw bad("change a part of a frame address that has no parts");
  }

  private void restore(int register) {
    ImmutableMap<Integer, RegisterRule> first = initial;
    if (first == null) {
      throw bad("restore a register before any was set");
    }
    RegisterRule rule = first.get(register);
    if (rule == null) {
      registers.remove(register);
    } else {
      registers.put(register, rule);
    }
  }

  private void remember() {
    if (states.size() == MOST_STATES) {
      throw bad("remember more than " + MOST_STATES + " states");
    }
    states.push(new State(cfa, new TreeMap<>(registers)));
  }

  private void restoreState() {
    State state = states.poll();
    if (state == null) {
      throw bad("restore a state that was not remembered");
    }
    // The frame address too: DWARF is silent on it, gcc means it so (unwind-dw2.c).
    cfa = state.cfa();
    registers = state.registers();
  }

  private BadObjectException bad(String what) {
    return bytes.bad(
        "call frame instructions for 0x" + Long.toHexString(entry.range().start()) + " " + what);
  }
}
