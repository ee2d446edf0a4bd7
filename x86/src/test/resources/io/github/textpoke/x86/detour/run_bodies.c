// Runs the bodies of return overrides on this processor. Begins with a line of addresses:
//
//   code data original clock errno_location vdso_clock libc_errno_location
//
// all hexadecimal, of which clock and errno_location are functions of this program that change every
// register that a C function may change, and count what is strange about how they are called. Then takes commands, each a line, and answers each:
//
//   load CODE DATA         hexadecimal bytes, "-" for none; forgets what came before -> ok
//   now SECONDS NANOS FAIL clock says this from now on, or fails if FAIL is not 0 -> ok
//   registers SEED RUNS THREADS EXPECTED
//                          enters the body with random registers, and compares what comes back: for
//                          a call that went on to the original all, for one that was overridden all
//                          but rax, which is EXPECTED -> passed overridden, then what differed or -
//   ordered CALLS          -> what each call returned; "original" where the original ran
//   calls THREADS CALLS    calls it CALLS times in each thread -> what was returned, each with how
//                          often; "original" where the original ran
//   interrupted THREADS TIMES
//                          calls it in each thread until so many signals have come, whose handler
//                          calls it, too -> calls that went on to the original, overridden calls
//   errno BEFORE           sets errno in two threads, and calls in one -> errno there, in the other
//   data LENGTH            -> the data block
//
// An answer is one line. Any trouble ends the program.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
  ROOM = 1 << 16,
  REGISTERS = 16,
  RAX = 0,
  RSP = 4,
  STACK = 1 << 16,
  KEPT = 512,
  STATE = 4096,
  STATE_USED = 2688,
  STATE_BITS = 512,
  MXCSR = 24,
  VALUES = 1 << 13,
  PASSED = 1,
  RETURNED = 2,
};

struct machine {
  uint64_t in[REGISTERS], in_flags;
  uint64_t out[REGISTERS], out_flags;
  uint64_t entry, harness, which, after;
  unsigned char *state_in, *state_out, *state_initial;
  uint64_t caller;
};

__thread struct machine machine;
// The second is nobody's: it keeps what it has.
__thread int errno_here[2];
struct timespec now;
uint64_t clock_answer, strange_calls;

static unsigned char *code, *data;

#define FIELD(name, index) "%fs:machine@tpoff+" #name "+8*" #index
_Static_assert(offsetof(struct machine, in_flags) == 128, "as below");
_Static_assert(offsetof(struct machine, out) == 136, "as below");
_Static_assert(offsetof(struct machine, out_flags) == 264, "as below");
_Static_assert(offsetof(struct machine, entry) == 272, "as below");
_Static_assert(offsetof(struct machine, which) == 288, "as below");
_Static_assert(offsetof(struct machine, state_in) == 304, "as below");
_Static_assert(offsetof(struct machine, caller) == 328, "as below");

_Static_assert(CLOCK_MONOTONIC_COARSE == 6, "as fake_clock and the body have it");
_Static_assert(offsetof(struct timespec, tv_nsec) == 8 && sizeof(struct timespec) == 16, "as both");

void enter(void);
void original_of_machine(void);
void came_back(void);
long original(void);
int fake_clock(int, struct timespec *);
int *fake_errno_location(void);
void original_of_calls(void);

