package io.github.textpoke.unwind;

import io.github.textpoke.elf.TestObjects;
import java.nio.file.Path;

/** A program that says where it is: its own backtrace(3), and its registers. */
public final class StackPrograms {
  /**
   * {@code threads}: each thread prints {@code name tid address...} and stays blocked; then {@code
   * ready}. {@code steps EVERY}: runs all scenarios by single steps, and after every EVERYth says
   * {@code step tid rip registers... | address...}, and goes on when it is told by a byte.
   */
  private static final String SOURCE =
      """
      #include <execinfo.h>
      #include <pthread.h>
      #include <signal.h>
      #include <stdarg.h>
      #include <stdio.h>
      #include <stdlib.h>
      #include <string.h>
      #include <alloca.h>
      #include <sys/syscall.h>
      #include <ucontext.h>
      #include <unistd.h>
      #define APART __attribute__((noinline, noclone, noipa))
      #define MOST 4096

      static pthread_mutex_t printing = PTHREAD_MUTEX_INITIALIZER;
      static volatile int stepping;
      static volatile long sink;
      static int never[2];
      static long every = 1;

      /* Published, then blocked. Saves rbp, which its callers may need. */
      extern "C" APART void stay(const char *name) {
        void *frames[MOST];
        if (stepping) { sink++; return; }
        asm volatile("" ::: "rbp", "rbx", "r12", "r13", "r14", "r15");
        int count = backtrace(frames, MOST);
        pthread_mutex_lock(&printing);
        printf("%s %ld", name, syscall(SYS_gettid));
        for (int i = 1; i < count; i++) printf(" %lx", (long) frames[i]);
        printf("\\n");
        fflush(stdout);
        pthread_mutex_unlock(&printing);
        char byte;
        while (read(never[0], &byte, 1) != 1) {}
      }

      extern "C" void bare_pause(void);
      extern "C" long pushes(long, const char *);
      asm(R"(
        .text
        .globl bare_pause
        .type bare_pause, @function
      bare_pause:
        .cfi_startproc
        mov $34, %eax
        syscall
        ret
        .cfi_endproc
        .size bare_pause, .-bare_pause
        .globl pushes
        .type pushes, @function
      pushes:
        .cfi_startproc
        push %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        mov %rsp, %r12
        .cfi_def_cfa_register %r12
        sub $64, %rsp
        and $-64, %rsp
        push %rdi
        mov %rsi, %rdi
        push %rdi
        call stay
        .cfi_remember_state
        pop %rdi
        pop %rax
        mov %r12, %rsp
        .cfi_def_cfa_register %rsp
        pop %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        inc %rax
        ret
        .cfi_restore_state
        ud2
        .cfi_endproc
        .size pushes, .-pushes
      )");

      extern "C" APART long deep(long n, const char *name) {
        if (n == 0) { stay(name); return sink; }
        volatile long mine = n;
        long below = deep(n - 1, name);
        return below + mine;
      }
      extern "C" APART long leaf(long x) { return x * 3 + 1; }
      extern "C" APART long uses_alloca(long n, const char *name) {
        char *room = (char *) alloca(n);
        memset(room, 1, n);
        stay(name);
        return room[n / 2] + leaf(n);
      }
      extern "C" APART __attribute__((optimize("no-omit-frame-pointer")))
      long with_frame_pointer(long n, const char *name) {
        stay(name);
        return leaf(n) + n;
      }
      extern "C" APART __attribute__((optimize("no-omit-frame-pointer")))
      long bare(long n) {
        bare_pause();
        return leaf(n) + n;
      }
      extern "C" APART long calls_bare(long n) { long got = bare(n + 1); return got + n; }
      extern "C" APART long unrelated(long n) { return leaf(n) + 7; }

      struct Guard {
        const char *name;
        APART ~Guard() { stay(name); }
      };
      extern "C" APART long thrower(long n) {
        if (n > 0) throw n;
        return leaf(n);
      }
      extern "C" APART long guarded(long n, const char *name) {
        Guard guard = {name};
        return thrower(n) + 1;
      }
      extern "C" APART long catcher(long n, const char *name) {
        try { return guarded(n, name); } catch (long thrown) { return thrown + 1; }
      }
      static int ascending(const void *a, const void *b) {
        return *(const int *) a - *(const int *) b;
      }
      static const char *compared;
      extern "C" APART int staying(const void *a, const void *b) {
        stay(compared);
        return ascending(a, b);
      }
      extern "C" APART long through_libc(const char *name) {
        int two[] = {2, 1};
        compared = name;
        qsort(two, 2, sizeof *two, staying);
        return two[0];
      }

      static void on_alternate_stack() {
        stack_t stack = {};
        stack.ss_size = 1 << 18;
        stack.ss_sp = malloc(stack.ss_size);
        sigaltstack(&stack, NULL);
      }
      static void interrupted(int, siginfo_t *, void *) { stay("handler"); }
      static void handle(int number, void (*handler)(int, siginfo_t *, void *)) {
        struct sigaction action = {};
        action.sa_sigaction = handler;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaction(number, &action, NULL);
      }
      extern "C" APART long spins(long n) {
        raise(SIGUSR1);
        return leaf(n);
      }

      static void *thread(void *which) {
        const char *name = (const char *) which;
        if (!strcmp(name, "deep")) sink += deep(2000, name);
        if (!strcmp(name, "alloca")) sink += uses_alloca(1000, name);
        if (!strcmp(name, "pointer")) sink += with_frame_pointer(3, name);
        if (!strcmp(name, "assembly")) sink += pushes(4, name);
        if (!strcmp(name, "cleanup")) sink += catcher(5, name);
        if (!strcmp(name, "library")) sink += through_libc(name);
        if (!strcmp(name, "handler")) { on_alternate_stack(); sink += spins(3); }
        if (!strcmp(name, "bare")) {
          pthread_mutex_lock(&printing);
          printf("bare %ld\\n", syscall(SYS_gettid));
          fflush(stdout);
          pthread_mutex_unlock(&printing);
          sink += calls_bare(4);
        }
        if (!strcmp(name, "runs")) {
          pthread_mutex_lock(&printing);
          printf("runs %ld\\n", syscall(SYS_gettid));
          fflush(stdout);
          pthread_mutex_unlock(&printing);
          while (1) sink++;
        }
        return NULL;
      }

      static const int order[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP,
        REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

      static char line[1 << 16];
      static char *put(char *at, unsigned long number) {
        char digits[16];
        int count = 0;
        do { digits[count++] = "0123456789abcdef"[number & 15]; number >>= 4; } while (number);
        *at++ = ' ';
        while (count) *at++ = digits[--count];
        return at;
      }
      static void step(int, siginfo_t *, void *context) {
        static long steps;
        if (steps++ % every) return;
        greg_t *registers = ((ucontext_t *) context)->uc_mcontext.gregs;
        void *frames[256];
        int count = backtrace(frames, 256);
        char *at = line;
        memcpy(at, "step", 4);
        at = put(at + 4, syscall(SYS_gettid));
        at = put(at, registers[REG_RIP]);
        for (int i = 0; i < 16; i++) at = put(at, registers[order[i]]);
        *at++ = ' ';
        *at++ = '|';
        for (int i = 1; i < count; i++) at = put(at, (long) frames[i]);
        *at++ = '\\n';
        write(1, line, at - line);
        char byte;
        while (read(0, &byte, 1) == -1) {}
      }
      extern "C" APART long lazily(long n) { return labs(n) + (long) strtol("12", NULL, 10); }
      extern "C" APART void all_steps(int throws) {
        if (throws) {
          sink += catcher(5, "");
          return;
        }
        sink += leaf(3);
        sink += deep(5, "");
        sink += uses_alloca(1000, "");
        sink += with_frame_pointer(3, "");
        sink += pushes(4, "");
        sink += lazily(-3);
        sink += through_libc("");
        sink += lazily(-4);
      }
      static void steps(int throws) {
        on_alternate_stack();
        handle(SIGTRAP, step);
        void *frames[4];
        backtrace(frames, 4);
        stepping = 1;
        asm volatile("pushfq; orl $0x100, (%%rsp); popfq" ::: "memory", "cc");
        all_steps(throws);
        asm volatile("pushfq; .cfi_adjust_cfa_offset 8; andl $~0x100, (%%rsp); popfq;"
                     ".cfi_adjust_cfa_offset -8" ::: "memory", "cc");
        write(1, "end\\n", 4);
      }
      int main(int argc, char **argv) {
        if (pipe(never)) return 1;
        if (!strcmp(argv[1], "steps")) {
          every = atol(argv[2]);
          steps(argc > 3);
          return 0;
        }
        handle(SIGUSR1, interrupted);
        static const char *names[] = {"deep", "alloca", "pointer", "assembly", "cleanup", "library",
          "handler", "bare", "runs"};
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
          pthread_t made;
          if (pthread_create(&made, NULL, thread, (void *) names[i])) return 1;
        }
        stay("main");
        return 0;
      }
      """;

  private StackPrograms() {}

  /** Compiles it for fixed addresses; its PLT is bound when it is first used. */
  public static Path compiled(Path directory) throws Exception {
    TestObjects.source(directory, "stacks.cc", SOURCE);
    TestObjects.run(
        directory,
        "g++",
        "-O2",
        "-fomit-frame-pointer",
        "-no-pie",
        "-fno-pie",
        "-pthread",
        "-Wl,-z,lazy",
        "-Wl,--build-id=sha1",
        "-o",
        "stacks",
        "stacks.cc");
    return directory.resolve("stacks");
  }
}
