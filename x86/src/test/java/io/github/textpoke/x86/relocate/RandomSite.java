package io.github.textpoke.x86.relocate;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.relocate.CodePairs.Pages;
import io.github.textpoke.x86.relocate.CodePairs.State;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.LongStream;

/**
 * A short random piece of code that ends, whatever it does, and a state to run it from: rbx, rsi
 * and rdi point to data, r12 to a table of exits, r13 is an exit, rsp is in the middle of a stack
 * full of exits. Calls stand at the end only; only loop jumps back, one of them, and rcx is small
 * then.
 */
final class RandomSite {
  private static final int[] SCRATCH = {0, 2, 5, 8, 9, 10, 11, 14, 15};
  private static final int[] REGISTER_TO_REGISTER = {
    0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x85, 0x89, 0x87
  };
  private static final int[] FROM_MEMORY = {0x03, 0x13, 0x2b, 0x33, 0x3b, 0x8b};
  private static final int[] TO_MEMORY = {0x01, 0x31, 0x89};
  private static final int[] FLAGS = {0xf5, 0xf8, 0xf9, 0xfc, 0xfd, 0x9e, 0x9f, 0x9c};
  private static final int[] STRINGS = {0xa4, 0xa5, 0xa6, 0xaa, 0xab, 0xac, 0xae};

  private enum Hole {
    NONE,
    /** A branch: forward, or out of the code. */
    FORWARD,
    /** A branch back. */
    BACK,
    /** A branch over the next instruction. */
    OVER,
    DATA,
    TABLE
  }

  /** One instruction; its hole is filled once it is known where it stands. */
  private record Operation(int[] bytes, Hole hole, int at, int width) {}

  private final SplittableRandom random;
  private final Pages pages;
  private final boolean loops;
  private boolean hasLoop;
  private final List<Operation> operations = new ArrayList<>();

  /** Absolute address of the first byte. */
  final long address;

  /** The code. */
  final CodeBytes bytes;

  RandomSite(SplittableRandom random, Pages pages) {
    this.random = random;
    this.pages = pages;
    this.loops = random.nextInt(4) == 0;
    this.address = pages.site() + 0x400 + random.nextInt(64);
    for (int count = random.nextInt(6); count > 0; count--) {
      middle();
    }
    last();
    this.bytes = filled();
  }

  /** A state to run it from. */
  State state() {
    long[] registers = random.longs(16).toArray();
    registers[CodePairs.RCX] = loops ? 1 + random.nextInt(4) : random.nextInt(6);
    registers[CodePairs.RBX] = pages.data() + 0x100;
    registers[CodePairs.RSP] = pages.stack() + 0x800 + 8L * random.nextInt(16);
    registers[CodePairs.RSI] = pages.data() + 0x400;
    registers[CodePairs.RDI] = pages.data() + 0x600;
    registers[CodePairs.R12] = pages.table();
    registers[CodePairs.R13] = pages.exit(7);
    return new State(
        LongStream.of(registers).boxed().collect(ImmutableList.toImmutableList()),
        random.nextLong() & 0x8d5);
  }

  private void middle() {
    switch (random.nextInt(10)) {
      case 0, 1 -> conditional(Hole.FORWARD);
      case 2 -> counter();
      case 3 -> {
        conditional(Hole.OVER);
        leave();
      }
      default -> plain();
    }
  }

  private void last() {
    switch (random.nextInt(12)) {
      case 0 -> conditional(Hole.FORWARD);
      case 1 -> counter();
      case 2, 3 -> leave();
      case 4, 5, 6, 7 -> call();
      default -> plain();
    }
  }

  private void conditional(Hole hole) {
    int condition = random.nextInt(16);
    if (random.nextBoolean()) {
      branch(hole, 1, 0x70 | condition);
    } else {
      branch(hole, 4, 0x0f, 0x80 | condition);
    }
  }