__asm__(
    ".set IN, 0\n.set IN_FLAGS, 128\n.set OUT, 136\n.set OUT_FLAGS, 264\n.set ENTRY, 272\n"
    ".set HARNESS, 280\n.set WHICH, 288\n.set AFTER, 296\n.set STATE_IN, 304\n"
    ".set STATE_OUT, 312\n.set STATE_INITIAL, 320\n.set CALLER, 328\n"
    ".globl enter, original_of_machine, came_back, original\n"
    ".globl original_of_calls, fake_clock, fake_errno_location\n"

    // Sets all registers as the machine says, and enters the body. Returns from one of the next two.
    "enter:\n"
    "  push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "  mov %rsp, " FIELD(HARNESS, 0) "\n"
    "  mov " FIELD(STATE_IN, 0) ", %rcx\n"
    "  mov $0xe7, %eax\n xor %edx, %edx\n xrstor64 (%rcx)\n"
    "  pushq " FIELD(IN_FLAGS, 0) "\n popfq\n"
    "  mov " FIELD(IN, 0) ", %rax\n mov " FIELD(IN, 1) ", %rcx\n"
    "  mov " FIELD(IN, 2) ", %rdx\n mov " FIELD(IN, 3) ", %rbx\n"
    "  mov " FIELD(IN, 4) ", %rsp\n mov " FIELD(IN, 5) ", %rbp\n"
    "  mov " FIELD(IN, 6) ", %rsi\n mov " FIELD(IN, 7) ", %rdi\n"
    "  mov " FIELD(IN, 8) ", %r8\n mov " FIELD(IN, 9) ", %r9\n"
    "  mov " FIELD(IN, 10) ", %r10\n mov " FIELD(IN, 11) ", %r11\n"
    "  mov " FIELD(IN, 12) ", %r12\n mov " FIELD(IN, 13) ", %r13\n"
    "  mov " FIELD(IN, 14) ", %r14\n mov " FIELD(IN, 15) ", %r15\n"
    "  jmp *" FIELD(ENTRY, 0) "\n"

    "original_of_machine:\n"
    "  movq $1, " FIELD(WHICH, 0) "\n jmp capture\n"
    "came_back:\n"
    "  movq $2, " FIELD(WHICH, 0) "\n"
    "capture:\n"
    "  mov %rax, " FIELD(OUT, 0) "\n mov %rcx, " FIELD(OUT, 1) "\n"
    "  mov %rdx, " FIELD(OUT, 2) "\n mov %rbx, " FIELD(OUT, 3) "\n"
    "  mov %rsp, " FIELD(OUT, 4) "\n mov %rbp, " FIELD(OUT, 5) "\n"
    "  mov %rsi, " FIELD(OUT, 6) "\n mov %rdi, " FIELD(OUT, 7) "\n"
    "  mov %r8, " FIELD(OUT, 8) "\n mov %r9, " FIELD(OUT, 9) "\n"
    "  mov %r10, " FIELD(OUT, 10) "\n mov %r11, " FIELD(OUT, 11) "\n"
    "  mov %r12, " FIELD(OUT, 12) "\n mov %r13, " FIELD(OUT, 13) "\n"
    "  mov %r14, " FIELD(OUT, 14) "\n mov %r15, " FIELD(OUT, 15) "\n"
    "  mov " FIELD(HARNESS, 0) ", %rsp\n"
    "  pushfq\n popq " FIELD(OUT_FLAGS, 0) "\n cld\n"
    "  mov " FIELD(STATE_OUT, 0) ", %rcx\n"
    "  mov $0xe7, %eax\n xor %edx, %edx\n xsave64 (%rcx)\n"
    "  mov " FIELD(STATE_INITIAL, 0) ", %rcx\n xrstor64 (%rcx)\n"
    "  pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"

    // What the body goes on to: one of the two.
    "original:\n"
    "  jmp *" FIELD(AFTER, 0) "\n"
    "original_of_calls:\n"
    "  movq $1, " FIELD(WHICH, 0) "\n ret\n"

    // Changes whatever a C function may change.
    "trash:\n"
    "  mov $0x1111111111111111, %rcx\n mov %rcx, %rdx\n mov %rcx, %rsi\n mov %rcx, %rdi\n"
    "  mov %rcx, %r8\n mov %rcx, %r9\n mov %rcx, %r10\n mov %rcx, %r11\n"
    "  fninit\n fldpi\n"
    "  ldmxcsr other_mxcsr(%rip)\n"
    "  movq %rcx, %xmm0\n unpcklpd %xmm0, %xmm0\n"
    ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "  movapd %xmm0, %xmm\\n\n"
    ".endr\n"
    "  testl $4, vectors(%rip)\n jz 1f\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "  vinsertf128 $1, %xmm0, %ymm0, %ymm\\n\n"
    ".endr\n"
    "  testl $0xe0, vectors(%rip)\n jz 1f\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "  vbroadcastsd %xmm0, %zmm\\n\n"
    ".endr\n"
    ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "  vbroadcastsd %xmm0, %zmm\\n\n"
    ".endr\n"
    ".irp n, 0,1,2,3,4,5,6,7\n"
    "  kmovw %ecx, %k\\n\n"
    ".endr\n"
    "1:\n"
    "  cmp %rax, %rcx\n ret\n"

    // Counts as strange: a stack that is not aligned, the direction flag, and a frame that does not
    // lead to the caller's.
    "look:\n"
    "  test $15, %spl\n jnz 1f\n"
    "  pushfq\n testl $0x400, (%rsp)\n lea 8(%rsp), %rsp\n jnz 1f\n"
    "  cmpq $0, " FIELD(CALLER, 0) "\n je 2f\n"
    "  mov 8(%rbp), %r11\n cmp " FIELD(CALLER, 0) ", %r11\n jne 1f\n"
    "  mov (%rbp), %r11\n cmp " FIELD(IN, 5) ", %r11\n jne 1f\n"
    "2: ret\n"
    "1: lock incq strange_calls(%rip)\n ret\n"

    "fake_clock:\n"
    "  endbr64\n"
    "  call look\n"
    "  cmp $6, %edi\n je 1f\n lock incq strange_calls(%rip)\n"
    "1: mov now(%rip), %rax\n mov %rax, (%rsi)\n mov now+8(%rip), %rax\n mov %rax, 8(%rsi)\n"
    "  sub $8, %rsp\n call trash\n add $8, %rsp\n"
    "  mov clock_answer(%rip), %rax\n ret\n"

    "fake_errno_location:\n"
    "  endbr64\n"
    "  call look\n"
    "  sub $8, %rsp\n call trash\n add $8, %rsp\n"
    "  mov %fs:0, %rax\n lea errno_here@tpoff(%rax), %rax\n ret\n"
    ".section .rodata\n.balign 4\nother_mxcsr: .long 0x7fbf\n.text\n");

