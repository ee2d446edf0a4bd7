// Runs pairs of code on this processor, each from the same state, and writes how they end.
//
//   run_pairs CASES OUTCOMES [STEPS]
//
// CASES, all numbers 64 bits little-endian:
//   site, copy, data, stack: addresses of four pages, far from each other
//   the data page and the stack page as they are before each run, 4096 bytes each
//   count, and for each case: 16 registers (rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 ... r15),
//   flags, the addresses at which the old code and the copy are entered, offset and length of the
//   old code in the site's page and its 64 bytes, offset and length of the copy in the copy's page
//   and its 128 bytes
//
// OUTCOMES: for each case that of the old code and that of its copy, each the signal that ended it,
// 16 registers, rip, flags, and a hash of the xmm registers, of the data page and of the stack page.
//
// STEPS, if asked for: for each case those of the old code and those of its copy, each how many, and
// then 64 times rip and rsp: where the thread was before each instruction inside of the code.
//
// Everything but the code in the two pages is int3, so whatever leaves the code ends there. State
// goes in and out by the signal's context, so that no instruction of ours runs in between; handlers
// have a stack of their own, so that the stack page is touched by the code alone.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, OLD = 64, COPY = 128, INT3 = 0xcc, STEPS = 64 };

struct layout {
  uint64_t site, copy, data, stack;
  unsigned char data_bytes[PAGE], stack_bytes[PAGE];
  uint64_t count;
};

struct code_case {
  uint64_t registers[16], flags;
  uint64_t site_entry, copy_entry;
  uint64_t site_offset, site_length;
  unsigned char site_bytes[OLD];
  uint64_t copy_offset, copy_length;
  unsigned char copy_bytes[COPY];
};

struct outcome {
  uint64_t signal, registers[16], rip, flags, xmm, data, stack;
};

struct trace {
  uint64_t count;
  struct {
    uint64_t rip, rsp;
  } steps[STEPS];
};

static const int ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};
// CF PF AF ZF SF DF OF
static const uint64_t FLAGS = 0xcd5;
static const uint64_t TRAP_FLAG = 0x100;

static struct layout layout;
static const struct code_case *volatile current;
static volatile uint64_t entry;
static struct outcome *volatile result;
static struct trace *volatile steps;  // NULL: run without stops
static volatile uint64_t first, behind;  // the code that runs
static gregset_t ours;
static struct _libc_fpstate our_floats;
static volatile sig_atomic_t running;

