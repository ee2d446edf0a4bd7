package io.github.textpoke.linux;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.ImmutableLongArray;
import io.github.textpoke.elf.CallFrames;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FrameRow;
import io.github.textpoke.elf.TestObjects;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import jnr.ffi.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Compares our constants with those of the C headers, as a C compiler sees them. */
final class RegistersTest {
  private static final Map<String, String> REGISTERS =
      ImmutableMap.<String, String>builder()
          .put("SIZE", "sizeof(struct user_regs_struct)")
          .put("RBX", register("rbx"))
          .put("R10", register("r10"))
          .put("R9", register("r9"))
          .put("R8", register("r8"))
          .put("RAX", register("rax"))
          .put("RDX", register("rdx"))
          .put("RSI", register("rsi"))
          .put("RDI", register("rdi"))
          .put("ORIG_RAX", register("orig_rax"))
          .put("RIP", register("rip"))
          .put("CS", register("cs"))
          .put("EFLAGS", register("eflags"))
          .put("RSP", register("rsp"))
          .build();

  private static final Map<String, String> PTRACE =
      ImmutableMap.<String, String>builder()
          .put("SIGTRAP", "SIGTRAP")
          .put("SIGSTOP", "SIGSTOP")
          .put("SIGTSTP", "SIGTSTP")
          .put("SIGTTIN", "SIGTTIN")
          .put("SIGTTOU", "SIGTTOU")
          .put("EVENT_STOP", "PTRACE_EVENT_STOP")
          .put("EVENT_FORK", "PTRACE_EVENT_FORK")
          .put("EVENT_VFORK", "PTRACE_EVENT_VFORK")
          .put("EVENT_CLONE", "PTRACE_EVENT_CLONE")
          .put("EVENT_EXEC", "PTRACE_EVENT_EXEC")
          .put("SI_KERNEL", "SI_KERNEL")
          .put("CONT", "PTRACE_CONT")
          .put("SINGLESTEP", "PTRACE_SINGLESTEP")
          .put("GETREGS", "PTRACE_GETREGS")
          .put("SETREGS", "PTRACE_SETREGS")
          .put("DETACH", "PTRACE_DETACH")
          .put("SETOPTIONS", "PTRACE_SETOPTIONS")
          .put("GETEVENTMSG", "PTRACE_GETEVENTMSG")
          .put("GETSIGINFO", "PTRACE_GETSIGINFO")
          .put("SEIZE", "PTRACE_SEIZE")
          .put("SYSCALL", "PTRACE_SYSCALL")
          .put("INTERRUPT", "PTRACE_INTERRUPT")
          .put("LISTEN", "PTRACE_LISTEN")
          .put("PEEKSIGINFO", "PTRACE_PEEKSIGINFO")
          .put("GETSIGMASK", "PTRACE_GETSIGMASK")
          .put("SETSIGMASK", "PTRACE_SETSIGMASK")
          .put("SECCOMP_GET_FILTER", "PTRACE_SECCOMP_GET_FILTER")
          .put("GET_SYSCALL_INFO", "PTRACE_GET_SYSCALL_INFO")
          .put("GET_RSEQ_CONFIGURATION", "PTRACE_GET_RSEQ_CONFIGURATION")
          .put("SYSCALL_STOPS_ARE_MARKED", "PTRACE_O_TRACESYSGOOD")
          .put("SYSCALL_STOP", "SIGTRAP | 0x80")
          .put(
              "OPTIONS",
              "PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK"
                  + " | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC")
          .put("START_OPTIONS", "PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL")
          .put("NEXT_OPTIONS", "PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC")
          .put("WNOHANG", "WNOHANG")
          .put("WALL", "__WALL")
          .put("WNOTHREAD", "__WNOTHREAD")
          .put("SIGINFO_SIZE", "sizeof(siginfo_t)")
          .build();

  /** The kernel's own restart codes are in no header of user space. */
  private static final Map<String, String> ERRNO =
      ImmutableMap.<String, String>builder()
          .put("EPERM", "EPERM")
          .put("ENOENT", "ENOENT")
          .put("ESRCH", "ESRCH")
          .put("EINTR", "EINTR")
          .put("EIO", "EIO")
          .put("ENOEXEC", "ENOEXEC")
          .put("ECHILD", "ECHILD")
          .put("EACCES", "EACCES")
          .put("EAGAIN", "EAGAIN")
          .put("EINVAL", "EINVAL")
          .put("ENOSYS", "ENOSYS")
          .put("EEXIST", "EEXIST")
          .put("ERESTARTSYS", "512")
          .put("ERESTARTNOINTR", "513")
          .put("ERESTARTNOHAND", "514")
          .put("ERESTART_RESTARTBLOCK", "516")
          .build();

