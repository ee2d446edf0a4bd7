/*
 * reference: what a poke costs with no Java, no second process and no ptrace in the way. A process
 * pokes its own code as Linux' text_poke_bp does it, with the means of user space: a SIGTRAP handler
 * that does what the new instruction would do, pwrite to /proc/self/mem, and membarrier(SYNC_CORE).
 * Workers call the sites meanwhile and check each result. A measuring stick, not a library.
 *
 *   --workers N      threads that call the sites in turn (default 2)
 *   --sites N        how many sites one poke changes, 1 to 1000 (default 1); the core syncs are shared
 *   --range          write all sites of a step at once, as the range that they lie in
 *   --pokes N        how many are measured (default 1000), each from a NOP to a jump or back
 *   --warmup N       how many are done before (default 10)
 *   --interval NS    from the start of one poke to that of the next; 0: at once (default 500000)
 *   --realtime       ask for SCHED_FIFO, as textpoke's tracer does
 *
 * Prints one line of JSON, times in nanoseconds. Ends with 1 if something fails or a result is wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { MAX_SITES = 1000, STRIDE = 64, LENGTH = 5, MAX_WORKERS = 512, INT3 = 0xcc };

/* The sites, one a cache line, each a function of its own: x + 1, and x + 2 while it jumps. */
__asm__(
    ".pushsection .text\n"
    ".balign 4096, 0xcc\n"
    "sites:\n"
    ".rept 1000\n"
    ".balign 64, 0xcc\n"
    ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
    "lea 1(%rdi), %rax\n"
    "ret\n"
    ".endr\n"
    ".balign 4096, 0xcc\n"
    "replacement: lea 2(%rdi), %rax\n"
    "ret\n"
    ".popsection");
extern unsigned char sites[], replacement[];

static const unsigned char NOP[LENGTH] = {0x0f, 0x1f, 0x44, 0x00, 0x00};

/* Both states of the code, laid out like the code itself. */
static unsigned char with_nops[MAX_SITES * STRIDE], with_jumps[MAX_SITES * STRIDE];

/* What is written next, for a range. */
static unsigned char image[MAX_SITES * STRIDE];

struct worker {
  uint64_t calls, wrong;
} __attribute__((aligned(128)));

static struct worker workers[MAX_WORKERS];
static int memory;
static int site_count = 1;
static bool by_range;
static uint64_t traps;

/* Whether the poke under way, or the last one, puts jumps: what the handler stands in for. */
static bool to_jumps;

static void fail(const char *format, ...) {
  int error = errno;
  va_list values;
  va_start(values, format);
  fprintf(stderr, "reference: ");
  vfprintf(stderr, format, values);
  fprintf(stderr, " (errno %d: %s)\n", error, strerror(error));
  va_end(values);
  exit(1);
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void sleep_until(int64_t time) {
  struct timespec until = {time / 1000000000L, time % 1000000000L};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
  }
}

/* ---------------------------------------------------------------- the poke */

/* A thread has run one of our breakpoints: do what the new instruction does. */
static void on_trap(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  uintptr_t site = registers[REG_RIP] - 1;
  uintptr_t offset = site - (uintptr_t)sites;
  if (offset >= MAX_SITES * STRIDE || offset % STRIDE != 0) {
    static const char message[] = "reference: a breakpoint that is not ours\n";
    if (write(STDERR_FILENO, message, sizeof message - 1) < 0) _exit(4);
    _exit(3);
  }
  __atomic_add_fetch(&traps, 1, __ATOMIC_RELAXED);
  bool jump = __atomic_load_n(&to_jumps, __ATOMIC_ACQUIRE);
  registers[REG_RIP] = jump ? (greg_t)replacement : (greg_t)site + LENGTH;
}

static void write_code(size_t offset, const void *bytes, size_t length) {
  if (pwrite(memory, bytes, length, (uintptr_t)sites + offset) != (ssize_t)length) {
    fail("pwrite to /proc/self/mem");
  }
}

static void sync_cores(void) {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0)) {
    fail("membarrier");
  }
}

/* One step: bytes [from, to) of each site become those of `source`, an int3 where that is NULL. */
static void write_step(const unsigned char *source, int from, int to) {
  static const unsigned char trap[LENGTH] = {INT3, INT3, INT3, INT3, INT3};
  for (int i = 0; i < site_count; i++) {
    size_t at = (size_t)i * STRIDE + from;
    const unsigned char *bytes = source == NULL ? trap : source + at;
    if (by_range) {
      memcpy(image + at, bytes, to - from);
    } else {
      write_code(at, bytes, to - from);
    }
  }
  /* Bytes between the sites are rewritten as they are. */
  if (by_range) write_code(0, image, (size_t)(site_count - 1) * STRIDE + LENGTH);
}

/* The protocol of text_poke_bp (arch/x86/kernel/alternative.c), the syncs shared by all sites. */
static void poke(bool jumps) {
  const unsigned char *code = jumps ? with_jumps : with_nops;
  /* A thread that trapped in the last poke may look only now: it runs the new code a little early. */
  __atomic_store_n(&to_jumps, jumps, __ATOMIC_RELEASE);
  write_step(NULL, 0, 1);
  sync_cores();
  write_step(code, 1, LENGTH);
  sync_cores();
  write_step(code, 0, 1);
  sync_cores();
}

