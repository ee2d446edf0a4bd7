/*
 * zoo: a worker that calls functions of a shared object, whatever they are, with random registers
 * and flags, and compares what they do with what they did.
 *
 *   --object PATH  the shared object
 *
 *   room  1 MiB of zeros, readable and executable, less than 2 GiB below the object, for copies
 *
 * A function is called with rdx at 64 random longs and r8 at the last four of them; the other
 * registers, the status flags and xmm0 to xmm3 are random: small values often, rcx nearly always.
 * Its outcome is what stands afterwards in rax, xmm0, rsp, the registers that a callee must keep,
 * and the longs; after "exact" all registers and flags count.
 *
 * Commands: "start ADDRESS SEED abi|exact", in hexadecimal, calls the function with a batch of
 * inputs, keeps the outcomes and counts referenced; from then on each batch has the same inputs,
 * and must have the same outcomes. "stop" ends that, and stopped is counted. "unload" unloads
 * the object and counts unloaded. Other counters: calls, batches, wrong; worker_id_0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"

enum { BATCH = 64, LONGS = 64, ROOM = 1 << 20, RAX = 0, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 };

struct state {
  uint64_t registers[16];
  uint64_t flags;
  uint64_t pad;
  uint64_t vectors[4][2];
};

/* What call_function loads, and what it finds afterwards. */
_Thread_local struct state before, after;
_Thread_local const void *called;
_Thread_local uint64_t own_stack;

/* No register is free around the call, so all is addressed by the thread pointer. */
void call_function(void);
__asm__(
    ".pushsection .text\n"
    ".type call_function, @function\n"
    "call_function:\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  sub $8, %rsp\n"
    "  mov %rsp, %fs:own_stack@tpoff\n"
    "  pushq %fs:before@tpoff+128; popfq\n"
    "  movups %fs:before@tpoff+144, %xmm0\n"
    "  movups %fs:before@tpoff+160, %xmm1\n"
    "  movups %fs:before@tpoff+176, %xmm2\n"
    "  movups %fs:before@tpoff+192, %xmm3\n"
    "  mov %fs:before@tpoff+0, %rax\n"
    "  mov %fs:before@tpoff+8, %rcx\n"
    "  mov %fs:before@tpoff+16, %rdx\n"
    "  mov %fs:before@tpoff+24, %rbx\n"
    "  mov %fs:before@tpoff+40, %rbp\n"
    "  mov %fs:before@tpoff+48, %rsi\n"
    "  mov %fs:before@tpoff+56, %rdi\n"
    "  mov %fs:before@tpoff+64, %r8\n"
    "  mov %fs:before@tpoff+72, %r9\n"
    "  mov %fs:before@tpoff+80, %r10\n"
    "  mov %fs:before@tpoff+88, %r11\n"
    "  mov %fs:before@tpoff+96, %r12\n"
    "  mov %fs:before@tpoff+104, %r13\n"
    "  mov %fs:before@tpoff+112, %r14\n"
    "  mov %fs:before@tpoff+120, %r15\n"
    "  call *%fs:called@tpoff\n"
    "  mov %rax, %fs:after@tpoff+0\n"
    "  mov %rcx, %fs:after@tpoff+8\n"
    "  mov %rdx, %fs:after@tpoff+16\n"
    "  mov %rbx, %fs:after@tpoff+24\n"
    "  mov %rsp, %fs:after@tpoff+32\n"
    "  mov %rbp, %fs:after@tpoff+40\n"
    "  mov %rsi, %fs:after@tpoff+48\n"
    "  mov %rdi, %fs:after@tpoff+56\n"
    "  mov %r8, %fs:after@tpoff+64\n"
    "  mov %r9, %fs:after@tpoff+72\n"
    "  mov %r10, %fs:after@tpoff+80\n"
    "  mov %r11, %fs:after@tpoff+88\n"
    "  mov %r12, %fs:after@tpoff+96\n"
    "  mov %r13, %fs:after@tpoff+104\n"
    "  mov %r14, %fs:after@tpoff+112\n"
    "  mov %r15, %fs:after@tpoff+120\n"
    "  mov %fs:own_stack@tpoff, %rsp\n"
    "  pushfq; popq %fs:after@tpoff+128\n"
    "  cld\n"
    "  movups %xmm0, %fs:after@tpoff+144\n"
    "  movups %xmm1, %fs:after@tpoff+160\n"
    "  movups %xmm2, %fs:after@tpoff+176\n"
    "  movups %xmm3, %fs:after@tpoff+192\n"
    "  add $8, %rsp\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "  ret\n"
    ".size call_function, . - call_function\n"
    ".popsection");

