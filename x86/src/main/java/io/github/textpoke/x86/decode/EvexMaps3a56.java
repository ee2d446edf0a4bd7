package io.github.textpoke.x86.decode;

/**
 * The opcodes of EVEX maps 3 (0f 3a), 5 and 6 (half precision): SDM volume 2, chapter 2.7 and the
 * pages of the instructions. {@link EvexTable} reads them and says what a column means.
 */
final class EvexMaps3a56 {
  /** Map 3. */
  static final String ROWS_3A =
      """
      00 66 1  b 12b  12   kz  vpermq
      01 66 1  b 12b  12   kz  vpermpd
      03 66 01 b 012b 012  vkz valignd/valignq
      04 66 0  b 012b 012  kz  vpermilps
      05 66 1  b 012b 012  kz  vpermilpd
      08 np 0  b 012b 012e kz  vrndscaleph
      08 66 0  b 012b 012e kz  vrndscaleps
      09 66 1  b 012b 012e kz  vrndscalepd
      0a np 0  b 012  012e vkz vrndscalesh
      0a 66 0  b 012  012e vkz vrndscaless
      0b 66 1  b 012  012e vkz vrndscalesd
      0f 66 01 b 012  012  vkz vpalignr
      14 66 01 b 0    0    -   vpextrb
      15 66 01 b 0    0    -   vpextrw
      16 66 01 b 0    0    -   vpextrd/vpextrq
      17 66 01 b 0    0    -   vextractps
      18 66 01 b 12   12   vkz vinsertf32x4/vinsertf64x2
      19 66 01 b 12   -    k   vextractf32x4/vextractf64x2
      19 66 01 b -    12   kz  vextractf32x4/vextractf64x2
      1a 66 01 b 2    2    vkz vinsertf32x8/vinsertf64x4
      1b 66 01 b 2    -    k   vextractf32x8/vextractf64x4
      1b 66 01 b -    2    kz  vextractf32x8/vextractf64x4
      1d 66 0  b 012  -    k   vcvtps2ph
      1d 66 0  b -    012e kz  vcvtps2ph
      1e 66 01 b 012b 012  vkq vpcmpud/vpcmpuq
      1f 66 01 b 012b 012  vkq vpcmpd/vpcmpq
      20 66 01 b 0    0    v   vpinsrb
      21 66 0  b 0    0    v   vinsertps
      22 66 01 b 0    0    v   vpinsrd/vpinsrq
      23 66 01 b 12b  12   vkz vshuff32x4/vshuff64x2
      25 66 01 b 012b 012  vkz vpternlogd/vpternlogq
      26 np 0  b 012b 012e kz  vgetmantph
      26 66 01 b 012b 012e kz  vgetmantps/vgetmantpd
      27 np 0  b 012  012e vkz vgetmantsh
      27 66 01 b 012  012e vkz vgetmantss/vgetmantsd
      38 66 01 b 12   12   vkz vinserti32x4/vinserti64x2
      39 66 01 b 12   -    k   vextracti32x4/vextracti64x2
      39 66 01 b -    12   kz  vextracti32x4/vextracti64x2
      3a 66 01 b 2    2    vkz vinserti32x8/vinserti64x4
      3b 66 01 b 2    -    k   vextracti32x8/vextracti64x4
      3b 66 01 b -    2    kz  vextracti32x8/vextracti64x4
      3e 66 01 b 012  012  vkq vpcmpub/vpcmpuw
      3f 66 01 b 012  012  vkq vpcmpb/vpcmpw
      42 66 0  b 012  012  vkz vdbpsadbw
      43 66 01 b 12b  12   vkz vshufi32x4/vshufi64x2
      44 66 01 b 012  012  v   vpclmulqdq
      50 66 01 b 012b 012e vkz vrangeps/vrangepd
      51 66 01 b 012  012e vkz vrangess/vrangesd
      54 66 01 b 012b 012e vkz vfixupimmps/vfixupimmpd
      55 66 01 b 012  012e vkz vfixupimmss/vfixupimmsd
      56 np 0  b 012b 012e kz  vreduceph
      56 66 01 b 012b 012e kz  vreduceps/vreducepd
      57 np 0  b 012  012e vkz vreducesh
      57 66 01 b 012  012e vkz vreducess/vreducesd
      66 np 0  b 012b 012  kq  vfpclassph
      66 66 01 b 012b 012  kq  vfpclassps/vfpclasspd
      67 np 0  b 012  012  kq  vfpclasssh
      67 66 01 b 012  012  kq  vfpclassss/vfpclasssd
      70 66 1  b 012  012  vkz vpshldw
      71 66 01 b 012b 012  vkz vpshldd/vpshldq
      72 66 1  b 012  012  vkz vpshrdw
      73 66 01 b 012b 012  vkz vpshrdd/vpshrdq
      c2 np 0  b 012b 012e vkq vcmpph
      c2 f3 0  b 012  012e vkq vcmpsh
      ce 66 1  b 012b 012  vkz vgf2p8affineqb
      cf 66 1  b 012b 012  vkz vgf2p8affineinvqb
      """;

