/*
 * called: functions that are called from outside on a thread that the program has not made, beside
 * workers that use the C library all the time. Each function is published by its name.
 *
 *   --threads N   workers (default 2)
 *
 *   sum                a + b
 *   use_libc           what the workers do, a times; how many of b kinds of results were wrong
 *   use_own_variables  thread-local ones: the sum of their initial values, after setting them to a
 *   start_threads      starts a threads, waits for them, and gives the sum of their results
 *   start_worker       starts a worker that stays, worker_9; 0
 *   fork_child         forks a child that returns, too; its wait status
 *   open_file          a new descriptor, which stays open
 *   crash              by a: 0 reads nothing, 1 aborts, 2 runs no instruction, 3 a breakpoint,
 *                      4 divides by zero, 5 raises SIGSEGV, 6 writes below its stack
 *   use_loaded         the variables of a library that was loaded later: 1 if they are the
 *                      thread's own, and as they are at first
 *   loop, sleep_on     for ever; counter begun
 *   hang               where no signal reaches it, until its child ends; counter begun
 *   wait_for_release   until the command "release"; counters begun, finished
 *   end_thread, end_process, run_other   by exit, by exit_group with a, by execve
 *
 * Counters: of worker I rounds_I, wrong_I; handled: signals SIGSEGV, SIGABRT and the like that the
 * program's handler got; ticks: SIGALRM; ticks_elsewhere: SIGALRM on a thread that is not the
 * program's. Command "check FD" counts 1 in open where the descriptor is open.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

enum { LARGEST = 3000, MOST = 64 };

struct worker {
  counter *rounds, *wrong;
};

static counter *begun, *finished, *handled, *ticks, *ticks_elsewhere, *is_open;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t robust;
static long guarded;
static FILE *output;
static volatile bool released, all_started;
static __thread long first_variable = 17;
static __thread long second_variable;
static __thread bool is_programs;

__attribute__((noinline)) long sum(long a, long b) { return a + b; }

static bool memory(unsigned *seed) {
  size_t size = 1 + rand_r(seed) % LARGEST;
  unsigned char *from = malloc(size), *to = calloc(1, size);
  memset(from, (unsigned char)*seed, size);
  memcpy(to, from, size);
  bool right = memcmp(from, to, size) == 0;
  free(from);
  to = realloc(to, 2 * size);
  right &= to[size - 1] == (unsigned char)*seed;
  free(to);
  return right;
}

/* With an array, so that the compiler guards its stack. */
__attribute__((noinline)) static bool text(unsigned *seed) {
  char line[96];
  int number = rand_r(seed) % 1000000;
  snprintf(line, sizeof line, "line %d %5.2f", number, number / 4.0);
  int scanned;
  double half;
  return sscanf(line, "line %d %lf", &scanned, &half) == 2 && scanned == number &&
         fabs(half - number / 4.0) < 0.01 && isalpha(line[0]) && !isalpha(line[5]) &&
         isdigit(line[5]) && toupper(line[0]) == 'L';
}

static bool errors(void) {
  errno = 0;
  return close(-1) == -1 && errno == EBADF && lseek(COUNTER_FD + 1000, 0, SEEK_SET) == -1 &&
         errno == EBADF && strtol("99999999999999999999", NULL, 10) == 0x7fffffffffffffff &&
         errno == ERANGE;
}

static bool lock(pthread_mutex_t *held) {
  if (pthread_mutex_lock(held)) return false;
  long before = guarded;
  guarded = before + 1;
  bool right = guarded == before + 1;
  return pthread_mutex_unlock(held) == 0 && right;
}

static bool locks(void) { return lock(&mutex); }

static bool robust_locks(void) {
  return pthread_mutex_lock(&robust) == 0 && pthread_mutex_unlock(&robust) == 0;
}

static bool prints(void) { return fprintf(output, "%s %d\n", "a line of", 3) == 12; }

static bool numbers(void) { return strcmp(strerror(ENOENT), "No such file or directory") == 0; }

long use_libc(long rounds, long kinds) {
  unsigned seed = 1;
  long wrong = 0;
  for (long i = 0; i < rounds; i++) {
    wrong += kinds > 0 && !memory(&seed);
    wrong += kinds > 1 && !text(&seed);
    wrong += kinds > 2 && !errors();
    wrong += kinds > 3 && !locks();
    wrong += kinds > 4 && !prints();
    wrong += kinds > 5 && !numbers();
    wrong += kinds > 6 && !robust_locks();
  }
  return wrong;
}

long use_own_variables(long a) {
  long all = first_variable + second_variable + is_programs;
  first_variable = second_variable = a;
  return all + 1000 * (first_variable + second_variable == 2 * a);
}

static void *small(void *argument) {
  unsigned seed = (long)argument;
  bool right = is_programs == false && first_variable == 17 && memory(&seed) && text(&seed) && locks();
  return (void *)(right ? (long)argument : -1000000);
}

long start_threads(long count) {
  pthread_t threads[MOST];
  long all = 0;
  for (long i = 0; i < count; i++) {
    if (pthread_create(&threads[i], NULL, small, (void *)(i + 1))) return -1;
  }
  for (long i = 0; i < count; i++) {
    void *result;
    if (pthread_join(threads[i], &result)) return -2;
    all += (long)result;
  }
  return all;
}

