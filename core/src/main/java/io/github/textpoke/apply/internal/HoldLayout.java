package io.github.textpoke.apply.internal;

/**
 * What lies where in the two pages of ours in which a program that has not begun waits. The first
 * has the code, and may be read and run; the second has what follows, and may be read and written.
 * Offsets in bytes from the first; addresses are absolute; eight bytes each.
 */
public final class HoldLayout {
  /** Bytes of both pages. */
  public static final int SIZE = 0x2000;

  /** Bytes of the code's page. */
  public static final int CODE_SIZE = 0x1000;

  /** Where the program waits before its first instruction: {@link #AT_ENTRY}. */
  public static final int ENTRY = 0;

  /**
   * What the loader calls instead of the function that debuggers wait at; it waits there when all
   * is loaded: {@link #AT_LOADED}.
   */
  public static final int LOADER = 0xa0;

  /** Where it goes on after the first wait: the first instruction. */
  public static final int START = 0x1000;

  /** Where the loader says how far it is. */
  public static final int STATE = 0x1008;

  /** 1: the loader has begun to load. */
  public static final int LOADING = 0x1010;

  /** Counts on as long as somebody is there who holds it. */
  public static final int BEAT = 0x1018;

  /** Which waits are over: one of the moments below; 0: none. */
  public static final int GO = 0x1020;

  /** The last wait that it has come to. */
  public static final int ARRIVED = 0x1028;

  /** The last wait that it has left by itself. */
  public static final int LATE = 0x1030;

  /** How long it sleeps between two looks, as a timespec. */
  public static final int PAUSE = 0x1038;

  /** Before its first instruction. */
  public static final int AT_ENTRY = 1;

  /** When the loader has mapped and relocated all objects. */
  public static final int AT_LOADED = 2;

  /** {@link #PAUSE}, in nanoseconds. */
  public static final int PAUSE_NANOS = 1_000_000;

  /** So often it looks without a {@link #BEAT} before it goes on: some five seconds. */
  public static final int MOST_PAUSES = 5_000;

  private HoldLayout() {}
}
