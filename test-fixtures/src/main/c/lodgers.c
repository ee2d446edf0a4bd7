/*
 * lodgers: workers that call one function, and stay where that hurts whoever displaces its first
 * instructions: in a callee, in a system call, in its body, in a handler, on a fiber.
 *
 *   --threads N      workers (default 2)
 *   --call NAME      what they call (default plain): a function below, "lines" for all of line_0 to
 *                    line_63, "heap" for malloc and free of this C library, and its dlsym
 *   --fibers         each worker runs two fibers, with stacks of their own, in turn
 *   --churn N        threads that go on creating one that calls it once and ends
 *   --block-sigtrap  the workers block SIGTRAP
 *   --ignore-sigtrap
 *   --own-traps      the workers run an int3 of their own behind each call
 *
 * Each function takes a buffer in rdi and x in rdx; its result is x + 1, that of repl x + 2, and of
 * busy_repl too, where staying is as in busy. The label AT_NAME is where to displace it, where that
 * is not the entry (which is behind an endbr64, in marked).
 *
 *   plain    boundaries at 0, 1 and 4; 7 bytes are displaced
 *   marked   the same behind an endbr64
 *   entered  the same, and 1 is entered by another function, which is called first
 *   callee   a displaced call that is the last instruction; there it stays
 *   busy     stays in a loop behind the displaced instructions
 *   blocked  reads one byte that "feed" writes; to be displaced from behind the syscall on
 *   kernel   reads one byte; the syscall is among the first five bytes
 *   zone     a leaf with data in all of its red zone; to be displaced in the middle
 *   cross    as plain, three bytes before the end of a page
 *   line_N   as plain, at offset N of a cache line
 *   room     1 MiB for copies; heap_room: the same, near the C library
 *
 * Commands: "stay" and "leave"; "feed N"; "hold FROM TO wait|swap": a signal has worker 0 go on by
 * single steps to an instruction between FROM and TO, without TO, both relative to plain; there
 * held is 1, and its handler of SIGTRAP reads a pipe, or leaves its fiber, until "release"; "exit"
 * with 7; "exec" becomes sleep. Counters: calls, results_old, results_new, wrong; lodging: workers
 * or fibers that stay; held; own_traps; born: threads that have ended; worker_id_I.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "fixture.h"

typedef long callable(char *buffer, long unused, long x);

#define FUNCTION(name, body)               \
  ".globl " name "\n"                      \
  ".type " name ", @function\n"            \
  name ": .cfi_startproc\n" body           \
  ".cfi_endproc\n"                         \
  ".size " name ", . - " name "\n"

#define PLAIN                              \
  "  push %rbx\n"                          \
  "  mov %rdi, %rbx\n"                     \
  "  mov %rdx, %rax\n"                     \
  "  add $1, %rax\n"                       \
  "  pop %rbx\n"                           \
  "  ret\n"

#define BUSY(result)                       \
  "  push %rbx\n"                          \
  "  mov %rdx, %rbx\n"                     \
  "  nop\n"                                \
  "  cmpb $0, staying(%rip)\n"             \
  "  je 2f\n"                              \
  "  mov lodging(%rip), %rax\n"            \
  "  lock incq (%rax)\n"                   \
  "1: pause\n"                             \
  "  cmpb $0, staying(%rip)\n"             \
  "  jne 1b\n"                             \
  "  lock decq (%rax)\n"                   \
  "2: lea " #result "(%rbx), %rax\n"        \
  "  pop %rbx\n"                           \
  "  ret\n"

__asm__(
    ".pushsection .text\n"
    ".balign 64, 0xcc\n"
    FUNCTION("plain", PLAIN)
    FUNCTION("marked", "  endbr64\n" PLAIN)
    FUNCTION("entered", PLAIN)
    FUNCTION("enterer", "  push %rbx\n  jmp entered+1\n")
    FUNCTION("callee",
             "  push %rbx\n"
             "  call in_callee\n"
             "  pop %rbx\n"
             "  ret\n")
    FUNCTION("in_callee",
             "  push %rdx\n"
             "  call lodge\n"
             "  pop %rdx\n"
             "  lea 1(%rdx), %rax\n"
             "  ret\n")
    FUNCTION("busy", BUSY(1))
    FUNCTION("busy_repl", BUSY(2))
    /* One byte read is x + 1; any error is something else. */
    FUNCTION("blocked",
             "  mov %rdx, %r8\n"
             "  mov %rdi, %rsi\n"
             "  mov food(%rip), %edi\n"
             "  mov $1, %edx\n"
             "  xor %eax, %eax\n"
             "  syscall\n"
             "AT_blocked:\n"
             "  nop\n"
             "  add %r8, %rax\n"
             "  nop\n"
             "  ret\n")
    FUNCTION("kernel",
             "  mov %rdx, %r8\n"
             "  mov %rdi, %rsi\n"
             "  mov food(%rip), %edi\n"
             "  mov $1, %edx\n"
             "  call in_kernel\n"
             "  ret\n")
    FUNCTION("in_kernel",
             "  xor %eax, %eax\n"
             "  syscall\n"
             "  nop\n"
             "  add %r8, %rax\n"
             "  ret\n")
    FUNCTION("zone",
             "  mov $16, %ecx\n"
             "1: neg %rcx\n"
             "  mov %rdx, (%rsp,%rcx,8)\n"
             "  neg %rcx\n"
             "  dec %ecx\n"
             "  jnz 1b\n"
             "AT_zone:\n"
             "  xor %eax, %eax\n"
             "  nop\n"
             "  mov $16, %ecx\n"
             "1: neg %rcx\n"
             "  add (%rsp,%rcx,8), %rax\n"
             "  neg %rcx\n"
             "  dec %ecx\n"
             "  jnz 1b\n"
             "  sar $4, %rax\n"
             "  add $1, %rax\n"
             "  ret\n")
    ".balign 4096, 0xcc\n"
    ".skip 4096 - 3, 0xcc\n"
    FUNCTION("cross", PLAIN)
    ".balign 4096, 0xcc\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,"
    "32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,"
    "63\n"
    ".balign 256, 0xcc\n"
    ".skip 64 + \\n, 0xcc\n"
    FUNCTION("line_\\n", PLAIN)
    ".endr\n"
    ".balign 4096, 0xcc\n"
    ".popsection\n"
    ".pushsection fixture_repl, \"ax\", @progbits\n"
    ".balign 4096, 0xcc\n"
    FUNCTION("repl", "  lea 2(%rdx), %rax\n  ret\n")
    ".balign 4096, 0xcc\n"
    ".popsection\n");