  /** Map 5. */
  static final String ROWS_5 =
      """
      10 f3 0  - 012  -    kz  vmovsh
      10 f3 0  - -    012  vkz vmovsh
      11 f3 0  - 012  -    k   vmovsh
      11 f3 0  - -    012  vkz vmovsh
      1d np 0  - 012  012e vkz vcvtss2sh
      1d 66 0  - 012b 012e kz  vcvtps2phx
      2a f3 01 - 012  012e v   vcvtsi2sh
      2c f3 01 - 012  012e g   vcvttsh2si
      2d f3 01 - 012  012e g   vcvtsh2si
      2e np 0  - 012  012e -   vucomish
      2f np 0  - 012  012e -   vcomish
      51 np 0  - 012b 012e kz  vsqrtph
      51 f3 0  - 012  012e vkz vsqrtsh
      58 np 0  - 012b 012e vkz vaddph
      58 f3 0  - 012  012e vkz vaddsh
      59 np 0  - 012b 012e vkz vmulph
      59 f3 0  - 012  012e vkz vmulsh
      5a np 0  - 012b 012e kz  vcvtph2pd
      5a 66 1  - 012b 012e kz  vcvtpd2ph
      5a f3 0  - 012  012e vkz vcvtsh2sd
      5a f2 1  - 012  012e vkz vcvtsd2sh
      5b np 01 - 012b 012e kz  vcvtdq2ph/vcvtqq2ph
      5b 66 0  - 012b 012e kz  vcvtph2dq
      5b f3 0  - 012b 012e kz  vcvttph2dq
      5c np 0  - 012b 012e vkz vsubph
      5c f3 0  - 012  012e vkz vsubsh
      5d np 0  - 012b 012e vkz vminph
      5d f3 0  - 012  012e vkz vminsh
      5e np 0  - 012b 012e vkz vdivph
      5e f3 0  - 012  012e vkz vdivsh
      5f np 0  - 012b 012e vkz vmaxph
      5f f3 0  - 012  012e vkz vmaxsh
      6e 66 01 - 0    0    -   vmovw
      78 np 0  - 012b 012e kz  vcvttph2udq
      78 66 0  - 012b 012e kz  vcvttph2uqq
      78 f3 01 - 012  012e g   vcvttsh2usi
      79 np 0  - 012b 012e kz  vcvtph2udq
      79 66 0  - 012b 012e kz  vcvtph2uqq
      79 f3 01 - 012  012e g   vcvtsh2usi
      7a 66 0  - 012b 012e kz  vcvttph2qq
      7a f2 01 - 012b 012e kz  vcvtudq2ph/vcvtuqq2ph
      7b 66 0  - 012b 012e kz  vcvtph2qq
      7b f3 01 - 012  012e v   vcvtusi2sh
      7c np 0  - 012b 012e kz  vcvttph2uw
      7c 66 0  - 012b 012e kz  vcvttph2w
      7d np 0  - 012b 012e kz  vcvtph2uw
      7d 66 0  - 012b 012e kz  vcvtph2w
      7d f3 0  - 012b 012e kz  vcvtw2ph
      7d f2 0  - 012b 012e kz  vcvtuw2ph
      7e 66 01 - 0    0    -   vmovw
      """;

