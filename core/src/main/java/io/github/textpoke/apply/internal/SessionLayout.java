package io.github.textpoke.apply.internal;

/**
 * What lies where in the memory of a session, which JVM, helper and poker share. Offsets in bytes
 * from its start; the helper's and the poker's base register points there. Addresses in it are
 * those of the target.
 */
public final class SessionLayout {
  /**
   * Changes with every change of this class or of the code: old code is not run on a new layout.
   */
  public static final int VERSION = 3;

  // ---------------------------------------------------------------- from the JVM

  /** Number of the last request; 4 bytes, a futex that the helper waits on. */
  public static final int REQUEST = 8;

  /** Number of the last request that was answered; 4 bytes, a futex that the JVM waits on. */
  public static final int ANSWERED = 12;

  /** {@link #RUNNING}, or {@link #LEFT}; 4 bytes. */
  public static final int STATE = 16;

  /** Number of the last request that somebody took on: the poker to do it, or the JVM to cancel. */
  public static final int TAKEN = 20;

  /** What is wanted: one of the COMMAND constants. */
  public static final int COMMAND = 24;

  /** {@link #COMMAND_APPLY}: address of the plan's header. */
  public static final int PLAN = 32;

  /** {@link #COMMAND_APPLY}: the {@link #HOLD} in which the ledger was read. */
  public static final int WANTED_HOLD = 40;

  /** {@link #COMMAND_SEIZE}: how many process ids stand at {@link #LIST}. */
  public static final int LIST_COUNT = 48;

  /** How long threads stay traced after the last request, in nanoseconds. */
  public static final int LINGER = 56;

  /** How long the helper waits for a request before it leaves, in nanoseconds. */
  public static final int LEASE = 64;

  /** The FLAG constants. */
  public static final int FLAGS = 72;

  /** The version that wrote this. */
  public static final int WRITTEN_BY = 0;

  /** {@link #COMMAND_MAP}, {@link #COMMAND_FILL}: absolute address. They share the list's room. */
  public static final int MAP_ADDRESS = 0x200;

  /** {@link #COMMAND_MAP}, {@link #COMMAND_FILL}: bytes. */
  public static final int MAP_SIZE = 0x208;

  /** {@link #COMMAND_MAP}: protection. */
  public static final int MAP_PROTECTION = 0x210;

  /** {@link #COMMAND_MAP}: name of the mapping, ended by a zero. */
  public static final int MAP_NAME = 0x220;

  /** Process ids of processes that share the memory, as the target numbers them; 4 bytes each. */
  public static final int LIST = 0x200;

  /** How many ids fit there. */
  public static final int LIST_CAPACITY = 64;

  // ---------------------------------------------------------------- answers

  /** 0, a negated errno, or one of the RESULT constants. */
  public static final int RESULT = 96;

  /** Where: the plan's step, -1 before the first; or a thread id, as the target numbers it. */
  public static final int RESULT_STEP = 104;

  /** Where: an absolute address. */
  public static final int RESULT_ADDRESS = 112;

  /** What stood there: 16 bytes. */
  public static final int RESULT_FOUND = 120;

  /** One of the OUTCOME constants. */
  public static final int RESULT_OUTCOME = 136;

  /** From the first comparison to the last core sync, in nanoseconds. */
  public static final int NANOS = 144;

  /** From the first breakpoint until the last thread that waited runs again, in nanoseconds. */
  public static final int WINDOW_NANOS = 152;

  /** Traps of ours since the session began. */
  public static final int TRAPS = 160;

  /** Threads that waited at a site in the last plan. */
  public static final int PARKED = 168;

  /** Threads that are traced. */
  public static final int THREADS = 176;

  /** Grows with every poker: the threads were free between two of different numbers. */
  public static final int HOLD = 184;

  /** Step before which the poker waits, plus 1; 0 if it does not; 4 bytes, a futex. */
  public static final int PAUSED = 192;

  /** The step that {@link #PAUSED} may go on with, plus 1; 4 bytes, a futex. */
  public static final int GO_ON = 196;

  // ---------------------------------------------------------------- between the tasks

  /** The poker's process id, 0 when it has ended: the kernel writes both. 4 bytes, a futex. */
  public static final int POKER = 208;

  /** Address of the plan that is under way, or was when the poker was killed; else 0. */
  public static final int UNDER_WAY = 216;

  /**
   * 1: the poker waits for the helper to read or set the handler of SIGTRAP; 2: it did; 4 bytes, a
   * futex.
   */
  public static final int CALL = 224;

  /** Address of the handler to set, 0 for none. */
  public static final int CALL_NEW = 232;