int vectors;

static void check(int holds, const char *what) {
  if (!holds) {
    fprintf(stderr, "run_bodies: %s: %s\n", what, strerror(errno));
    exit(1);
  }
}

static uint64_t next(uint64_t *random) {
  *random ^= *random << 13;
  *random ^= *random >> 7;
  return *random ^= *random << 17;
}

static uint64_t components(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low & 0xe7;
}

static unsigned char *state(void) {
  unsigned char *bytes = aligned_alloc(64, STATE);
  check(bytes != NULL, "aligned_alloc");
  memset(bytes, 0, STATE);
  *(uint32_t *)(bytes + MXCSR) = 0x1f80;
  return bytes;
}

// Random bytes, as the processor takes and gives them.
static void fill_state(uint64_t *random, unsigned char *bytes, const unsigned char *initial) {
  static __thread unsigned char wanted[STATE] __attribute__((aligned(64)));
  memset(wanted, 0, STATE);
  for (int i = 0; i < STATE_USED; i += 8) {
    *(uint64_t *)(wanted + i) = next(random);
  }
  memcpy(wanted, initial, 32);
  *(uint16_t *)(wanted + 2) = next(random) & 0x3800; // top of stack, no exception
  wanted[4] = next(random);
  *(uint32_t *)(wanted + MXCSR) = 0x1f80 | (next(random) & 0xe03f);
  memset(wanted + STATE_BITS, 0, 64);
  *(uint64_t *)(wanted + STATE_BITS) = components();
  memset(bytes, 0, STATE);
  __asm__ volatile("xrstor64 %1\n xsave64 %0\n xrstor64 %2"
                   : "+m"(*(unsigned char(*)[STATE])bytes)
                   : "m"(*(unsigned char(*)[STATE])wanted),
                     "m"(*(const unsigned char(*)[STATE])initial), "a"(0xe7), "d"(0)
                   : "memory");
}