static void *work(void *argument) {
  struct worker *self = argument;
  is_programs = true;
  unsigned seed = (unsigned)(uintptr_t)argument;
  for (long i = 0;; i++) {
    bool right = memory(&seed) && text(&seed) && errors() && locks() && prints() && numbers() &&
                 robust_locks() && first_variable == 17;
    if (i % 1000 == 0) rewind(output);
    if (!right) (*self->wrong)++;
    (*self->rounds)++;
  }
  return NULL;
}

static struct worker late;

long start_worker(void) {
  start_thread(work, &late);
  return 0;
}

long fork_child(void) {
  pid_t child = fork();
  int status = -1;
  if (child > 0 && waitpid(child, &status, 0) != child) return -1;
  return status;
}

long open_file(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

static void *(*globals)(void);
static void *globals_of_main;

/* What the C++ library keeps of exceptions: two words, zero at first. */
long use_loaded(void) {
  long *mine = globals();
  bool right = mine != globals_of_main && mine[0] == 0 && (int)mine[1] == 0;
  mine[0] = 1;
  right &= globals() == mine;
  mine[0] = 0;
  return right;
}

static int *volatile nowhere;
static volatile long zero;

long crash(long kind) {
  switch (kind) {
    case 0: return *nowhere;
    case 1: abort();
    case 2: __asm__ volatile("ud2"); return 2;
    case 3: __asm__ volatile("int3"); return 3;
    case 4: return kind / zero;
    case 5: raise(SIGSEGV); return 5;
    default: {
      volatile char *below = (char *)__builtin_frame_address(0);
      for (;; below -= 4096) *below = 1;
    }
  }
}

long loop(void) {
  for ((*begun)++;;) {
  }
}

long sleep_on(void) {
  for ((*begun)++;; pause()) {
  }
}

long hang(void) {
  (*begun)++;
  if (vfork() == 0) {
    for (;;) pause();
  }
  return 0;
}

long wait_for_release(void) {
  for ((*begun)++; !released;) usleep(1000);
  (*finished)++;
  return 0;
}

long end_thread(void) {
  syscall(SYS_exit, 0);
  return 0;
}

long end_process(long code) {
  _exit(code);
  return 0;
}

long run_other(void) {
  execl("/bin/sleep", "sleep", "1000", (char *)NULL);
  return errno;
}

static void handle(int signal) {
  (void)signal;
  add(handled, 1);
}

static void tick(int signal) {
  (void)signal;
  add(ticks, 1);
  if (all_started && !is_programs) add(ticks_elsewhere, 1);
}

static void command(const char *line) {
  if (strcmp(line, "release") == 0) {
    released = true;
  } else if (strncmp(line, "check ", 6) == 0) {
    *is_open = 1 + (fcntl(atoi(line + 6), F_GETFD) >= 0);
  } else {
    fail("no command '%s'", line);
  }
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  is_programs = true;
  long threads = option_number("--threads", 2);
  options_done();
  begun = new_counter("begun", 0);
  finished = new_counter("finished", 0);
  handled = new_counter("handled", 0);
  ticks = new_counter("ticks", 0);
  ticks_elsewhere = new_counter("ticks_elsewhere", 0);
  is_open = new_counter("is_open", 0);
  late = (struct worker){new_counter("rounds_%d", 9), new_counter("wrong_%d", 9)};
  output = fdopen(memfd_create("output", MFD_CLOEXEC), "w");
  void *loaded = dlopen("libstdc++.so.6", RTLD_NOW);
  if (loaded == NULL) fail("no C++ library: %s", dlerror());
  *(void **)&globals = dlsym(loaded, "__cxa_get_globals");
  globals_of_main = globals();
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&robust, &kind);
  int mine[] = {SIGSEGV, SIGABRT, SIGILL, SIGTRAP, SIGFPE, SIGBUS};
  for (size_t i = 0; i < sizeof mine / sizeof *mine; i++) signal(mine[i], handle);
  signal(SIGALRM, tick);
  struct itimerval often = {{0, 2000}, {0, 2000}};
  setitimer(ITIMER_REAL, &often, NULL);
  publish("sum", sum);
  publish("use_libc", use_libc);
  publish("use_own_variables", use_own_variables);
  publish("start_threads", start_threads);
  publish("start_worker", start_worker);
  publish("fork_child", fork_child);
  publish("open_file", open_file);
  publish("crash", crash);
  publish("use_loaded", use_loaded);
  publish("hang", hang);
  publish("loop", loop);
  publish("sleep_on", sleep_on);
  publish("wait_for_release", wait_for_release);
  publish("end_thread", end_thread);
  publish("end_process", end_process);
  publish("run_other", run_other);
  struct worker *workers = calloc(threads, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    new_counter_line();
    workers[i] = (struct worker){new_counter("rounds_%d", i), new_counter("wrong_%d", i)};
    start_thread(work, &workers[i]);
  }
  for (int i = 0; i < threads; i++) {
    struct tally tally = {.calls = workers[i].rounds};
    await_first_call(&tally);
  }
  all_started = true;
  ready();
  serve(command);
}