extern callable plain, marked, entered, enterer, callee, busy, blocked, kernel, zone, cross, line_0;

enum { FIBERS = 2, STACK = 64 * 1024, ROOM = 1 << 20, PIECES = 16, TRAP_FLAG = 0x100 };
enum { LINES = 64, LINE_SLOT = 256 };

struct fiber {
  ucontext_t context;
  volatile bool parked;
};

struct worker {
  struct tally tally;
  counter *id;
  volatile pthread_t thread;
  char buffer[64];
  long x;
  ucontext_t scheduler;
  struct fiber fibers[FIBERS];
  struct fiber *now;
};

static const char *called;
static callable *volatile lines[LINES];
static callable *volatile function;
static bool with_fibers, heap, block_sigtrap, own_traps_wanted;
static struct worker *workers;
static _Thread_local struct worker *self;
static struct tally churn_tally;
static counter *held, *own_traps, *born;
counter *lodging;
volatile bool staying;
int food;
static volatile bool holding, swapping, released;
/* From plain: no stack may hold an address of an instruction that nobody stands on. */
static volatile long hold_from, hold_to;
static int feeding[2], leaving[2], releasing[2];

static void read_byte(int fd) {
  char byte;
  if (read(fd, &byte, 1) != 1) _exit(3);
}