struct work {
  pthread_t thread;
  uint64_t seed, runs, expected, passed, overridden;
  char difference[256];
  uint64_t values[VALUES], counts[VALUES], originals;
};

static const char *NAMES[REGISTERS] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

static void differs(struct work *work, const char *name, uint64_t in, uint64_t out) {
  if (work->difference[0] == 0) {
    snprintf(work->difference, sizeof work->difference, "%s_was_%lx_is_%lx_%s", name, in, out,
             machine.which == PASSED ? "passed" : "overridden");
  }
}

static void *run_registers(void *argument) {
  struct work *work = argument;
  uint64_t random = work->seed;
  unsigned char *stack = aligned_alloc(64, STACK), kept[KEPT];
  check(stack != NULL, "aligned_alloc");
  machine.state_in = state();
  machine.state_out = state();
  machine.state_initial = state();
  machine.entry = (uint64_t)code;
  machine.after = (uint64_t)original_of_machine;
  machine.caller = (uint64_t)came_back;
  for (uint64_t i = 0; i < work->runs; i++) {
    for (int r = 0; r < REGISTERS; r++) {
      machine.in[r] = next(&random);
    }
    uint64_t *top = (uint64_t *)(stack + STACK - KEPT - 8 * (next(&random) % 64));
    for (int k = 0; k < KEPT / 8; k++) {
      top[k] = next(&random);
    }
    top[0] = (uint64_t)came_back;
    memcpy(kept, top, KEPT);
    machine.in[RSP] = (uint64_t)top;
    machine.in_flags = (next(&random) & 0xcd5) | 0x202;
    fill_state(&random, machine.state_in, machine.state_initial);
    memset(machine.state_out, 0, STATE);
    enter();
    int passed = machine.which == PASSED;
    if (passed) {
      work->passed++;
    } else {
      work->overridden++;
      machine.in[RSP] += 8;
      machine.in[RAX] = work->expected;
    }
    for (int r = 0; r < REGISTERS; r++) {
      if (machine.in[r] != machine.out[r]) {
        differs(work, NAMES[r], machine.in[r], machine.out[r]);
      }
    }
    if (passed && machine.in_flags != machine.out_flags) {
      differs(work, "flags", machine.in_flags, machine.out_flags);
    }
    if ((machine.in_flags ^ machine.out_flags) & 0x400) {
      differs(work, "direction", machine.in_flags, machine.out_flags);
    }
    for (int s = 0; s < STATE; s++) {
      if (machine.state_in[s] != machine.state_out[s]) {
        char name[32];
        snprintf(name, sizeof name, "state+%d", s);
        differs(work, name, machine.state_in[s], machine.state_out[s]);
      }
    }
    if (memcmp(kept, top, KEPT) != 0) {
      differs(work, "stack", 0, 0);
    }
  }
  return NULL;
}

static long (*function)(void);

static void count(struct work *work, uint64_t value, uint64_t times) {
  size_t at = value * 0x9e3779b97f4a7c15u >> 51;
  while (work->counts[at] != 0 && work->values[at] != value) {
    at = (at + 1) % VALUES;
  }
  work->values[at] = value;
  work->counts[at] += times;
}

static void *run_calls(void *argument) {
  struct work *work = argument;
  machine.after = (uint64_t)original_of_calls;
  for (uint64_t i = 0; i < work->runs; i++) {
    machine.which = 0;
    uint64_t value = function();
    if (machine.which == PASSED) {
      work->originals++;
    } else {
      count(work, value, 1);
    }
  }
  return NULL;
}

