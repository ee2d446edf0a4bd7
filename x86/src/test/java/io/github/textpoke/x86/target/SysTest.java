package io.github.textpoke.x86.target;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Compares our constants with those of the C headers, as a C compiler sees them. */
final class SysTest {
  private static final ImmutableSet<String> SYSTEM_CALLS =
      ImmutableSet.of(
          "READ",
          "OPENAT",
          "CLOSE",
          "MUNMAP",
          "RT_SIGACTION",
          "RT_SIGPROCMASK",
          "RT_SIGRETURN",
          "PREAD64",
          "PWRITE64",
          "GETPID",
          "CLONE",
          "FORK",
          "VFORK",
          "EXECVE",
          "CHDIR",
          "DUP3",
          "EXIT",
          "WAIT4",
          "KILL",
          "PTRACE",
          "GETPPID",
          "RT_SIGTIMEDWAIT",
          "PRCTL",
          "FUTEX",
          "GETDENTS64",
          "CLOCK_GETTIME",
          "EXIT_GROUP",
          "TGKILL",
          "KCMP",
          "MEMBARRIER",
          "CLONE3",
          "MMAP",
          "MADVISE",
          "NANOSLEEP",
          "SETITIMER",
          "FTRUNCATE",
          "READLINK",
          "SCHED_SETSCHEDULER",
          "GETTID",
          "SCHED_SETAFFINITY",
          "WAITID",
          "MEMFD_CREATE",
          "CLOSE_RANGE");

  /** What is not called as in C. The kernel's own restart codes are in no header of user space. */
  private static final ImmutableMap<String, String> RENAMED =
      ImmutableMap.<String, String>builder()
          .put("WALL", "__WALL")
          .put("ERESTARTNOHAND", "514")
          .put("ERESTARTNOINTR", "513")
          .put("CLOSE_RANGE_UNSHARE", "CLOSE_RANGE_UNSHARE")
          .put("NANOS_PER_SECOND", "1000000000")
          .put("REGISTERS_RAX", "offsetof(struct user_regs_struct, rax)")
          .put("REGISTERS_ORIG_RAX", "offsetof(struct user_regs_struct, orig_rax)")
          .put("REGISTERS_RIP", "offsetof(struct user_regs_struct, rip)")
          .put("REGISTERS_RSP", "offsetof(struct user_regs_struct, rsp)")
          .put("CONTEXT_RIP", "offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP])")
          .put("SIGINFO_SIZE", "sizeof(siginfo_t)")
          .put("SIGINFO_NUMBER", "offsetof(siginfo_t, si_signo)")
          .put("SIGINFO_CODE", "offsetof(siginfo_t, si_code)")
          .put("PEEK_COUNT", "offsetof(struct __ptrace_peeksiginfo_args, nr)")
          .put("ENTRY_LENGTH", "offsetof(struct dirent64, d_reclen)")
          .put("ENTRY_NAME", "offsetof(struct dirent64, d_name)")
          .put("TIME_SECONDS", "offsetof(struct timespec, tv_sec)")
          .put("TIME_NANOS", "offsetof(struct timespec, tv_nsec)")
          .buildOrThrow();

  /** What the C library has its own idea of: the kernel's headers are asked. */
  private static final ImmutableMap<String, String> KERNEL =
      ImmutableMap.<String, String>builder()
          .put("SA_RESTORER", "SA_RESTORER")
          .put("SIG_IGN", "SIG_IGN")
          .put("SIGSET_SIZE", "sizeof(sigset_t)")
          .put("ACTION_HANDLER", "offsetof(struct sigaction, sa_handler)")
          .put("ACTION_FLAGS", "offsetof(struct sigaction, sa_flags)")
          .put("ACTION_RESTORER", "offsetof(struct sigaction, sa_restorer)")
          .put("ACTION_MASK", "offsetof(struct sigaction, sa_mask)")
          .buildOrThrow();

  @TempDir Path directory;

  @Test
  void theKernelsNumbersAreThoseOfTheHeaders() throws Exception {
    Map<String, String> expressions = new TreeMap<>();
    for (String name : constants().keySet()) {
      expressions.put(name, RENAMED.getOrDefault(name, name));
    }
    SYSTEM_CALLS.forEach(name -> expressions.put(name, "SYS_" + name.toLowerCase(Locale.ROOT)));
    expressions.keySet().removeAll(KERNEL.keySet());
    Map<String, Long> values =
        compiled(
            """
            #define _GNU_SOURCE
            #include <dirent.h>
            #include <errno.h>
            #include <fcntl.h>
            #include <linux/close_range.h>
            #include <linux/futex.h>
            #include <linux/kcmp.h>
            #include <linux/membarrier.h>
            #include <sched.h>
            #include <signal.h>
            #include <sys/mman.h>
            #include <sys/prctl.h>
            #include <sys/ptrace.h>
            #include <sys/syscall.h>
            #include <sys/time.h>
            #include <sys/user.h>
            #include <sys/wait.h>
            #include <time.h>
            #include <ucontext.h>
            """,
            expressions);
    values.putAll(compiled("#include <asm/signal.h>\n", KERNEL));
    assertThat(constants()).isEqualTo(values);
  }

  /** The values of C expressions, by our names for them. */
  private Map<String, Long> compiled(String headers, Map<String, String> expressions)
      throws Exception {
    String lines =
        expressions.entrySet().stream()
            .map(
                entry ->
                    "printf(\"%s %%lld\\n\", (long long) (%s));"
                        .formatted(entry.getKey(), entry.getValue()))
            .collect(Collectors.joining("\n"));
    Files.writeString(
        directory.resolve("constants.c"),
        headers
            + "#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n"
            + lines
            + "\nreturn 0; }\n");
    output("gcc", "-o", "constants", "constants.c");
    Map<String, Long> values = new TreeMap<>();
    output("./constants")
        .lines()
        .map(line -> line.split(" "))
        .forEach(words -> values.put(words[0], Long.parseLong(words[1])));
    return values;
  }

  private String output(String... command) throws Exception {
    Process process =
        new ProcessBuilder(command).directory(directory.toFile()).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
    assertThat(process.waitFor()).as(output).isZero();
    return output;
  }

  private static Map<String, Long> constants() throws IllegalAccessException {
    Map<String, Long> values = new TreeMap<>();
    for (Field field : Sys.class.getDeclaredFields()) {
      if (field.getType().isPrimitive()) {
        values.put(field.getName(), ((Number) field.get(null)).longValue());
      }
    }
    return values;
  }
}