  /** loopne, loope, loop, jrcxz, or with 67 those of ecx. */
  private void counter() {
    int opcode = 0xe0 | random.nextInt(4);
    boolean isBack = loops && !hasLoop && opcode != 0xe3;
    if (loops && !isBack) {
      opcode = 0xe3; // another loop might count below zero
    }
    hasLoop |= isBack;
    Hole hole = isBack && random.nextInt(4) != 0 ? Hole.BACK : Hole.FORWARD;
    if (random.nextBoolean()) {
      branch(hole, 1, 0x67, opcode);
    } else {
      branch(hole, 1, opcode);
    }
  }

  private void leave() {
    switch (random.nextInt(6)) {
      case 0 -> branch(Hole.FORWARD, 1, 0xeb);
      case 1 -> branch(Hole.FORWARD, 4, 0xe9);
      case 2 -> add(0x41, 0xff, 0xe5); // jmp r13
      case 3 -> hole(Hole.TABLE, 2, 0xff, 0x25, 0, 0, 0, 0); // jmp [rip]
      case 4 -> add(0xc3);
      default -> add(0xc2, 8 * random.nextInt(4), 0);
    }
  }

  private void call() {
    switch (random.nextInt(9)) {
      case 0, 1 -> branch(Hole.FORWARD, 4, 0xe8);
      case 2 -> branch(Hole.FORWARD, 4, 0x67, 0xe8);
      case 3 -> add(0x41, 0xff, 0xd5); // call r13
      case 4 -> add(0x3e, 0x41, 0xff, 0xd5); // notrack call r13
      case 5 -> add(0x41, 0xff, 0x54, 0x24, 8 * random.nextInt(16)); // call [r12+]
      case 6 -> hole(Hole.TABLE, 2, 0xff, 0x15, 0, 0, 0, 0); // call [rip+]
      case 7 -> add(0xff, 0x54, 0x24, 8 * random.nextInt(16)); // call [rsp+]
      default -> {
        switch (random.nextInt(3)) {
          case 0 -> add(0xff, 0x14, 0x24); // call [rsp]
          case 1 -> add(0xff, 0x54, 0x24, -8 * (2 + random.nextInt(4))); // call [rsp-]
          default -> add(0xff, 0x94, 0x24, 8 * random.nextInt(16), 1, 0, 0); // call [rsp+0x1..]
        }
      }
    }
  }

  private void plain() {
    int reg = scratch();
    int rm = scratch();
    int wide = random.nextInt(2) << 3;
    int rex = 0x40 | wide | reg >> 3 << 2 | rm >> 3;
    int rexMemory = 0x40 | wide | reg >> 3 << 2;
    int registers = 0xc0 | (reg & 7) << 3 | rm & 7;
    int relative = (reg & 7) << 3 | 5;
    int number = random.nextInt(8);
    int imm = random.nextInt(256);
    switch (random.nextInt(24)) {
      case 0 -> add(rex, pick(REGISTER_TO_REGISTER), registers);
      case 1 -> add(rex, 0x83, 0xc0 | number << 3 | rm & 7, imm);
      case 2 -> add(0x40 | rm >> 3, 0xb8 | rm & 7, imm, 1, 2, imm);
      case 3 -> add(rexMemory, pick(FROM_MEMORY), 0x43 | (reg & 7) << 3, imm);
      case 4 -> add(rexMemory, pick(TO_MEMORY), 0x43 | (reg & 7) << 3, imm);
      case 5 -> add(0xf0, rexMemory, 0x01, 0x43 | (reg & 7) << 3, imm);
      case 6 -> hole(Hole.DATA, 3, rexMemory, pick(FROM_MEMORY), relative, 0, 0, 0, 0);
      case 7 -> hole(Hole.DATA, 3, rexMemory, pick(TO_MEMORY), relative, 0, 0, 0, 0);
      case 8 -> hole(Hole.DATA, 2, 0x83, number << 3 | 5, 0, 0, 0, 0, imm);
      case 9 -> hole(Hole.DATA, 2, 0x81, number << 3 | 5, 0, 0, 0, 0, imm, 1, 2, imm);
      case 10 -> hole(Hole.DATA, 3, rexMemory | 8, 0x8d, relative, 0, 0, 0, 0);
      case 11 -> add(0x40 | rm >> 3, (random.nextBoolean() ? 0x50 : 0x58) | rm & 7);
      case 12 -> add(0x6a, imm);
      case 13 -> add(0x40 | rm >> 3, 0x0f, 0x90 | random.nextInt(16), 0xc0 | rm & 7);
      case 14 -> hole(Hole.DATA, 4, rexMemory, 0x0f, 0x40 | imm & 15, relative, 0, 0, 0, 0);
      case 15 -> add(rex, 0xc1, 0xc0 | number << 3 & 0x28 | 4 << 3 | rm & 7, imm);
      case 16 -> add(rex, 0x0f, 0xaf, registers);
      case 17 -> add(pick(FLAGS));
      case 18 -> string(wide);
      case 19 -> hole(Hole.DATA, 3, 0x0f, random.nextBoolean() ? 0x10 : 0x11, 0x0d, 0, 0, 0, 0);
      case 20 -> hole(Hole.DATA, 4, 0xc5, 0xf9, 0xfe, 0x15, 0, 0, 0, 0); // vpaddd
      case 21 -> hole(Hole.DATA, 5, 0xf0, rexMemory, 0x0f, 0xb1, relative, 0, 0, 0, 0);
      case 22 -> hole(Hole.DATA, 2, random.nextBoolean() ? 0xff : 0x8f, 0x05, 0, 0, 0, 0);
      default -> add(0x0f, 0x1f, 0x44, 0, 0);
    }
  }