  private static final Map<String, String> KERNEL =
      ImmutableMap.<String, String>builder()
          .put("SYS_RT_SIGACTION", "SYS_rt_sigaction")
          .put("SYS_MMAP", "SYS_mmap")
          .put("SYS_CLOSE", "SYS_close")
          .put("SYS_GETPID", "SYS_getpid")
          .put("SYS_MADVISE", "SYS_madvise")
          .put("SYS_MEMFD_CREATE", "SYS_memfd_create")
          .put("SYS_CLOSE_RANGE", "SYS_close_range")
          .put("SYS_PAUSE", "SYS_pause")
          .put("SYS_PRCTL", "SYS_prctl")
          .put("SYS_FUTEX", "SYS_futex")
          .put("SYS_GET_ROBUST_LIST", "SYS_get_robust_list")
          .put("SYS_MPROTECT", "SYS_mprotect")
          .put("FUTEX_WAIT", "FUTEX_WAIT")
          .put("FUTEX_WAKE", "FUTEX_WAKE")
          .put("NANOS_PER_SECOND", "1000000000")
          .put("SYS_MUNMAP", "SYS_munmap")
          .put("SYS_NANOSLEEP", "SYS_nanosleep")
          .put("SYS_EXECVE", "SYS_execve")
          .put("SYS_EXECVEAT", "SYS_execveat")
          .put("SYS_GETXATTR", "SYS_getxattr")
          .put("SYS_CLONE", "SYS_clone")
          .put("SYS_EXIT", "SYS_exit")
          .put("SYS_MEMBARRIER", "SYS_membarrier")
          .put("SYS_SCHED_SETSCHEDULER", "SYS_sched_setscheduler")
          .put("SYS_GETTID", "SYS_gettid")
          .put("SYS_SCHED_SETAFFINITY", "SYS_sched_setaffinity")
          .put("SYS_GETCPU", "SYS_getcpu")
          .put("SYS_TGKILL", "SYS_tgkill")
          .put("SYS_KILL", "SYS_kill")
          .put("SYS_KCMP", "SYS_kcmp")
          .put("SYS_CLOCK_GETTIME", "SYS_clock_gettime")
          .put("CLOCK_MONOTONIC", "CLOCK_MONOTONIC")
          .put("KCMP_VM", "KCMP_VM")
          .put("SCHED_FIFO", "SCHED_FIFO")
          .put("SCHED_OTHER", "SCHED_OTHER")
          .put("AFFINITY_SIZE", "sizeof(cpu_set_t)")
          .put("WALL", "__WALL")
          .put("WNOHANG", "WNOHANG")
          .build();

  @TempDir Path directory;

  private static String register(String name) {
    return "offsetof(struct user_regs_struct, " + name + ")";
  }

  @Test
  void registersLieWhereTheHeaderSays() throws Exception {
    assertThat(constants(Registers.class)).containsAllEntriesOf(compiled(REGISTERS));
  }

  @Test
  void ptraceConstantsAreThoseOfTheHeaders() throws Exception {
    assertThat(constants(Ptrace.class)).containsAllEntriesOf(compiled(PTRACE));
  }

  @Test
  void errorNumbersAreThoseOfTheHeader() throws Exception {
    assertThat(constants(Errno.class)).isEqualTo(compiled(ERRNO));
  }

  @Test
  void systemCallNumbersAreThoseOfTheHeader() throws Exception {
    assertThat(constants(Kernel.class)).isEqualTo(compiled(KERNEL));
  }

  @Test
  void everyRegisterConstantIsCompared() throws Exception {
    Map<String, Long> offsets = constants(Registers.class);
    // Not offsets: what is in a register, and how many there are.
    offsets.keySet().removeAll(Set.of("CS_64", "DIRECTION_FLAG", "TRAP_FLAG", "COUNT"));
    assertThat(offsets.keySet()).isEqualTo(REGISTERS.keySet());
  }

  @Test
  void aSystemCallIsSetUpByTheConvention() {
    Registers registers = new Registers();
    registers.setSystemCall(0x1000, 9, 1, 2, 3, 4, 5, 6);
    assertThat(registers.rip()).isEqualTo(0x1000);
    assertThat(registers.rax()).isEqualTo(9);
    assertThat(registers.origRax()).isEqualTo(-1);
    assertThat(registers.rdx()).isEqualTo(3);
    assertThat(registers.r10()).isEqualTo(4);
    assertThat(longAt(registers, Registers.RDI)).isEqualTo(1);
    assertThat(longAt(registers, Registers.RSI)).isEqualTo(2);
    assertThat(longAt(registers, Registers.R8)).isEqualTo(5);
    assertThat(longAt(registers, Registers.R9)).isEqualTo(6);
  }