static uint64_t hash(const void *bytes, size_t length) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < length; i += 8) {
    uint64_t word;
    memcpy(&word, (const char *)bytes + i, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  return hash;
}

static void begin(mcontext_t *context) {
  memcpy(ours, context->gregs, sizeof ours);
  memcpy(&our_floats, context->fpregs, sizeof our_floats);
  for (int i = 0; i < 16; i++) {
    context->gregs[ORDER[i]] = (greg_t)current->registers[i];
  }
  context->gregs[REG_RIP] = (greg_t)entry;
  context->gregs[REG_EFL] = (greg_t)((ours[REG_EFL] & ~FLAGS) | (current->flags & FLAGS));
  if (steps != NULL) {
    context->gregs[REG_EFL] |= (greg_t)TRAP_FLAG;
  }
  uint64_t value = 1;
  for (size_t i = 0; i < sizeof context->fpregs->_xmm; i += 8) {
    value = value * 6364136223846793005 + 1442695040888963407;
    memcpy((char *)context->fpregs->_xmm + i, &value, 8);
  }
}

static void end(int signal, mcontext_t *context) {
  result->signal = (uint64_t)signal;
  for (int i = 0; i < 16; i++) {
    result->registers[i] = (uint64_t)context->gregs[ORDER[i]];
  }
  result->rip = (uint64_t)context->gregs[REG_RIP];
  result->flags = (uint64_t)context->gregs[REG_EFL] & FLAGS;
  result->xmm = hash(context->fpregs->_xmm, sizeof context->fpregs->_xmm);
  memcpy(context->gregs, ours, sizeof ours);
  memcpy(context->fpregs, &our_floats, sizeof our_floats);
}

// Notes where a thread is, and says whether it is inside of the code, to go on.
static int step(mcontext_t *context) {
  uint64_t rip = (uint64_t)context->gregs[REG_RIP];
  if (rip < first || rip >= behind || steps->count == STEPS) {
    return 0;
  }
  steps->steps[steps->count].rip = rip;
  steps->steps[steps->count].rsp = (uint64_t)context->gregs[REG_RSP];
  steps->count++;
  return 1;
}

static void handle(int signal, siginfo_t *info, void *argument) {
  (void)info;
  mcontext_t *context = &((ucontext_t *)argument)->uc_mcontext;
  if (!running) {
    if (signal != SIGTRAP) {
      _exit(3);  // our own mistake
    }
    running = 1;
    begin(context);
    if (steps != NULL) {
      step(context);
    }
  } else if (steps == NULL || signal != SIGTRAP || !step(context)) {
    running = 0;
    end(signal, context);
  }
}

static void run(const struct code_case *each, uint64_t at, struct outcome *outcome,
                struct trace *trace) {
  memcpy((void *)layout.data, layout.data_bytes, PAGE);
  memcpy((void *)layout.stack, layout.stack_bytes, PAGE);
  current = each;
  entry = at;
  result = outcome;
  steps = trace;
  __asm__ volatile("int3" ::: "memory");
  outcome->data = hash((void *)layout.data, PAGE);
  outcome->stack = hash((void *)layout.stack, PAGE);
}

static void clear(uint64_t page) {
  memset((void *)page, INT3, PAGE);
}

static void map(uint64_t address) {
  void *page = mmap((void *)address, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (page != (void *)address) {
    perror("mmap");
    exit(2);
  }
}

int main(int count, char **arguments) {
  FILE *in = count >= 3 ? fopen(arguments[1], "rb") : NULL;
  FILE *out = count >= 3 ? fopen(arguments[2], "wb") : NULL;
  FILE *trace = count == 4 ? fopen(arguments[3], "wb") : NULL;
  if (in == NULL || out == NULL || (count == 4 && trace == NULL) || fread(&layout, sizeof layout, 1, in) != 1) {
    fprintf(stderr, "usage: run_pairs CASES OUTCOMES [STEPS]\n");
    return 2;
  }
  map(layout.site);
  map(layout.copy);
  map(layout.data);
  map(layout.stack);

  static char handlers[1 << 16];
  stack_t stack = {.ss_sp = handlers, .ss_size = sizeof handlers};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&action.sa_mask);
  sigdelset(&action.sa_mask, SIGALRM);
  const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGBUS, SIGFPE};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
    sigaction(signals[i], &action, NULL);
  }
  alarm(120);  // a loop without end ends us

  for (uint64_t i = 0; i < layout.count; i++) {
    struct code_case each;
    struct outcome outcomes[2] = {0};
    struct trace traces[2] = {0};
    if (fread(&each, sizeof each, 1, in) != 1 || each.site_length > OLD ||
        each.site_offset > PAGE - OLD || each.copy_length > COPY ||
        each.copy_offset > PAGE - COPY) {
      fprintf(stderr, "bad case %lu\n", i);
      return 2;
    }
    clear(layout.copy);
    clear(layout.site);
    memcpy((void *)(layout.site + each.site_offset), each.site_bytes, each.site_length);
    first = layout.site + each.site_offset;
    behind = first + each.site_length;
    run(&each, each.site_entry, &outcomes[0], trace == NULL ? NULL : &traces[0]);
    clear(layout.site);
    memcpy((void *)(layout.copy + each.copy_offset), each.copy_bytes, each.copy_length);
    first = layout.copy + each.copy_offset;
    behind = first + each.copy_length;
    run(&each, each.copy_entry, &outcomes[1], trace == NULL ? NULL : &traces[1]);
    if (fwrite(outcomes, sizeof outcomes, 1, out) != 1 ||
        (trace != NULL && fwrite(traces, sizeof traces, 1, trace) != 1)) {
      perror("write");
      return 2;
    }
  }
  return fclose(out) == 0 && (trace == NULL || fclose(trace) == 0) ? 0 : 2;
}
