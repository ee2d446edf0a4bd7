package io.github.textpoke.decode;

/** Why a decoder refuses bytes. Refusing is always safe: nothing is planned on a guess. */
public enum Undecodable {
  /** The bytes end before the instruction does. */
  TRUNCATED("the bytes end inside the instruction"),
  /** Longer than 15 bytes. */
  TOO_LONG("longer than 15 bytes"),
  /** No instruction of 64-bit mode that this decoder knows. */
  UNKNOWN("no instruction that is known"),
  /** Only on Xeon Phi (KNC), or AMD's dropped XOP: faults on the servers of today. */
  DROPPED_EXTENSION("an extension that was dropped (KNC, MVEX, XOP)"),
  /** A near branch with 66 prefix: 16-bit displacement on AMD, 32-bit on Intel. */
  LENGTH_DEPENDS_ON_CPU("a near branch with a 66 prefix: its length depends on the vendor"),
  /** RIP-relative with 67 prefix: the address is cut to 32 bits. */
  EIP_RELATIVE("EIP-relative: the address is cut to 32 bits"),
  /** Two decoders read the bytes differently. */
  WITNESSES_DISAGREE("two decoders read the bytes differently");

  private final String words;

  Undecodable(String words) {
    this.words = words;
  }

  /** The reason in words, fit for a message. */
  public String words() {
    return words;
  }
}