/* Leaves the fiber until nothing keeps it any more. */
static void park(void) {
  struct worker *worker = self;
  struct fiber *fiber = worker->now;
  fiber->parked = true;
  if (swapcontext(&fiber->context, &worker->scheduler)) _exit(3);
}

__attribute__((used)) void lodge(void) {
  if (!staying) return;
  add(lodging, 1);
  if (with_fibers) {
    park();
  } else {
    read_byte(leaving[0]);
  }
  add(lodging, -1);
}

/* From now on each instruction traps, until the right one. */
static void handle(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  ucontext_t *at = context;
  if (holding) at->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void handle_trap(int signal, siginfo_t *info, void *context) {
  (void)signal;
  ucontext_t *at = context;
  if (info->si_code != TRAP_TRACE) {
    add(own_traps, 1);
    return;
  }
  long offset = at->uc_mcontext.gregs[REG_RIP] - (long)plain;
  if (holding && (offset < hold_from || offset >= hold_to)) return;
  at->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
  if (!holding) return;
  holding = false;
  *held = 1;
  if (swapping) {
    park();
  } else {
    read_byte(releasing[0]);
  }
  *held = 0;
}

static void call(struct worker *worker) {
  for (int i = 0; i < PIECES; i++) {
    long x = worker->x++;
    callable *one = function != NULL ? function : lines[x % LINES];
    check_result(&worker->tally, x, one(worker->buffer, 0, x));
    if (own_traps_wanted) __asm__ volatile("int3");
  }
}

/* Of one arena, so that its lock is fought for. */
static void use_heap(struct worker *worker) {
  void *pieces[PIECES];
  for (int i = 0; i < PIECES; i++) {
    size_t size = 16 + (worker->x * 7919 + i * 131) % 3000;
    pieces[i] = malloc(size);
    memset(pieces[i], i, size);
  }
  bool found = dlsym(RTLD_DEFAULT, "malloc") == (void *)malloc;
  for (int i = 0; i < PIECES; i++) {
    check_result(&worker->tally, worker->x, worker->x + (*(char *)pieces[i] == i && found ? 1 : 9));
    worker->x++;
    free(pieces[i]);
  }
}

static void run_fiber(void) {
  for (;;) {
    call(self);
    if (swapcontext(&self->now->context, &self->scheduler)) _exit(3);
  }
}

static void run_fibers(struct worker *worker) {
  for (int i = 0; i < FIBERS; i++) {
    struct fiber *fiber = &worker->fibers[i];
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = malloc(STACK);
    fiber->context.uc_stack.ss_size = STACK;
    makecontext(&fiber->context, run_fiber, 0);
  }
  for (int i = 0;; i = (i + 1) % FIBERS) {
    struct fiber *fiber = &worker->fibers[i];
    if (fiber->parked && (staying || (*held && !released))) continue;
    fiber->parked = false;
    worker->now = fiber;
    if (swapcontext(&worker->scheduler, &fiber->context)) fail("swapcontext");
  }
}

static void *work(void *argument) {
  struct worker *worker = argument;
  self = worker;
  *worker->id = gettid();
  worker->thread = pthread_self();
  if (block_sigtrap) {
    sigset_t trap;
    sigemptyset(&trap);
    sigaddset(&trap, SIGTRAP);
    pthread_sigmask(SIG_BLOCK, &trap, NULL);
  }
  if (with_fibers) run_fibers(worker);
  for (;;) {
    if (heap) {
      use_heap(worker);
    } else {
      call(worker);
    }
  }
  return NULL;
}

static void *call_once(void *tally) {
  char buffer[64];
  check_result(tally, 7, function(buffer, 0, 7));
  return NULL;
}

static void *churn(void *argument) {
  (void)argument;
  struct tally tally = churn_tally;
  for (;;) {
    pthread_t child;
    if (pthread_create(&child, NULL, call_once, &tally)) fail("pthread_create");
    pthread_join(child, NULL);
    add(born, 1);
  }
  return NULL;
}

static void hold(long from, long to, bool swap) {
  hold_from = from;
  hold_to = to;
  swapping = swap;
  released = false;
  holding = true;
  if (pthread_kill(workers[0].thread, SIGUSR1)) fail("pthread_kill");
}

static void write_bytes(int fd, long count) {
  for (long i = 0; i < count; i++) {
    if (write(fd, "", 1) != 1) fail("write");
  }
}

static void command(const char *line) {
  long from, to, number;
  char how[8];
  if (sscanf(line, "hold %ld %ld %7s", &from, &to, how) == 3) {
    hold(from, to, strcmp(how, "swap") == 0);
  } else if (strcmp(line, "release") == 0) {
    released = true;
    if (!swapping) write_bytes(releasing[1], 1);
  } else if (strcmp(line, "stay") == 0) {
    staying = true;
  } else if (strcmp(line, "leave") == 0) {
    staying = false;
    if (!with_fibers) write_bytes(leaving[1], strcmp(called, "callee") == 0 ? *lodging : 0);
  } else if (sscanf(line, "feed %ld", &number) == 1) {
    write_bytes(feeding[1], number);
  } else if (strcmp(line, "exit") == 0) {
    exit(7);
  } else if (strcmp(line, "exec") == 0) {
    execl("/bin/sleep", "sleep", "1000", (char *)NULL);
    fail("execl");
  } else {
    fail("no command '%s'", line);
  }
}

static void *room_near(const void *code) {
  for (uintptr_t distance = 1 << 24; distance < 1 << 30; distance += 1 << 24) {
    void *room = mmap((void *)(((uintptr_t)code - distance) & -4096ul), ROOM,
                      PROT_READ | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (room != MAP_FAILED) return room;
  }
  fail("no room near %p", code);
  return NULL;
}

static callable *by_name(const char *name) {
  static const struct {
    const char *name;
    callable *function;
  } all[] = {{"plain", plain}, {"marked", marked},   {"entered", enterer}, {"callee", callee},
             {"busy", busy},   {"blocked", blocked}, {"kernel", kernel},   {"zone", zone},
             {"cross", cross}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (strcmp(name, all[i].name) == 0) return all[i].function;
  }
  return NULL;
}

static void catch(int signal, void (*handler)(int, siginfo_t *, void *)) {
  struct sigaction action = {.sa_sigaction = handler,
                             .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER};
  sigaction(signal, &action, NULL);
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 2);
  long churners = option_number("--churn", 0);
  called = option_text("--call", "plain");
  with_fibers = option_flag("--fibers");
  block_sigtrap = option_flag("--block-sigtrap");
  bool ignore_sigtrap = option_flag("--ignore-sigtrap");
  own_traps_wanted = option_flag("--own-traps");
  options_done();
  heap = strcmp(called, "heap") == 0;
  function = by_name(called);
  if (function == NULL && !heap && strcmp(called, "lines") != 0) fail("no function %s", called);
  for (int i = 0; i < LINES; i++) {
    lines[i] = (callable *)((char *)line_0 + i * (LINE_SLOT + 1));
  }
  if (pipe(feeding) || pipe(leaving) || pipe(releasing)) fail("pipe");
  food = feeding[0];
  held = new_counter("held", 0);
  own_traps = new_counter("own_traps", 0);
  born = new_counter("born", 0);
  lodging = new_counter("lodging", 0);
  churn_tally = new_tally(99);
  catch(SIGUSR1, handle);
  catch(SIGTRAP, handle_trap);
  if (ignore_sigtrap) signal(SIGTRAP, SIG_IGN);
  mallopt(M_ARENA_MAX, 1);
  publish("room", room_near(plain));
  publish("heap_room", room_near(malloc));
  workers = calloc(threads, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    workers[i].tally = new_tally(i);
    workers[i].id = new_counter("worker_id_%d", i);
    start_thread(work, &workers[i]);
  }
  for (int i = 0; i < churners; i++) start_thread(churn, NULL);
  bool waits = function == blocked || function == kernel;
  for (int i = 0; i < threads && !waits; i++) await_first_call(&workers[i].tally);
  ready();
  serve(command);
}