/* CF, PF, AF, ZF, SF, OF. */
static const uint64_t STATUS_FLAGS = 0x8d5, INTERRUPTS_AND_ONE = 0x202;

static void *object;
static counter *referenced, *stopped, *unloaded, *calls, *batches, *wrong, *worker_id;
static const void *volatile function;
static volatile uint64_t seed;
static volatile bool exact;
static uint64_t longs[LONGS] __attribute__((aligned(64)));
static uint64_t outcomes[BATCH];

/* Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014. */
static uint64_t next(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static uint64_t value(uint64_t *random) {
  uint64_t z = next(random);
  switch (z >> 61) {
    case 0:
      return z & 15;
    case 1:
      return -(z & 15);
    case 2:
      return (uint64_t)(int32_t)z;
    case 3:
      return z & 0xffffffff;
    default:
      return z;
  }
}

static uint64_t outcome(const void *one, uint64_t input) {
  uint64_t random = input;
  for (int i = 0; i < LONGS; i++) longs[i] = value(&random);
  for (int i = 0; i < 16; i++) before.registers[i] = value(&random);
  static const uint64_t counts[] = {0, 1, 2, 3, 1ull << 32, (1ull << 32) + 1, 7, ~0ull};
  before.registers[RCX] = counts[next(&random) % 8];
  before.registers[RDX] = (uint64_t)longs;
  before.registers[R8] = (uint64_t)(longs + LONGS - 4);
  before.flags = (next(&random) & STATUS_FLAGS) | INTERRUPTS_AND_ONE;
  for (int i = 0; i < 4; i++) {
    double number = (double)(int64_t)value(&random) / 1024;
    memcpy(&before.vectors[i][0], &number, 8);
    before.vectors[i][1] = next(&random);
  }
  called = one;
  call_function();
  uint64_t hash = after.registers[RSP] - own_stack;
  uint64_t *words = exact ? (uint64_t *)&after : NULL;
  for (size_t i = 0; words != NULL && i < sizeof after / 8; i++) hash = next(&hash) ^ words[i];
  static const int kept[] = {RAX, RBX, RBP, 12, 13, 14, 15};
  for (int i = 0; i < 7; i++) hash = next(&hash) ^ after.registers[kept[i]];
  hash = next(&hash) ^ after.vectors[0][0];
  for (int i = 0; i < LONGS; i++) hash = next(&hash) ^ longs[i];
  return hash;
}

static void *work(void *argument) {
  (void)argument;
  *worker_id = gettid();
  for (;;) {
    const void *one;
    while ((one = function) == NULL) rest();
    /* Twice: what is bound, or allocated, by the first call is there for the others. */
    for (int i = 0; i < 2 * BATCH; i++) outcomes[i % BATCH] = outcome(one, seed + i % BATCH);
    add(referenced, 1);
    while (function != NULL) {
      for (int i = 0; i < BATCH && function != NULL; i++) {
        if (outcome(one, seed + i) != outcomes[i]) add(wrong, 1);
        add(calls, 1);
      }
      add(batches, 1);
    }
    add(stopped, 1);
  }
  return NULL;
}

static void command(const char *line) {
  unsigned long address, number;
  char how[8];
  if (sscanf(line, "start %lx %lx %7s", &address, &number, how) == 3) {
    seed = number;
    exact = strcmp(how, "exact") == 0;
    function = (const void *)address;
  } else if (strcmp(line, "stop") == 0) {
    function = NULL;
  } else if (strcmp(line, "unload") == 0) {
    if (dlclose(object)) fail("%s", dlerror());
    add(unloaded, 1);
  } else {
    fail("no command '%s'", line);
  }
}

static void *room_near(uintptr_t base) {
  for (uintptr_t distance = 1 << 24; distance < 1 << 30; distance += 1 << 24) {
    void *room = mmap((void *)((base - distance) & -4096ul), ROOM, PROT_READ | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (room != MAP_FAILED) return room;
  }
  fail("no room near %lx", base);
  return NULL;
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  const char *path = option_text("--object", "");
  options_done();
  object = dlopen(path, RTLD_NOW);
  struct link_map *map;
  if (object == NULL || dlinfo(object, RTLD_DI_LINKMAP, &map)) fail("%s: %s", path, dlerror());
  referenced = new_counter("referenced", 0);
  stopped = new_counter("stopped", 0);
  unloaded = new_counter("unloaded", 0);
  calls = new_counter("calls", 0);
  batches = new_counter("batches", 0);
  wrong = new_counter("wrong", 0);
  worker_id = new_counter("worker_id_0", 0);
  publish("room", room_near(map->l_addr));
  start_thread(work, NULL);
  ready();
  serve(command);
}