  /** Address at which to write what was set before, 0 for nowhere. */
  public static final int CALL_OLD = 240;

  /** What the kernel answered the helper. */
  public static final int CALL_RESULT = 248;

  /** The helper's thread id, as the target numbers it. */
  public static final int HELPER = 256;

  /** Process id of the poker that Yama was told of; 4 bytes, a futex. */
  public static final int NAMED = 264;

  /** Size of the session's memory in bytes. */
  public static final int SIZE = 272;

  /** The target's process id, as the target numbers it. */
  public static final int TARGET = 280;

  /** Number of the last request whose plan was brought to an end; {@link #RESULT} is of it. */
  public static final int FINISHED = 288;

  /**
   * {@link #LOOK_FOR_CONTEXTS}: no thread is inside of a site any more, and the poker waits for the
   * JVM to look through the target's memory; then {@link #NO_CONTEXT} or {@link #A_CONTEXT}. 4
   * bytes, a futex that the poker waits on.
   */
  public static final int CONTEXTS = 296;

  /**
   * {@link #LOOK_FOR_CONTEXTS}: changes while the JVM looks. {@link #A_CONTEXT}: where the address
   * of a boundary was found.
   */
  public static final int CONTEXT_AT = 304;

  /** {@link #A_CONTEXT}: the boundary; 0: not all could be looked at. */
  public static final int CONTEXT_BOUNDARY = 312;

  /** How many stack pointers stand at {@link #STACKS}. */
  public static final int STACKS_COUNT = 320;

  /**
   * Address of a {@code syscall} instruction for calls that the helper makes for who traces it.
   * Behind it, if the tracer is gone, the helper leaves the target. The helper writes it.
   */
  public static final int LENT_CALL = 328;

  /**
   * Address of the first plan that has put breakpoints which stay; 0: there is none. Each knows the
   * {@linkplain #PLAN_STANDING_NEXT next}.
   */
  public static final int STANDING = 336;

  /**
   * Not 0: another session is to take over what {@link #STANDING} holds, so this one takes its
   * breakpoints back and leaves. Written by who begins that; 4 bytes.
   */
  public static final int YIELD = 344;

  /** Who has begun the session: UTF-8, ended by a zero. */
  public static final int WHO = 0x300;

  /** Room for that in bytes. */
  public static final int WHO_SIZE = 0x100;

  /** Variables of helper and poker. */
  public static final int VARIABLES = 0x400;

  /** End of the variables. */
  public static final int VARIABLES_END = 0xce0;

  /** Masks of 0 to 16 bytes: 16 bytes each, filled by the JVM. */
  public static final int MASKS = 0xce0;

  /** System calls that may be issued again: 2 bytes each, ended by {@link #NO_CALL}. */
  public static final int REPEATABLE = 0xe00;

  /** Ends {@link #REPEATABLE}. */
  public static final int NO_CALL = 0xffff;

  /** Structs that the kernel fills for the poker: see there. */
  public static final int SCRATCH = 0x1000;

  /** Top of the helper's stack. */
  public static final int HELPER_STACK = 0x4000;

  /** Top of the poker's stack. */
  public static final int POKER_STACK = 0xe000;

  /** Where the poker lists directories. */
  public static final int LISTING = 0x10000;

  /** Size of that in bytes. */
  public static final int LISTING_SIZE = 0x8000;

  /** The threads that are traced: see TRACEE. */
  public static final int TRACEES = 0x20000;

  /** How many threads fit. */
  public static final int TRACEE_CAPACITY = 32768;

  /** Image of a run of neighbouring sites, with 16 bytes to spare. */
  public static final int IMAGE = 0xa0000;

  /** Longest run in bytes. */
  public static final int IMAGE_SIZE = 0x3fff0;

  /** Stack pointers of threads that were seen outside, 8 bytes each; behind the mappings there. */
  public static final int STACKS = 0xc0000;

  /** How many fit there. */
  public static final int STACKS_CAPACITY = 16000;

  /** Plans, laid out by the JVM, up to the session's end. */
  public static final int PLANS = 0xe0000;

  // ---------------------------------------------------------------- values

  /** {@link #CONTEXTS}: the JVM is to look. */
  public static final int LOOK_FOR_CONTEXTS = 1;

  /** {@link #CONTEXTS}: there is none. */
  public static final int NO_CONTEXT = 2;

  /** {@link #CONTEXTS}: there is, or may be, one. */
  public static final int A_CONTEXT = 3;

  /** {@link #STATE}: helper or poker answer. */
  public static final int RUNNING = 1;

  /** {@link #STATE}: nobody answers any more. */
  public static final int LEFT = 2;