/* ---------------------------------------------------------------- set-up */

static void lay_out_code(void) {
  memcpy(with_nops, sites, sizeof with_nops);
  memcpy(with_jumps, sites, sizeof with_jumps);
  memcpy(image, sites, sizeof image);
  for (int i = 0; i < MAX_SITES; i++) {
    size_t at = (size_t)i * STRIDE;
    if (memcmp(sites + at, NOP, LENGTH) != 0) fail("site %d is no NOP", i);
    int32_t distance = (int32_t)(replacement - (sites + at + LENGTH));
    with_jumps[at] = 0xe9;
    memcpy(with_jumps + at + 1, &distance, sizeof distance);
  }
}

static void open_code(void) {
  memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (memory < 0) fail("open of /proc/self/mem");
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0)) {
    fail("registering for membarrier");
  }
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
  if (sigaction(SIGTRAP, &action, NULL)) fail("sigaction");
}

static void *work(void *argument) {
  struct worker *self = argument;
  int called = site_count == 1 ? 1 : MAX_SITES;
  int next = (int)(self - workers) % called;
  for (long x = 0;; x++) {
    long (*function)(long) = (long (*)(long))(sites + (size_t)next * STRIDE);
    long result = function(x);
    if (result != x + 1 && result != x + 2) {
      __atomic_store_n(&self->wrong, self->wrong + 1, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&self->calls, self->calls + 1, __ATOMIC_RELAXED);
    if (++next == called) next = 0;
  }
  return NULL;
}

static void start_workers(int count) {
  for (int i = 0; i < count; i++) {
    pthread_t thread;
    errno = pthread_create(&thread, NULL, work, &workers[i]);
    if (errno != 0) fail("pthread_create");
    while (__atomic_load_n(&workers[i].calls, __ATOMIC_RELAXED) == 0) sched_yield();
  }
}

static long number(const char *text, long least, long most) {
  char *end;
  errno = 0;
  long value = text == NULL ? 0 : strtol(text, &end, 10);
  if (text == NULL || *end != 0 || end == text || errno != 0 || value < least || value > most) {
    fprintf(stderr, "reference: a number from %ld to %ld is needed, not %s\n", least, most,
            text == NULL ? "nothing" : text);
    exit(2);
  }
  return value;
}

static int ascending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  long worker_count = 2, pokes = 1000, warmup = 10, interval = 500000;
  bool realtime = false;
  (void)argc;
  for (char **option = argv + 1; *option != NULL; option++) {
    if (strcmp(*option, "--workers") == 0) {
      worker_count = number(*++option, 0, MAX_WORKERS);
    } else if (strcmp(*option, "--sites") == 0) {
      site_count = (int)number(*++option, 1, MAX_SITES);
    } else if (strcmp(*option, "--pokes") == 0) {
      pokes = number(*++option, 1, 100000000);
    } else if (strcmp(*option, "--warmup") == 0) {
      warmup = number(*++option, 0, 100000000);
    } else if (strcmp(*option, "--interval") == 0) {
      interval = number(*++option, 0, 1000000000);
    } else if (strcmp(*option, "--range") == 0) {
      by_range = true;
    } else if (strcmp(*option, "--realtime") == 0) {
      realtime = true;
    } else {
      fprintf(stderr, "reference: unknown option %s\n", *option);
      return 2;
    }
  }

  lay_out_code();
  open_code();
  start_workers((int)worker_count);
  if (realtime) { /* after the workers, who would inherit it; without the right it is not had */
    struct sched_param lowest = {.sched_priority = 1};
    realtime = sched_setscheduler(0, SCHED_FIFO, &lowest) == 0;
  }
  int64_t *taken = calloc(pokes, sizeof *taken);
  if (taken == NULL) fail("calloc");

  bool jumps = false;
  int64_t next = now();
  uint64_t traps_before = 0;
  for (long i = -warmup; i < pokes; i++) {
    if (i == 0) traps_before = __atomic_load_n(&traps, __ATOMIC_RELAXED);
    jumps = !jumps;
    int64_t start = now();
    poke(jumps);
    int64_t end = now();
    if (i >= 0) taken[i] = end - start;
    next += interval;
    if (next > end) {
      sleep_until(next);
    } else {
      next = end;
    }
  }

  uint64_t calls = 0, wrong = 0;
  for (long i = 0; i < worker_count; i++) {
    calls += __atomic_load_n(&workers[i].calls, __ATOMIC_RELAXED);
    wrong += __atomic_load_n(&workers[i].wrong, __ATOMIC_RELAXED);
  }
  qsort(taken, pokes, sizeof *taken, ascending);
  printf("{\"workers\":%ld,\"sites\":%d,\"range\":%s,\"realtime\":%s,\"pokes\":%ld,"
         "\"median\":%ld,\"p99\":%ld,\"max\":%ld,\"traps\":%lu,\"calls\":%lu,\"wrong\":%lu}\n",
         worker_count, site_count, by_range ? "true" : "false", realtime ? "true" : "false", pokes,
         taken[pokes / 2], taken[pokes * 99 / 100], taken[pokes - 1],
         __atomic_load_n(&traps, __ATOMIC_RELAXED) - traps_before, calls, wrong);
  fflush(stdout);
  _exit(wrong == 0 ? 0 : 1); /* the workers run on: no clean-up that they could trip over */
}