  /** Map 6. */
  static final String ROWS_6 =
      """
      13 np 0 - 012  012e vkz  vcvtsh2ss
      13 66 0 - 012b 012e kz   vcvtph2psx
      2c 66 0 - 012b 012e vkz  vscalefph
      2d 66 0 - 012  012e vkz  vscalefsh
      42 66 0 - 012b 012e kz   vgetexpph
      43 66 0 - 012  012e vkz  vgetexpsh
      4c 66 0 - 012b 012  kz   vrcpph
      4d 66 0 - 012  012  vkz  vrcpsh
      4e 66 0 - 012b 012  kz   vrsqrtph
      4f 66 0 - 012  012  vkz  vrsqrtsh
      56 f3 0 - 012b 012e vkzd vfmaddcph
      56 f2 0 - 012b 012e vkzd vfcmaddcph
      57 f3 0 - 012  012e vkzd vfmaddcsh
      57 f2 0 - 012  012e vkzd vfcmaddcsh
      96 66 0 - 012b 012e vkz  vfmaddsub132ph
      97 66 0 - 012b 012e vkz  vfmsubadd132ph
      98 66 0 - 012b 012e vkz  vfmadd132ph
      99 66 0 - 012  012e vkz  vfmadd132sh
      9a 66 0 - 012b 012e vkz  vfmsub132ph
      9b 66 0 - 012  012e vkz  vfmsub132sh
      9c 66 0 - 012b 012e vkz  vfnmadd132ph
      9d 66 0 - 012  012e vkz  vfnmadd132sh
      9e 66 0 - 012b 012e vkz  vfnmsub132ph
      9f 66 0 - 012  012e vkz  vfnmsub132sh
      a6 66 0 - 012b 012e vkz  vfmaddsub213ph
      a7 66 0 - 012b 012e vkz  vfmsubadd213ph
      a8 66 0 - 012b 012e vkz  vfmadd213ph
      a9 66 0 - 012  012e vkz  vfmadd213sh
      aa 66 0 - 012b 012e vkz  vfmsub213ph
      ab 66 0 - 012  012e vkz  vfmsub213sh
      ac 66 0 - 012b 012e vkz  vfnmadd213ph
      ad 66 0 - 012  012e vkz  vfnmadd213sh
      ae 66 0 - 012b 012e vkz  vfnmsub213ph
      af 66 0 - 012  012e vkz  vfnmsub213sh
      b6 66 0 - 012b 012e vkz  vfmaddsub231ph
      b7 66 0 - 012b 012e vkz  vfmsubadd231ph
      b8 66 0 - 012b 012e vkz  vfmadd231ph
      b9 66 0 - 012  012e vkz  vfmadd231sh
      ba 66 0 - 012b 012e vkz  vfmsub231ph
      bb 66 0 - 012  012e vkz  vfmsub231sh
      bc 66 0 - 012b 012e vkz  vfnmadd231ph
      bd 66 0 - 012  012e vkz  vfnmadd231sh
      be 66 0 - 012b 012e vkz  vfnmsub231ph
      bf 66 0 - 012  012e vkz  vfnmsub231sh
      d6 f3 0 - 012b 012e vkzd vfmulcph
      d6 f2 0 - 012b 012e vkzd vfcmulcph
      d7 f3 0 - 012  012e vkzd vfmulcsh
      d7 f2 0 - 012  012e vkzd vfcmulcsh
      """;

  private EvexMaps3a56() {}
}