  /** Seize all threads, and say who was found. */
  public static final int COMMAND_HOLD = 1;

  /** Seize the threads of the processes of {@link #LIST} as well. */
  public static final int COMMAND_SEIZE = 2;

  /** Carry out a plan. */
  public static final int COMMAND_APPLY = 3;

  /** Let the threads go; breakpoints that stand sleep until they are held again. */
  public static final int COMMAND_RELEASE = 4;

  /** Let the threads go, and leave the target; where breakpoints stand: carry on, with no JVM. */
  public static final int COMMAND_LEAVE = 5;

  /** Map memory at {@link #MAP_ADDRESS}, private; the errno says whether that is taken. */
  public static final int COMMAND_MAP = 6;

  /** Write the first bytes of {@link #IMAGE} to memory of ours. */
  public static final int COMMAND_FILL = 7;

  /** Have breakpoints that sleep stand: all processes that share the memory are seized. */
  public static final int COMMAND_WAKE = 8;

  /** The program has a handler for SIGTRAP. */
  public static final int FLAG_HANDLER = 1;

  /** The program ignores SIGTRAP. */
  public static final int FLAG_IGNORED = 2;

  /** Traps that are not known yet wait: a breakpoint of a plan that was cut off may stand. */
  public static final int FLAG_HOLDS_TRAPS = 8;

  /** The helper must name the poker to Yama. */
  public static final int FLAG_YAMA = 4;

  /** Other bytes than expected. */
  public static final int RESULT_CHANGED = 1;

  /** No memory, or it can't be written. */
  public static final int RESULT_UNMAPPED = 2;

  /** The target has ended. */
  public static final int RESULT_GONE = 3;

  /** The target runs another program. */
  public static final int RESULT_EXECED = 4;

  /** A thread has a SIGTRAP pending. */
  public static final int RESULT_SIGTRAP_PENDING = 5;

  /** A thread is traced by somebody else. */
  public static final int RESULT_TRACED = 6;

  /** The threads were free since the ledger was read. */
  public static final int RESULT_STALE = 7;

  /** More threads than there is room for. */
  public static final int RESULT_TOO_MANY = 8;

  /** The poker was killed while a plan was under way; another one has put the old bytes back. */
  public static final int RESULT_KILLED = 9;

  /** The JVM has cancelled the request. */
  public static final int RESULT_CANCELLED = 10;

  /** What /proc shows the poker is not the target: it is of another pid namespace. */
  public static final int RESULT_OTHER_PROC = 11;

  /** Pokers died again and again. */
  public static final int RESULT_DYING = 12;

  /**
   * A thread was not out of a site in time: {@link #RESULT_STEP} is its id; {@link #RESULT_ADDRESS}
   * the boundary to which its stack leads back, 0 where it is not known to; {@link #RESULT_FOUND}
   * the address of the word that says so, and behind it how many other threads stay.
   */
  public static final int RESULT_EVACUATION = 13;

  /** Nothing was written. */
  public static final int OUTCOME_UNTOUCHED = 0;

  /** The old bytes stand again. */
  public static final int OUTCOME_ROLLED_BACK = 1;

  /** Some site holds neither the old nor the new bytes. */
  public static final int OUTCOME_UNKNOWN = 2;

  /** {@link #PLAN_STANDS}: its breakpoints do not stand, or are not to. */
  public static final int STANDS_NOT = 0;

  /** {@link #PLAN_STANDS}: who meets one of its breakpoints is led to where it says. */
  public static final int STANDS = 1;

  /** {@link #PLAN_STANDS}: they are to stand whenever threads are traced; now nobody does. */
  public static final int SLEEPS = 2;

  /** {@link #PLAN_BREAKPOINTS}: some site of it gets a breakpoint that stays. */
  public static final int STAYS = 1;

  /** {@link #PLAN_BREAKPOINTS}: some site of it has one, and gets the old instruction. */
  public static final int ENDS_STAY = 2;

  // ---------------------------------------------------------------- a plan

  /** Address of the steps, and their number behind it. */
  public static final int PLAN_OPS = 0;

  /** Address of the sites, and their number behind it. */
  public static final int PLAN_SITES = 16;

  /** Address of the addresses of one byte of each page, and their number behind it. */
  public static final int PLAN_PAGES = 32;

  /**
   * For each phase, one behind the other, the address of the steps back from there, and their
   * number behind it; and behind the last the steps that leave the new bytes, for where those back
   * meet an evacuation that is not possible. See {@link #OP_PHASE}.
   */
  public static final int PLAN_UNDO = 48;

  /** The phases. */
  public static final int PHASES = 3;

  /** Size of an address and a number of steps. */
  public static final int LIST_SIZE = 16;