  @Test
  void aSystemCallClearsDirectionAndTrapFlagOnly() {
    Registers registers = new Registers();
    Pointer.wrap(Libc.RUNTIME, registers.address()).putLong(Registers.EFLAGS, 0xfffL);
    registers.setSystemCall(0x1000, 9, 0, 0, 0, 0, 0, 0);
    assertThat(longAt(registers, Registers.EFLAGS)).isEqualTo(0xaffL);
  }

  @Test
  void aCopyIsEqualAndItsOwn() {
    Registers registers = new Registers();
    registers.setSystemCall(0x1000, 9, 1, 2, 3, 4, 5, 6);
    Registers copy = new Registers();
    copy.copyFrom(registers);
    for (int offset = 0; offset < Registers.SIZE; offset += 8) {
      assertThat(longAt(copy, offset)).isEqualTo(longAt(registers, offset));
    }
    copy.setRip(0x2000);
    copy.setRax(-4);
    assertThat(copy.rip()).isEqualTo(0x2000);
    assertThat(copy.rax()).isEqualTo(-4);
    assertThat(registers.rip()).isEqualTo(0x1000);
    assertThat(registers.rax()).isEqualTo(9);
  }

  /** The assembler and the header know the names; each has its own order. */
  @Test
  void generalRegistersHaveThePlacesOfTheirDwarfNumbers() throws Exception {
    List<String> names =
        List.of(
            "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12",
            "r13", "r14", "r15");
    StringBuilder assembly = new StringBuilder(".text\nf:\n.cfi_startproc\n");
    Map<String, String> offsets = new TreeMap<>();
    for (int i = 0; i < names.size(); i++) {
      assembly.append(".cfi_offset %%%s, %d\n".formatted(names.get(i), -8 * (i + 100)));
      offsets.put(names.get(i), register(names.get(i)));
    }
    TestObjects.source(directory, "f.s", assembly.append("nop\n.cfi_endproc\n").toString());
    TestObjects.run(directory, "gcc", "-shared", "-nostdlib", "-o", "f.so", "f.s");
    CallFrames frames = CallFrames.of(ElfImage.read(directory.resolve("f.so")));
    Registers registers = new Registers();
    Pointer struct = Pointer.wrap(Libc.RUNTIME, registers.address());
    compiled(offsets)
        .forEach((name, offset) -> struct.putLong(offset, -8 * (names.indexOf(name) + 100)));
    ImmutableLongArray general = registers.general();
    assertThat(general.length()).isEqualTo(names.size());
    for (int number = 0; number < names.size(); number++) {
      assertThat(frames.rowAt(frames.ranges().get(0).start()).orElseThrow().registers())
          .containsEntry(number, new FrameRow.SavedAt(general.get(number)));
    }
  }

  private static long longAt(Registers registers, int offset) {
    return Pointer.wrap(Libc.RUNTIME, registers.address()).getLong(offset);
  }

  /** The values of C expressions, by our names for them. */
  private Map<String, Long> compiled(Map<String, String> expressions) throws Exception {
    StringBuilder source =
        new StringBuilder(
            """
            #define _GNU_SOURCE
            #include <errno.h>
            #include <linux/futex.h>
            #include <linux/kcmp.h>
            #include <sched.h>
            #include <signal.h>
            #include <stddef.h>
            #include <stdio.h>
            #include <sys/ptrace.h>
            #include <sys/syscall.h>
            #include <sys/user.h>
            #include <sys/wait.h>
            #include <time.h>
            int main(void) {
            """);
    expressions.forEach(
        (name, expression) ->
            source.append(
                "printf(\"%s %%lld\\n\", (long long) (%s));%n".formatted(name, expression)));
    TestObjects.source(directory, "constants.c", source.append("return 0; }\n").toString());
    TestObjects.run(directory, "gcc", "-o", "constants", "constants.c");
    Map<String, Long> values = new TreeMap<>();
    TestObjects.run(directory, "./constants")
        .lines()
        .map(line -> line.split(" "))
        .forEach(words -> values.put(words[0], Long.parseLong(words[1])));
    assertThat(values).hasSameSizeAs(expressions);
    return values;
  }

  /** All static numbers of a class, the private ones too. */
  private static Map<String, Long> constants(Class<?> type) throws IllegalAccessException {
    Map<String, Long> values = new TreeMap<>();
    for (Field field : type.getDeclaredFields()) {
      if (Modifier.isStatic(field.getModifiers()) && field.getType().isPrimitive()) {
        field.setAccessible(true);
        values.put(field.getName(), ((Number) field.get(null)).longValue());
      }
    }
    return values;
  }
}