  private void string(int wide) {
    int opcode = pick(STRINGS);
    if (!loops && random.nextBoolean()) {
      add(random.nextBoolean() ? 0xf3 : 0xf2, 0x40 | wide, opcode);
    } else {
      add(0x40 | wide, opcode);
    }
  }

  private int scratch() {
    int choice = random.nextInt(loops ? SCRATCH.length : SCRATCH.length + 1);
    return choice == SCRATCH.length ? CodePairs.RCX : SCRATCH[choice];
  }

  private int pick(int[] values) {
    return values[random.nextInt(values.length)];
  }

  private void add(int... bytes) {
    operations.add(new Operation(bytes, Hole.NONE, 0, 0));
  }

  private void hole(Hole hole, int at, int... bytes) {
    operations.add(new Operation(bytes, hole, at, Integer.BYTES));
  }

  private void branch(Hole hole, int width, int... opcode) {
    int[] bytes = new int[opcode.length + width];
    System.arraycopy(opcode, 0, bytes, 0, opcode.length);
    operations.add(new Operation(bytes, hole, opcode.length, width));
  }

  private CodeBytes filled() {
    CodeBytes code = CodeBytes.EMPTY;
    int[] starts = new int[operations.size() + 1];
    for (int i = 0; i < operations.size(); i++) {
      starts[i + 1] = starts[i] + operations.get(i).bytes().length;
    }
    for (int i = 0; i < operations.size(); i++) {
      Operation operation = operations.get(i);
      byte[] bytes = new byte[operation.bytes().length];
      for (int j = 0; j < bytes.length; j++) {
        bytes[j] = (byte) operation.bytes()[j];
      }
      long displacement = target(operation, i, starts) - (address + starts[i + 1]);
      for (int j = 0; j < operation.width(); j++) {
        bytes[operation.at() + j] = (byte) (displacement >> 8 * j);
      }
      code = code.concat(CodeBytes.of(bytes));
    }
    return code;
  }

  private long target(Operation operation, int index, int[] starts) {
    int length = starts[starts.length - 1];
    return switch (operation.hole()) {
      case NONE -> 0;
      case DATA -> pages.data() + 0x200 + random.nextInt(0x80);
      case TABLE -> pages.table() + 8L * random.nextInt(64);
      case OVER -> address + starts[index + 2];
      case BACK -> address + starts[random.nextInt(index + 1)];
      case FORWARD -> {
        boolean isLast = index == operations.size() - 1;
        if (!isLast && random.nextBoolean()) {
          yield address + starts[index + 1 + random.nextInt(starts.length - index - 1)];
        }
        yield random.nextBoolean()
            ? address + length + 1 + random.nextInt(40)
            : address - 1 - random.nextInt(40);
      }
    };
  }
}