// The works of all threads, which are done.
static struct work *in_threads(int threads, struct work work, void *(*run)(void *)) {
  struct work *works = calloc(threads, sizeof *works);
  check(works != NULL, "calloc");
  for (int t = 0; t < threads; t++) {
    works[t] = work;
    works[t].seed += t * 0x9e3779b97f4a7c15u;
    check(pthread_create(&works[t].thread, NULL, run, &works[t]) == 0, "pthread_create");
  }
  for (int t = 0; t < threads; t++) {
    check(pthread_join(works[t].thread, NULL) == 0, "pthread_join");
  }
  return works;
}

static void registers(uint64_t seed, uint64_t runs, int threads, uint64_t expected) {
  static struct work work;
  work.seed = seed;
  work.runs = runs;
  work.expected = expected;
  struct work *works = in_threads(threads, work, run_registers);
  uint64_t passed = 0, overridden = 0;
  const char *difference = "-";
  for (int t = 0; t < threads; t++) {
    passed += works[t].passed;
    overridden += works[t].overridden;
    if (works[t].difference[0] != 0) {
      difference = works[t].difference;
    }
  }
  if (strange_calls != 0) {
    difference = "strange_calls";
  }
  printf("%lu %lu %s\n", passed, overridden, difference);
  free(works);
}

static void calls(int threads, uint64_t runs) {
  static struct work work, all;
  work.runs = runs;
  memset(&all, 0, sizeof all);
  struct work *works = in_threads(threads, work, run_calls);
  uint64_t originals = 0;
  for (int t = 0; t < threads; t++) {
    originals += works[t].originals;
    for (int v = 0; v < VALUES; v++) {
      if (works[t].counts[v] != 0) {
        count(&all, works[t].values[v], works[t].counts[v]);
      }
    }
  }
  printf("original=%lu", originals);
  for (int v = 0; v < VALUES; v++) {
    if (all.counts[v] != 0) {
      printf(" %ld=%lu", (long)all.values[v], all.counts[v]);
    }
  }
  printf("\n");
  free(works);
}

static uint64_t interrupts, original_calls, overridden_calls;

static void call_once(void) {
  uint64_t before = machine.which;
  machine.which = 0;
  function();
  __atomic_fetch_add(machine.which == PASSED ? &original_calls : &overridden_calls, 1,
                     __ATOMIC_RELAXED);
  machine.which = before;
}

static void take_signal(int signal) {
  (void)signal;
  int before = errno;
  call_once();
  __atomic_fetch_add(&interrupts, 1, __ATOMIC_RELAXED);
  errno = before;
}

static void *run_interrupted(void *argument) {
  struct work *work = argument;
  machine.after = (uint64_t)original_of_calls;
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  check(pthread_sigmask(SIG_UNBLOCK, &alarm, NULL) == 0, "pthread_sigmask");
  while (__atomic_load_n(&interrupts, __ATOMIC_RELAXED) < work->runs) {
    call_once();
  }
  check(pthread_sigmask(SIG_BLOCK, &alarm, NULL) == 0, "pthread_sigmask");
  return NULL;
}

