package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSortedSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.internal.PokerProgram;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.target.Assembler.Label;

/**
 * Helper and poker for x86-64. Their code is position-independent, and pure: no constants between
 * the instructions, nothing that it writes to. It uses no library, no thread-local storage and no
 * stack but those of the session's memory, to whose start RBX points when the first instruction
 * runs.
 */
public final class PokerTasks implements PokerProgram {
  private static final int JUMP_LENGTH = 5;
  private static final int HELPER_CLOCK = SessionLayout.SCRATCH + 0x700;
  private static final int HELPER_TIME = SessionLayout.SCRATCH + 0x710;
  private static final int POKER_CLOCK = SessionLayout.SCRATCH + 0x600;
  private static final int POKER_TIME = SessionLayout.SCRATCH + 0x610;

  private final Assembler assembler = new Assembler();
  private final ImmutableSortedSet<Integer> systemCalls;

  /** Emits the code. */
  public PokerTasks() {
    Emitter emitter = new Emitter(assembler, SessionLayout.VARIABLES, SessionLayout.VARIABLES_END);
    Label helper = new Label();
    assembler.note("entry: the helper begins here");
    assembler.jump(helper);
    Shared forPoker = new Shared(emitter, "poker", POKER_CLOCK, POKER_TIME);
    PokerTask poker = new PokerTask(emitter, assembler, forPoker);
    Shared forHelper = new Shared(emitter, "helper", HELPER_CLOCK, HELPER_TIME);
    HelperTask task = new HelperTask(emitter, assembler, forHelper, poker.main);
    assembler.place(helper);
    emitter.run(task.main);
    assembler.undefined();
    systemCalls = emitter.systemCalls();
  }

  @Override
  public CodeBytes code() {
    byte[] bytes = assembler.toByteArray();
    return CodeBytes.copyOf(bytes, 0, bytes.length);
  }

  @Override
  public ImmutableSortedSet<Integer> systemCalls() {
    return systemCalls;
  }

  @Override
  public CodeBytes borrower() {
    byte[] bytes = BorrowTask.emit(new Assembler());
    return CodeBytes.copyOf(bytes, 0, bytes.length);
  }

  @Override
  public CodeBytes caller() {
    byte[] bytes = CallerTask.emit(new Assembler());
    return CodeBytes.copyOf(bytes, 0, bytes.length);
  }

  @Override
  public CodeBytes launcher() {
    byte[] bytes = LaunchTask.emit(new Assembler());
    return CodeBytes.copyOf(bytes, 0, bytes.length);
  }

  @Override
  public CodeBytes holder(long at) {
    byte[] bytes = HoldCode.emit(new Assembler(), at);
    return CodeBytes.copyOf(bytes, 0, bytes.length);
  }

  @Override
  public CodeBytes jump(long at, long to) {
    return Assembly.jmp(to).at(at, JUMP_LENGTH);
  }

  /** What stands where, for who reads the listing. */
  ImmutableMap<Integer, String> notes() {
    return assembler.notes();
  }
}
