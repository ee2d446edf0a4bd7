package io.github.textpoke.x86.detour;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;

/**
 * Calls a C function of the target from a body that has a frame and may change nothing. The callee
 * keeps rbx, rbp and r12 to r15 (System V ABI 3.2.1); what else the body has not saved is saved
 * here, all vector registers and the x87 state among it: __errno_location and the vDSO are compiled
 * without a promise not to use them.
 *
 * <p>Around the call, rsp is lowered to a multiple of 64 (XSAVE needs that, and calls need a
 * multiple of 16 whatever the caller's alignment was), and the direction flag is clear. The
 * processor must have {@linkplain #requireState XSAVE}. Of one thread.
 */
public final class OutsideCall {
  /** Bytes at rsp during the call that the callee may be given. */
  public static final int SCRATCH = 64;

  /**
   * x87, SSE, AVX, and the three of AVX-512: all that hold what a C function may clobber (SDM vol.
   * 1 13.1). XSAVE leaves out those that the system has not enabled.
   */
  static final int COMPONENTS = 0xe7;

  /**
   * In bytes. In the standard format, each of these components has a fixed place (SDM vol. 1
   * 13.4.3): the last, of AVX-512, ends at 2688 on Intel's processors, and before it on AMD's.
   */
  static final int STATE_SIZE = 2688;

  private static final int STATE_HEADER = 512;
  private static final int STATE_HEADER_SIZE = 64;

  /** What the callee may change and {@link OverrideWriter} does not save anyway. */
  private static final ImmutableList<Register> SAVED =
      ImmutableList.of(Register.RDI, Register.R8, Register.R9, Register.R10, Register.R11);

  private final Assembler code;
  private final int depth;

  /**
   * Calls from one body.
   *
   * @param depth how many bytes below rbp rsp is outside of the calls
   */
  public OutsideCall(Assembler code, int depth) {
    this.code = code;
    this.depth = depth;
  }

  /**
   * Does nothing where calls can be made.
   *
   * @param what needs them, for the message
   * @throws UnsupportedPlatformException where the processor has no XSAVE
   */
  public static void requireState(String what) {
    Processor.require("xsave", what);
  }

  /**
   * Emits the call. Changes RAX, RCX, RDX, RSI and flags.
   *
   * @param function absolute address
   * @param arguments loads argument registers; RSP points to {@value #SCRATCH} free bytes
   * @param results takes from RAX and the free bytes what is of interest, to RCX and RSI
   */
  public void emit(long function, Runnable arguments, Runnable results) {
    SAVED.forEach(code::push);
    code.operate(Operation.SUB, Register.RSP, SCRATCH + STATE_SIZE);
    code.operate(Operation.AND, Register.RSP, -64);
    code.clearDirection();
    // XRSTOR refuses a header with anything in it that XSAVE does not write.
    code.move(Register.RAX, 0);
    for (int at = 0; at < STATE_HEADER_SIZE; at += Long.BYTES) {
      code.store(Register.RSP, SCRATCH + STATE_HEADER + at, Register.RAX, Long.BYTES);
    }
    components();
    code.saveState(Register.RSP, SCRATCH);
    arguments.run();
    code.move(Register.RAX, function);
    code.call(Register.RAX);
    results.run();
    components();
    code.restoreState(Register.RSP, SCRATCH);
    code.address(Register.RSP, Register.RBP, -depth - SAVED.size() * Long.BYTES);
    SAVED.reverse().forEach(code::pop);
  }

  private void components() {
    code.move(Register.RAX, COMPONENTS);
    code.move(Register.RDX, 0);
  }
}
