package io.github.textpoke.x86.decode;

/**
 * The opcodes behind 0f 38 and 0f 3a without VEX or EVEX: SDM volume 2, appendix A, tables A-4 and
 * An opcode without a row is none. {@link OpcodeTable} reads it and says what a column means.
 */
final class ThreeByteMaps {
  /** 0f 38. */
  static final String ROWS_38 =
      """
      00 M np+66       - next  pshufb
      01 M np+66       - next  phaddw
      02 M np+66       - next  phaddd
      03 M np+66       - next  phaddsw
      04 M np+66       - next  pmaddubsw
      05 M np+66       - next  phsubw
      06 M np+66       - next  phsubd
      07 M np+66       - next  phsubsw
      08 M np+66       - next  psignb
      09 M np+66       - next  psignw
      0a M np+66       - next  psignd
      0b M np+66       - next  pmulhrsw
      10 M 66          - next  pblendvb
      14 M 66          - next  blendvps
      15 M 66          - next  blendvpd
      17 M 66          - next  ptest
      1c M np+66       - next  pabsb
      1d M np+66       - next  pabsw
      1e M np+66       - next  pabsd
      20 M 66          - next  pmovsxbw
      21 M 66          - next  pmovsxbd
      22 M 66          - next  pmovsxbq
      23 M 66          - next  pmovsxwd
      24 M 66          - next  pmovsxwq
      25 M 66          - next  pmovsxdq
      28 M 66          - next  pmuldq
      29 M 66          - next  pcmpeqq
      2a M 66:m        - next  movntdqa
      2b M 66          - next  packusdw
      30 M 66          - next  pmovzxbw
      31 M 66          - next  pmovzxbd
      32 M 66          - next  pmovzxbq
      33 M 66          - next  pmovzxwd
      34 M 66          - next  pmovzxwq
      35 M 66          - next  pmovzxdq
      37 M 66          - next  pcmpgtq
      38 M 66          - next  pminsb
      39 M 66          - next  pminsd
      3a M 66          - next  pminuw
      3b M 66          - next  pminud
      3c M 66          - next  pmaxsb
      3d M 66          - next  pmaxsd
      3e M 66          - next  pmaxuw
      3f M 66          - next  pmaxud
      40 M 66          - next  pmulld
      41 M 66          - next  phminposuw
      80 M 66:m        - next! invept
      81 M 66:m        - next! invvpid
      82 M 66:m        - next! invpcid
      c8 M np          - next  sha1nexte
      c9 M np          - next  sha1msg1
      ca M np          - next  sha1msg2
      cb M np          - next  sha256rnds2
      cc M np          - next  sha256msg1
      cd M np          - next  sha256msg2
      cf M 66          - next  gf2p8mulb
      d8 M f3:m0123    - next  aesencwide128kl/aesdecwide128kl/...
      db M 66          - next  aesimc
      dc M 66+f3       - next  aesenc/aesenc128kl/loadiwkey
      dd M 66,f3:m     - next  aesenclast/aesdec128kl
      de M 66,f3:m     - next  aesdec/aesenc256kl
      df M 66,f3:m     - next  aesdeclast/aesdec256kl
      f0 M np+~66:m,f2 - next  movbe/crc32
      f1 M np+~66:m,f2 - next  movbe/crc32
      f5 M 66:m        - next! wrussd
      f6 M np:m,66+f3  - group wrssd/adcx/adox
      f8 M 66+f3+f2:m  - next  movdir64b/enqcmds/enqcmd
      f9 M np:m        - next  movdiri
      fa M f3:r        - next  encodekey128
      fb M f3:r        - next  encodekey256
      """;

  /** 0f 3a. */
  static final String ROWS_3A =
      """
      08 Mb 66      - next  roundps
      09 Mb 66      - next  roundpd
      0a Mb 66      - next  roundss
      0b Mb 66      - next  roundsd
      0c Mb 66      - next  blendps
      0d Mb 66      - next  blendpd
      0e Mb 66      - next  pblendw
      0f Mb np+66   - next  palignr
      14 Mb 66      - next  pextrb
      15 Mb 66      - next  pextrw
      16 Mb 66      - next  pextrd
      17 Mb 66      - next  extractps
      20 Mb 66      - next  pinsrb
      21 Mb 66      - next  insertps
      22 Mb 66      - next  pinsrd
      40 Mb 66      - next  dpps
      41 Mb 66      - next  dppd
      42 Mb 66      - next  mpsadbw
      44 Mb 66      - next  pclmulqdq
      60 Mb 66      - next  pcmpestrm
      61 Mb 66      - next  pcmpestri
      62 Mb 66      - next  pcmpistrm
      63 Mb 66      - next  pcmpistri
      cc Mb np      - next  sha1rnds4
      ce Mb 66      - next  gf2p8affineqb
      cf Mb 66      - next  gf2p8affineinvqb
      df Mb 66      - next  aeskeygenassist
      f0 Mb f3:.0=0 - next! hreset
      """;

  private ThreeByteMaps() {}
}