  /** Address of the ledger's progress word, 0 for none. */
  public static final int PLAN_PROGRESS = 112;

  /** Its value at step 0. */
  public static final int PLAN_BEGUN = 120;

  /** Its value when the plan is done. */
  public static final int PLAN_DONE = 128;

  /** Its value when the old bytes stand again. */
  public static final int PLAN_UNDONE = 136;

  /** Whether the pages are known to be the target's own. */
  public static final int PLAN_WARM = 144;

  /** The poker's: the plan whose late traps may come as well; 0: none. */
  public static final int PLAN_NEXT = 152;

  /** The poker's: whether late traps may come. */
  public static final int PLAN_RETIRED = 160;

  /** The poker's: which of its steps back are to be done, from 0. */
  public static final int PLAN_PHASE = 168;

  /** Whether several instructions become one, or one becomes several, at some site. */
  public static final int PLAN_DISPLACES = 176;

  /** How long a thread that can't be moved out of a site is waited for, in nanoseconds. */
  public static final int PLAN_PATIENCE = 184;

  /**
   * Of a plan that puts breakpoints which stay: {@link #STANDS_NOT}, {@link #STANDS}, or {@link
   * #SLEEPS}.
   */
  public static final int PLAN_STANDS = 192;

  /** The next plan of {@link #STANDING}; 0: none. */
  public static final int PLAN_STANDING_NEXT = 200;

  /** Whether it puts breakpoints that stay ({@link #STAYS}), or takes such back. */
  public static final int PLAN_BREAKPOINTS = 208;

  /** Size of a plan's header. */
  public static final int PLAN_SIZE = 216;

  /** A site's absolute address. */
  public static final int SITE_ADDRESS = 0;

  /** Its length, 4 bytes. */
  public static final int SITE_LENGTH = 8;

  /** Whether its breakpoint is ours, 2 bytes. */
  public static final int SITE_IS_OURS = 12;

  /**
   * Which of its bytes are those of several instructions: {@link #SITE_OLD}, {@link #SITE_NEW}, 0
   * for neither; 2 bytes.
   */
  public static final int SITE_SEVERAL = 14;

  /** The bytes that stand there before, 16. */
  public static final int SITE_OLD = 16;

  /** The bytes that stand there afterwards, 16. */
  public static final int SITE_NEW = 32;

  /**
   * Address of 8 bytes for each byte of the site: where a thread goes on that stands there, in the
   * out-of-line copy; 0 where no instruction begins behind the first byte, and at the first byte
   * where a thread waits. Of a site whose new bytes begin with a breakpoint: where threads that
   * meet it go on, for as long as it stands. 0: there is none.
   */
  public static final int SITE_COPIES = 48;

  /** Size of a site. */
  public static final int SITE_SIZE = 56;

  /** Longest site in bytes. */
  public static final int SITE_MOST = 16;

  /** What a step does, 1 byte: one of the OP constants. */
  public static final int OP_KIND = 0;

  /** Bytes that it writes, or the number of a phase, 1 byte. */
  public static final int OP_LENGTH = 1;

  /** Which of the plan's steps it is, 4 bytes. */
  public static final int OP_STEP = 4;

  /** Absolute address that it writes to. */
  public static final int OP_ADDRESS = 8;

  /** What must stand there, 16 bytes; of a run: its length in bytes. */
  public static final int OP_EXPECTED = 16;

  /** What is written, 16 bytes; of a run: how many writes belong to it. */
  public static final int OP_BYTES = 32;

  /** Size of a step. */
  public static final int OP_SIZE = 48;

  /** Core sync. */
  public static final int OP_SYNC = 0;

  /** Compare, then write. */
  public static final int OP_WRITE = 1;

  /** The writes behind it, as one. */
  public static final int OP_RUN = 2;

  /** Wait for the JVM: for tests. */
  public static final int OP_PAUSE = 3;

  /** Evacuate all sites whose several instructions are to go. */
  public static final int OP_EVACUATE = 4;

  /**
   * From now on the way back is another: 1, when no thread stands inside of a site whose several
   * instructions go, or can come in; 2, when threads may run those that come.
   */
  public static final int OP_PHASE = 5;

  // ---------------------------------------------------------------- a tracee

  /** Thread id, 4 bytes. */
  public static final int TRACEE_TID = 0;

  /** What is known of it, 4 bytes. */
  public static final int TRACEE_FLAGS = 4;

  /** The first 31 signals that it was seen to block, 4 bytes. */
  public static final int TRACEE_MASK = 8;

  /** Size of a tracee. */
  public static final int TRACEE_SIZE = 16;

  private SessionLayout() {}
}
