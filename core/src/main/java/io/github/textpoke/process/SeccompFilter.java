package io.github.textpoke.process;

/**
 * What a classic BPF seccomp filter answers to a system call, found by running the filter here: a
 * call that the filter kills for is never tried. Interpreter of the instructions that seccomp
 * allows (kernel/seccomp.c, seccomp_check_filter).
 */
public final class SeccompFilter {
  /** SECCOMP_RET_ALLOW. */
  private static final int ALLOW = 0x7fff0000;

  /** SECCOMP_RET_LOG: allowed and logged. */
  private static final int LOG = 0x7ffc0000;

  private static final int AUDIT_ARCH_X86_64 = 0xc000003e;

  private final long[] program;

  /**
   * @param program one struct sock_filter per long, little-endian
   */
  public SeccompFilter(long[] program) {
    this.program = program.clone();
  }

  /** Whether the filter lets the system call through. */
  public boolean allows(int number, long... arguments) {
    int action = run(number, arguments) & 0xffff0000;
    return action == ALLOW || action == LOG;
  }

  /** The filter's answer in words. */
  public String answer(int number, long... arguments) {
    int result = run(number, arguments);
    return switch (result & 0xffff0000) {
      case ALLOW, LOG -> "allows it";
      case 0x00050000 -> "answers errno " + (result & 0xffff);
      case 0x00030000 -> "sends SIGSYS";
      case 0x80000000 -> "kills the process";
      case 0x00000000 -> "kills the thread";
      case 0x7ff00000 -> "asks a tracer";
      case 0x7fc00000 -> "asks a supervisor";
      default -> "answers 0x" + Integer.toHexString(result);
    };
  }

  private int run(int number, long[] arguments) {
    int a = 0;
    int x = 0;
    int[] memory = new int[16];
    for (int pc = 0; pc < program.length; pc++) {
      int code = (int) program[pc] & 0xffff;
      int ifTrue = (int) (program[pc] >>> 16) & 0xff;
      int ifFalse = (int) (program[pc] >>> 24) & 0xff;
      int k = (int) (program[pc] >>> 32);
      int operand = (code & 0x08) != 0 ? x : k;
      switch (code) {
        case 0x20 -> a = data(k, number, arguments); // ld [k]
        case 0x80 -> a = 64; // ld len
        case 0x00 -> a = k; // ld #k
        case 0x60 -> a = memory[k & 15]; // ld M[k]
        case 0x01 -> x = k; // ldx #k
        case 0x81 -> x = 64; // ldx len
        case 0x61 -> x = memory[k & 15]; // ldx M[k]
        case 0x02 -> memory[k & 15] = a; // st
        case 0x03 -> memory[k & 15] = x; // stx
        case 0x04, 0x0c -> a += operand;
        case 0x14, 0x1c -> a -= operand;
        case 0x24, 0x2c -> a *= operand;
        case 0x34, 0x3c -> {
          if (operand == 0) {
            return 0;
          }
          a = Integer.divideUnsigned(a, operand);
        }
        case 0x44, 0x4c -> a |= operand;
        case 0x54, 0x5c -> a &= operand;
        case 0x64, 0x6c -> a <<= operand;
        case 0x74, 0x7c -> a >>>= operand;
        case 0xa4, 0xac -> a ^= operand;
        case 0x84 -> a = -a;
        case 0x05 -> pc += k; // ja
        case 0x15, 0x1d -> pc += a == operand ? ifTrue : ifFalse; // jeq
        case 0x25, 0x2d -> pc += Integer.compareUnsigned(a, operand) > 0 ? ifTrue : ifFalse; // jgt
        case 0x35, 0x3d -> pc += Integer.compareUnsigned(a, operand) >= 0 ? ifTrue : ifFalse; // jge
        case 0x45, 0x4d -> pc += (a & operand) != 0 ? ifTrue : ifFalse; // jset
        case 0x07 -> x = a; // tax
        case 0x87 -> a = x; // txa
        case 0x06 -> {
          return k; // ret #k
        }
        case 0x16 -> {
          return a; // ret a
        }
        default -> throw new IllegalArgumentException("no seccomp instruction: " + code);
      }
    }
    return 0;
  }

  /** struct seccomp_data: nr, arch, instruction_pointer, args[6]. The address is not known: 0. */
  private static int data(int offset, int number, long[] arguments) {
    if (offset == 0) {
      return number;
    }
    if (offset == 4) {
      return AUDIT_ARCH_X86_64;
    }
    int index = (offset - 16) / 8;
    if (offset < 16 || index >= arguments.length) {
      return 0;
    }
    return (int) (arguments[index] >>> ((offset & 4) != 0 ? 32 : 0));
  }
}
