package io.github.textpoke.x86.relocate;

import com.google.common.collect.ImmutableList;

/**
 * A site, what stands behind it, and the copy of the site; all as listings. The cases are those of
 * frida-gum's tests/core/arch-x86/x86relocator.c and Orbit's
 * src/UserSpaceInstrumentation/TrampolineTest.cpp, named after them, as far as they relocate 64-bit
 * code, and our own. What those two refuse and we move, or the other way round, is said.
 *
 * @param name where the case comes from
 */
record RelocationCase(
    String name, long address, String site, String behind, long copyAddress, String copy) {
  private static final long SITE = 0x40_1000;

  /** 1 GiB behind the site. */
  private static final long COPY = 0x4040_1000;

  /** Where a shared library may be: a return address needs both halves. */
  private static final long HIGH_SITE = 0x7f12_b456_7000L;

  private static final long HIGH_COPY = 0x7f12_f456_7000L;

  @Override
  public String toString() {
    return name;
  }

  private static RelocationCase of(String name, String site, String behind, String copy) {
    return new RelocationCase(name, SITE, site, behind, COPY, copy);
  }

  private static RelocationCase high(String name, String site, String copy) {
    return new RelocationCase(name, HIGH_SITE, site, "", HIGH_COPY, copy);
  }

  static final ImmutableList<RelocationCase> ALL =
      ImmutableList.of(
          of(
              "frida-gum one_to_one",
              """
              55       | push rbp
              8b ec    | mov ebp, esp
              90       | nop
              0f 1f 00 | nop [rax], eax
              """,
              "",
              """
              55             | push rbp
              8b ec          | mov ebp, esp
              90             | nop
              0f 1f 00       | nop [rax], eax
              e9 fb ff ff bf | jmp 0x0000000000401007
              """),
          of(
              "frida-gum call_near_relative",
              """
              55             | push rbp
              8b ec          | mov ebp, esp
              e8 04 00 00 00 | call 0x000000000040100C
              """,
              """
              8b e5          | mov esp, ebp
              5d             | pop rbp
              c3             | ret
              c3             | ret
              """,
              """
              55             | push rbp
              8b ec          | mov ebp, esp
              68 08 10 40 00 | push 0x401008
              e9 ff ff ff bf | jmp 0x000000000040100C
              """),
          high(
              "frida-gum call_near_gnu_get_pc_thunk and call_near_android_get_pc_thunk, in 64 bits",
              """
              e8 01 00 00 00 | call 0x00007F12B4567006
              """,
              """
              68 05 70 56 b4          | push 0xFFFFFFFFB4567005
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              e9 f4 ff ff bf          | jmp 0x00007F12B4567006
              """),
          of(
              "frida-gum call_near_indirect",
              """
              ff 14 25 78 56 34 12 | call [0x0000000012345678]
              """,
              "",
              """
              68 07 10 40 00       | push 0x401007
              ff 24 25 78 56 34 12 | jmp [0x0000000012345678]
              """),
          of(
              "frida-gum jmp_short_outside_block",
              """
              eb 01 | jmp 0x0000000000401003
              """,
              """
              90    | nop
              90    | nop
              """,
              """
              e9 fe ff ff bf | jmp 0x0000000000401003
              """),
          of(
              "frida-gum jmp_near_outside_block",
              """
              e9 01 00 00 00 | jmp 0x0000000000401006
              """,
              "",
              """
              e9 01 00 00 c0 | jmp 0x0000000000401006
              """),
          of(
              "frida-gum jmp_register",
              """
              ff e0 | jmp rax
              """,
              "",
              """
              ff e0 | jmp rax
              """),
          of(
              "frida-gum jmp_indirect",
              """
              48 ff 60 08 | jmp [rax+0x08]
              """,
              "",
              """
              48 ff 60 08 | jmp [rax+0x08]
              """),
          of(
              "frida-gum jcc_short_within_block, skip_instruction",
              """
              31 c0             | xor eax, eax
              81 fb 2a 00 00 00 | cmp ebx, 0x2A
              75 02             | jnz 0x000000000040100C
              ff c0             | inc eax
              c3                | ret
              """,
              "",
              """
              31 c0             | xor eax, eax
              81 fb 2a 00 00 00 | cmp ebx, 0x2A
              0f 85 02 00 00 00 | jnz 0x0000000040401010
              ff c0             | inc eax
              c3                | ret
              """),
          of(
              "frida-gum jcc_short_outside_block",
              """
              75 fd | jnz 0x0000000000400FFF
              c3    | ret
              """,
              "",
              """
              0f 85 f9 ff ff bf | jnz 0x0000000000400FFF
              c3                | ret
              """),
          of(
              "frida-gum jcc_near_outside_block",
              """
              0f 84 da 00 00 00 | jz 0x00000000004010E0
              c3                | ret
              """,
              "",
              """
              0f 84 da 00 00 c0 | jz 0x00000000004010E0
              c3                | ret
              """),
          of(
              "frida-gum jcxz_short_within_block",
              """
              e3 02 | jrcxz 0x0000000000401004
              ff c0 | inc eax
              c3    | ret
              """,
              "",
              """
              e3 02          | jrcxz 0x0000000040401004
              eb 05          | jmp 0x0000000040401009
              e9 02 00 00 00 | jmp 0x000000004040100B
              ff c0          | inc eax
              c3             | ret
              """),
          of(
              "frida-gum jcxz_short_outside_block",
              """
              e3 fd | jrcxz 0x0000000000400FFF
              c3    | ret
              """,
              "",
              """
              e3 02          | jrcxz 0x0000000040401004
              eb 05          | jmp 0x0000000040401009
              e9 f6 ff ff bf | jmp 0x0000000000400FFF
              c3             | ret
              """),
          of(
              "frida-gum peek_next_write",
              """
              31 c0 | xor eax, eax
              ff c0 | inc eax
              """,
              "",
              """
              31 c0          | xor eax, eax
              ff c0          | inc eax
              e9 fb ff ff bf | jmp 0x0000000000401004
              """),
          of(
              "frida-gum eob_and_eoi_on_jmp: no jump back",
              """
              eb 01 | jmp 0x0000000000401003
              """,
              "",
              """
              e9 fe ff ff bf | jmp 0x0000000000401003
              """),
          of(
              "frida-gum eob_but_not_eoi_on_call: the callee returns to the old code",
              """
              e8 42 00 00 00 | call 0x0000000000401047
              """,
              """
              90             | nop
              """,
              """
              68 05 10 40 00 | push 0x401005
              e9 3d 00 00 c0 | jmp 0x0000000000401047
              """),
          of(
              "frida-gum eob_and_eoi_on_ret: no jump back",
              """
              c2 04 00 | ret 0x04
              """,
              "",
              """
              c2 04 00 | ret 0x04
              """),
          of(
              "frida-gum eob_but_not_eoi_on_jcc",
              """
              74 01 | jz 0x0000000000401003
              """,
              """
              c3    | ret
              """,
              """
              0f 84 fd ff ff bf | jz 0x0000000000401003
              e9 f7 ff ff bf    | jmp 0x0000000000401002
              """),
          of(
              "frida-gum eob_but_not_eoi_on_jcxz",
              """
              e3 01 | jrcxz 0x0000000000401003
              """,
              """
              c3    | ret
              """,
              """
              e3 02          | jrcxz 0x0000000040401004
              eb 05          | jmp 0x0000000040401009
              e9 fa ff ff bf | jmp 0x0000000000401003
              e9 f4 ff ff bf | jmp 0x0000000000401002
              """),
          of(
              "frida-gum rip_relative_move_different_target",
              """
              8b 15 01 00 00 00 | mov edx, [0x0000000000401007]
              """,
              """
              c3                | ret
              """,
              """
              8b 15 01 00 00 c0 | mov edx, [0x0000000000401007]
              e9 fb ff ff bf    | jmp 0x0000000000401006
              """),
          of(
              "frida-gum rip_relative_move_same_target",
              """
              8b 05 01 00 00 00 | mov eax, [0x0000000000401007]
              """,
              """
              c3                | ret
              """,
              """
              8b 05 01 00 00 c0 | mov eax, [0x0000000000401007]
              e9 fb ff ff bf    | jmp 0x0000000000401006
              """),
          of(
              "frida-gum rip_relative_push, rip_relative_push_red_zone",
              """
              ff 35 01 02 03 04 | push [0x0000000004431207]
              """,
              "",
              """
              ff 35 01 02 03 c4 | push [0x0000000004431207]
              e9 fb ff ff bf    | jmp 0x0000000000401006
              """),
          of(
              "frida-gum rip_relative_cmpxchg",
              """
              f0 48 0f b1 0d 01 00 00 00 | lock cmpxchg [0x000000000040100A], rcx
              """,
              "",
              """
              f0 48 0f b1 0d 01 00 00 c0 | lock cmpxchg [0x000000000040100A], rcx
              e9 fb ff ff bf             | jmp 0x0000000000401009
              """),
          high(
              "frida-gum rip_relative_call",
              """
              ff 15 34 12 00 00 | call [0x00007F12B456823A]
              """,
              """
              68 06 70 56 b4          | push 0xFFFFFFFFB4567006
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              ff 25 27 12 00 c0       | jmp [0x00007F12B456823A]
              """),
          new RelocationCase(
              "frida-gum rip_relative_adjust_offset, with its addresses",
              0x10007043fL,
              """
              48 8b 05 6a bc 40 01 | mov rax, [0x000000010147C0B0]
              """,
              "",
              0x103214e75L,
              """
              48 8b 05 34 72 26 fe | mov rax, [0x000000010147C0B0]
              e9 c5 b5 e5 fc       | jmp 0x0000000100070446
              """),
          new RelocationCase(
              "Orbit RelocateInstructionTest.RipRelativeAddressing, copy below the operand",
              0x100000000L,
              """
              48 83 05 33 94 96 00 01 | add qword ptr [0x000000010096943B], 0x01
              """,
              "",
              0x100845fddL,
              """
              48 83 05 56 34 12 00 01 | add qword ptr [0x000000010096943B], 0x01
              e9 1e a0 7b ff          | jmp 0x0000000100000008
              """),
          new RelocationCase(
              "Orbit RelocateInstructionTest.RipRelativeAddressing, copy above the operand",
              0x100000000L,
              """
              48 83 05 33 94 96 00 01 | add qword ptr [0x000000010096943B], 0x01
              """,
              "",
              0x100a8c889L,
              """
              48 83 05 aa cb ed ff 01 | add qword ptr [0x000000010096943B], 0x01
              e9 72 37 57 ff          | jmp 0x0000000100000008
              """),
          of(
              "Orbit RelocateInstructionTest.UnconditionalJumpTo8BitImmediate",
              """
              eb 08 | jmp 0x000000000040100A
              """,
              "",
              """
              e9 05 00 00 c0 | jmp 0x000000000040100A
              """),
          of(
              "Orbit RelocateInstructionTest.UnconditionalJumpTo32BitImmediate",
              """
              e9 04 03 02 01 | jmp 0x0000000001421309
              """,
              "",
              """
              e9 04 03 02 c1 | jmp 0x0000000001421309
              """),
          high(
              "Orbit RelocateInstructionTest.CallInstructionIsNotSupported: here it is",
              """
              e8 04 03 02 01 | call 0x00007F12B5587309
              """,
              """
              68 05 70 56 b4          | push 0xFFFFFFFFB4567005
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              e9 f7 02 02 c1          | jmp 0x00007F12B5587309
              """),
          of(
              "Orbit RelocateInstructionTest.ConditionalJumpTo8BitImmediate",
              """
              71 40 | jno 0x0000000000401042
              """,
              "",
              """
              0f 81 3c 00 00 c0 | jno 0x0000000000401042
              e9 f7 ff ff bf    | jmp 0x0000000000401002
              """),
          of(
              "Orbit RelocateInstructionTest.ConditionalJumpTo32BitImmediate",
              """
              0f 80 78 56 34 12 | jo 0x000000001274667E
              """,
              "",
              """
              0f 80 78 56 34 d2 | jo 0x000000001274667E
              e9 fb ff ff bf    | jmp 0x0000000000401006
              """),
          of(
              "Orbit RelocateInstructionTest.LoopIsUnsupported: here it is supported",
              """
              e1 40 | loope 0x0000000000401042
              """,
              "",
              """
              e1 02          | loope 0x0000000040401004
              eb 05          | jmp 0x0000000040401009
              e9 39 00 00 c0 | jmp 0x0000000000401042
              e9 f4 ff ff bf | jmp 0x0000000000401002
              """),
          of(
              "Orbit RelocateInstructionTest.TrivialTranslation",
              """
              90 | nop
              """,
              "",
              """
              90             | nop
              e9 fb ff ff bf | jmp 0x0000000000401001
              """),
          of(
              "Orbit InstrumentFunctionTest.LongEnough",
              """
              90 | nop
              90 | nop
              90 | nop
              90 | nop
              c3 | ret
              """,
              "",
              """
              90 | nop
              90 | nop
              90 | nop
              90 | nop
              c3 | ret
              """),
          of(
              "Orbit InstrumentFunctionTest.RipRelativeAddressing: the operand is behind the site",
              """
              48 8b 05 03 00 00 00 | mov rax, [0x000000000040100A]
              """,
              """
              90                   | nop
              90                   | nop
              c3                   | ret
              """,
              """
              48 8b 05 03 00 00 c0 | mov rax, [0x000000000040100A]
              e9 fb ff ff bf       | jmp 0x0000000000401007
              """),
          of(
              "Orbit InstrumentFunctionTest.UnconditionalJump32BitOffset",
              """
              e9 00 01 00 00 | jmp 0x0000000000401105
              """,
              "",
              """
              e9 00 01 00 c0 | jmp 0x0000000000401105
              """),
          of(
              "Orbit InstrumentFunctionTest.ConditionalJump8BitOffset",
              """
              75 03 | jnz 0x0000000000401005
              90    | nop
              90    | nop
              90    | nop
              """,
              """
              31 c0 | xor eax, eax
              90    | nop
              90    | nop
              c3    | ret
              """,
              """
              0f 85 ff ff ff bf | jnz 0x0000000000401005
              90                | nop
              90                | nop
              90                | nop
              e9 f7 ff ff bf    | jmp 0x0000000000401005
              """),
          of(
              "Orbit InstrumentFunctionTest.ConditionalJump32BitOffset",
              """
              31 c0             | xor eax, eax
              0f 85 02 01 00 00 | jnz 0x000000000040110A
              """,
              """
              90                | nop
              c3                | ret
              """,
              """
              31 c0             | xor eax, eax
              0f 85 02 01 00 c0 | jnz 0x000000000040110A
              e9 fb ff ff bf    | jmp 0x0000000000401008
              """),
          of(
              "Orbit InstrumentFunctionTest.Loop: here it is supported",
              """
              66 b9 2a 00 | mov cx, 0x2A
              e0 fe       | loopne 0x0000000000401004
              """,
              """
              c3          | ret
              """,
              """
              66 b9 2a 00    | mov cx, 0x2A
              e0 02          | loopne 0x0000000040401008
              eb 05          | jmp 0x000000004040100D
              e9 f7 ff ff ff | jmp 0x0000000040401004
              e9 f4 ff ff bf | jmp 0x0000000000401006
              """),
          of(
              "a loop over the first byte stays in the copy",
              """
              ff c8 | dec eax
              75 fc | jnz 0x0000000000401000
              90    | nop
              """,
              "",
              """
              ff c8             | dec eax
              0f 85 f8 ff ff ff | jnz 0x0000000040401000
              90                | nop
              e9 f7 ff ff bf    | jmp 0x0000000000401005
              """),
          of(
              "a jump back to a boundary in the middle",
              """
              90    | nop
              ff c8 | dec eax
              75 fc | jnz 0x0000000000401001
              """,
              "",
              """
              90                | nop
              ff c8             | dec eax
              0f 85 f8 ff ff ff | jnz 0x0000000040401001
              e9 f7 ff ff bf    | jmp 0x0000000000401005
              """),
          of(
              "loop, loope, loopne, with ecx by a 67 prefix",
              """
              67 e2 10 | loop 0x0000000000401013
              67 e1 10 | loope 0x0000000000401016
              67 e0 10 | loopne 0x0000000000401019
              """,
              "",
              """
              67 e2 02       | loop 0x0000000040401005
              eb 05          | jmp 0x000000004040100A
              e9 09 00 00 c0 | jmp 0x0000000000401013
              67 e1 02       | loope 0x000000004040100F
              eb 05          | jmp 0x0000000040401014
              e9 02 00 00 c0 | jmp 0x0000000000401016
              67 e0 02       | loopne 0x0000000040401019
              eb 05          | jmp 0x000000004040101E
              e9 fb ff ff bf | jmp 0x0000000000401019
              e9 e6 ff ff bf | jmp 0x0000000000401009
              """),
          of(
              "jrcxz, jecxz",
              """
              e3 10    | jrcxz 0x0000000000401012
              67 e3 10 | jecxz 0x0000000000401015
              """,
              "",
              """
              e3 02          | jrcxz 0x0000000040401004
              eb 05          | jmp 0x0000000040401009
              e9 09 00 00 c0 | jmp 0x0000000000401012
              67 e3 02       | jecxz 0x000000004040100E
              eb 05          | jmp 0x0000000040401013
              e9 02 00 00 c0 | jmp 0x0000000000401015
              e9 ed ff ff bf | jmp 0x0000000000401005
              """),
          of(
              "a branch hint stays",
              """
              2e 74 10 | jz 0x0000000000401013
              3e 75 10 | jnz 0x0000000000401016
              """,
              "",
              """
              2e 0f 84 0c 00 00 c0 | jz 0x0000000000401013
              3e 0f 85 08 00 00 c0 | jnz 0x0000000000401016
              e9 f3 ff ff bf       | jmp 0x0000000000401006
              """),
          of(
              "bnd stays",
              """
              f2 eb 10 | jmp 0x0000000000401013
              """,
              "",
              """
              f2 e9 0d 00 00 c0 | bnd jmp 0x0000000000401013
              """),
          of(
              "bnd stays on a conditional jump",
              """
              f2 74 10 | bnd jz 0x0000000000401013
              """,
              "",
              """
              f2 0f 84 0c 00 00 c0 | bnd jz 0x0000000000401013
              e9 f7 ff ff bf       | jmp 0x0000000000401003
              """),
          of(
              "a REX prefix that means nothing stays",
              """
              48 eb 10 | jmp 0x0000000000401013
              """,
              "",
              """
              48 e9 0d 00 00 c0 | jmp 0x0000000000401013
              """),
          high(
              "addr32 call, as linkers make it",
              """
              67 e8 10 00 00 00 | call 0x00007F12B4567016
              """,
              """
              68 06 70 56 b4          | push 0xFFFFFFFFB4567006
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              67 e9 03 00 00 c0       | jmp 0x00007F12B4567016
              """),
          high(
              "call of a register",
              """
              ff d0 | call rax
              """,
              """
              68 02 70 56 b4          | push 0xFFFFFFFFB4567002
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              ff e0                   | jmp rax
              """),
          high(
              "call of r12, whose low bits are those of rsp",
              """
              41 ff d4 | call r12
              """,
              """
              68 03 70 56 b4          | push 0xFFFFFFFFB4567003
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              41 ff e4                | jmp r12
              """),
          high(
              "notrack call of a register",
              """
              3e ff d0 | notrack call rax
              """,
              """
              68 03 70 56 b4          | push 0xFFFFFFFFB4567003
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              3e ff e0                | notrack jmp rax
              """),
          high(
              "call through memory",
              """
              ff 50 18 | call [rax+0x18]
              """,
              """
              68 03 70 56 b4          | push 0xFFFFFFFFB4567003
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              ff 60 18                | jmp [rax+0x18]
              """),
          high(
              "call through memory of a segment",
              """
              64 ff 14 25 10 00 00 00 | call fs:[0x0000000000000010]
              """,
              """
              68 08 70 56 b4          | push 0xFFFFFFFFB4567008
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              64 ff 24 25 10 00 00 00 | jmp fs:[0x0000000000000010]
              """),
          high(
              "call through [rsp]: 8 bytes further once rsp has moved",
              """
              ff 14 24 | call [rsp]
              """,
              """
              68 03 70 56 b4          | push 0xFFFFFFFFB4567003
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              ff 64 24 08             | jmp [rsp+0x08]
              """),
          high(
              "call through [rsp+8]",
              """
              ff 54 24 08 | call [rsp+0x08]
              """,
              """
              68 04 70 56 b4          | push 0xFFFFFFFFB4567004
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              ff 64 24 10             | jmp [rsp+0x10]
              """),
          high(
              "call through [rsp+120]: the displacement outgrows a byte",
              """
              ff 54 24 78 | call [rsp+0x78]
              """,
              """
              68 04 70 56 b4          | push 0xFFFFFFFFB4567004
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              ff a4 24 80 00 00 00    | jmp [rsp+0x80]
              """),
          high(
              "call through [rsp+0x1000]",
              """
              ff 94 24 00 10 00 00 | call [rsp+0x1000]
              """,
              """
              68 07 70 56 b4          | push 0xFFFFFFFFB4567007
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              ff a4 24 08 10 00 00    | jmp [rsp+0x1008]
              """),
          high(
              "call through [rsp-16]: below what the return address needs",
              """
              ff 54 24 f0 | call [rsp-0x10]
              """,
              """
              68 04 70 56 b4          | push 0xFFFFFFFFB4567004
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              ff 64 24 f8             | jmp [rsp-0x08]
              """),
          high(
              "call through [rsp+rcx*8]",
              """
              ff 14 cc | call [rsp+rcx*8]
              """,
              """
              68 03 70 56 b4          | push 0xFFFFFFFFB4567003
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              ff 64 cc 08             | jmp [rsp+rcx*8+0x08]
              """),
          high(
              "call through [r12]",
              """
              41 ff 14 24 | call [r12]
              """,
              """
              68 04 70 56 b4          | push 0xFFFFFFFFB4567004
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              41 ff 24 24             | jmp [r12]
              """),
          high(
              "call through [rax+r12*2], whose index has the low bits of none",
              """
              42 ff 14 60 | call [rax+r12*2]
              """,
              """
              68 04 70 56 b4          | push 0xFFFFFFFFB4567004
              c7 44 24 04 12 7f 00 00 | mov dword ptr [rsp+0x04], 0x7F12
              42 ff 24 60             | jmp [rax+r12*2]
              """),
          of(
              "a return address below 2 GiB needs no second half",
              """
              ff d0 | call rax
              """,
              "",
              """
              68 02 10 40 00 | push 0x401002
              ff e0          | jmp rax
              """),
          new RelocationCase(
              "a return address whose low half has a sign bit needs the second half",
              0x90000000L,
              """
              ff d0 | call rax
              """,
              "",
              0xa0000000L,
              """
              68 02 00 00 90          | push 0xFFFFFFFF90000002
              c7 44 24 04 00 00 00 00 | mov dword ptr [rsp+0x04], 0x00
              ff e0                   | jmp rax
              """),
          of(
              "a call of the first byte is a recursion and leads to the site",
              """
              e8 fb ff ff ff | call 0x0000000000401000
              """,
              "",
              """
              68 05 10 40 00 | push 0x401005
              e9 f6 ff ff bf | jmp 0x0000000000401000
              """),
          of(
              "an immediate behind a RIP-relative operand",
              """
              81 05 00 10 00 00 78 56 34 12 | add dword ptr [0x000000000040200A], 0x12345678
              """,
              "",
              """
              81 05 00 10 00 c0 78 56 34 12 | add dword ptr [0x000000000040200A], 0x12345678
              e9 fb ff ff bf                | jmp 0x000000000040100A
              """),
          of(
              "a RIP-relative operand right behind the site",
              """
              48 8d 05 00 00 00 00 | lea rax, [0x0000000000401007]
              """,
              """
              c3                   | ret
              """,
              """
              48 8d 05 00 00 00 c0 | lea rax, [0x0000000000401007]
              e9 fb ff ff bf       | jmp 0x0000000000401007
              """),
          of(
              "jump through memory that RIP is the base of",
              """
              ff 25 00 10 00 00 | jmp [0x0000000000402006]
              """,
              "",
              """
              ff 25 00 10 00 c0 | jmp [0x0000000000402006]
              """),
          of(
              "notrack jump through a table",
              """
              3e ff 24 c5 00 10 40 00 | notrack jmp [rax*8+0x401000]
              """,
              "",
              """
              3e ff 24 c5 00 10 40 00 | notrack jmp [rax*8+0x401000]
              """),
          of(
              "a repeated string instruction that is not the first",
              """
              90    | nop
              f3 a4 | rep movsb
              90    | nop
              90    | nop
              """,
              "",
              """
              90             | nop
              f3 a4          | rep movsb
              90             | nop
              90             | nop
              e9 fb ff ff bf | jmp 0x0000000000401005
              """),
          of(
              "ret in the middle, with a branch over it",
              """
              74 01 | jz 0x0000000000401003
              c3    | ret
              31 c0 | xor eax, eax
              """,
              "",
              """
              0f 84 01 00 00 00 | jz 0x0000000040401007
              c3                | ret
              31 c0             | xor eax, eax
              e9 f7 ff ff bf    | jmp 0x0000000000401005
              """),
          of(
              "rep ret",
              """
              90    | nop
              90    | nop
              90    | nop
              f3 c3 | ret
              """,
              "",
              """
              90    | nop
              90    | nop
              90    | nop
              f3 c3 | ret
              """),
          of(
              "VEX with a RIP-relative operand",
              """
              c5 fc 10 05 00 10 00 00 | vmovups ymm0, [0x0000000000402008]
              """,
              "",
              """
              c5 fc 10 05 00 10 00 c0 | vmovups ymm0, [0x0000000000402008]
              e9 fb ff ff bf          | jmp 0x0000000000401008
              """),
          of(
              "EVEX with a RIP-relative operand",
              """
              62 f1 7c 48 58 05 00 10 00 00 | vaddps zmm0, zmm0, [0x000000000040200A]
              """,
              "",
              """
              62 f1 7c 48 58 05 00 10 00 c0 | vaddps zmm0, zmm0, [0x000000000040200A]
              e9 fb ff ff bf                | jmp 0x000000000040100A
              """));
}