static void interrupted(int threads, uint64_t times) {
  static struct work work;
  struct sigaction action = {.sa_handler = take_signal, .sa_flags = SA_RESTART};
  struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
  interrupts = original_calls = overridden_calls = 0;
  work.runs = times;
  check(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
  check(setitimer(ITIMER_REAL, &often, NULL) == 0, "setitimer");
  free(in_threads(threads, work, run_interrupted));
  check(setitimer(ITIMER_REAL, &never, NULL) == 0, "setitimer");
  printf("%lu %lu\n", original_calls, overridden_calls);
}

static void ordered(uint64_t runs) {
  machine.after = (uint64_t)original_of_calls;
  for (uint64_t i = 0; i < runs; i++) {
    machine.which = 0;
    long value = function();
    if (machine.which == PASSED) {
      printf("original ");
    } else {
      printf("%ld ", value);
    }
  }
  printf("\n");
}

static pthread_barrier_t both;

static void *wait_with_errno(void *argument) {
  int *seen = argument;
  errno = errno_here[0] = errno_here[1] = seen[0];
  pthread_barrier_wait(&both);
  pthread_barrier_wait(&both);
  seen[0] = errno;
  seen[1] = errno_here[0];
  return NULL;
}

static void errno_of_two(int before) {
  pthread_t other;
  int seen[2] = {before, 0};
  check(pthread_barrier_init(&both, NULL, 2) == 0, "pthread_barrier_init");
  check(pthread_create(&other, NULL, wait_with_errno, seen) == 0, "pthread_create");
  pthread_barrier_wait(&both);
  machine.after = (uint64_t)original_of_calls;
  errno = errno_here[0] = errno_here[1] = before;
  function();
  int mine = errno;
  pthread_barrier_wait(&both);
  check(pthread_join(other, NULL) == 0, "pthread_join");
  check(errno_here[1] == before, "what stands beside errno was written");
  printf("%d %d %d %d\n", mine, errno_here[0], seen[0], seen[1]);
}

static void bytes(const char *hex, unsigned char *to) {
  if (strcmp(hex, "-") == 0) {
    return;
  }
  for (; *hex != 0; hex += 2) {
    unsigned value;
    check(sscanf(hex, "%2x", &value) == 1, "not hexadecimal");
    *to++ = value;
  }
}

static unsigned char *map(void *at, int protection) {
  void *mapped = mmap(at, ROOM, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  check(mapped != MAP_FAILED, "mmap");
  return mapped;
}

int main(void) {
  static char line[4 * ROOM], first[2 * ROOM], second[2 * ROOM];
  uint64_t a, b, c, d;
  uint64_t page = (uint64_t)original & -ROOM;
  void *vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
  check(vdso != NULL, "no vDSO");
  void *vdso_clock = dlsym(vdso, "__vdso_clock_gettime");
  check(vdso_clock != NULL, "no __vdso_clock_gettime");
  code = map((void *)(page - 1024 * ROOM), PROT_READ | PROT_EXEC);
  data = map((void *)(page - 512 * ROOM), PROT_READ | PROT_WRITE);
  function = (long (*)(void))code;
  vectors = components();
  sigset_t alarm; // only threads that are asked to be take it
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  check(pthread_sigmask(SIG_BLOCK, &alarm, NULL) == 0, "pthread_sigmask");
  printf("%p %p %p %p %p %p %p\n", code, data, original, fake_clock, fake_errno_location, vdso_clock,
         __errno_location);
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "load %s %s", first, second) == 2) {
      check(mprotect(code, ROOM, PROT_READ | PROT_WRITE) == 0, "mprotect");
      memset(code, 0xcc, ROOM);
      memset(data, 0, ROOM);
      bytes(first, code);
      bytes(second, data);
      check(mprotect(code, ROOM, PROT_READ | PROT_EXEC) == 0, "mprotect");
      strange_calls = 0;
      printf("ok\n");
    } else if (sscanf(line, "now %lu %lu %lu", &a, &b, &c) == 3) {
      now.tv_sec = a;
      now.tv_nsec = b;
      clock_answer = c == 0 ? 0 : 0xffffffff;
      printf("ok\n");
    } else if (sscanf(line, "registers %lu %lu %lu %lu", &a, &b, &c, &d) == 4) {
      registers(a, b, c, d);
    } else if (sscanf(line, "ordered %lu", &a) == 1) {
      ordered(a);
    } else if (sscanf(line, "calls %lu %lu", &a, &b) == 2) {
      calls(a, b);
    } else if (sscanf(line, "interrupted %lu %lu", &a, &b) == 2) {
      interrupted(a, b);
    } else if (sscanf(line, "errno %lu", &a) == 1) {
      errno_of_two(a);
    } else if (sscanf(line, "data %lu", &a) == 1) {
      for (uint64_t i = 0; i < a; i++) {
        printf("%02x", data[i]);
      }
      printf("\n");
    } else {
      check(0, line);
    }
    fflush(stdout);
  }
  return 0;
}
