/*
 * rseq: a thread that is inside a restartable sequence nearly always. Whoever moves its instruction
 * pointer there, even if it is put back, makes the kernel abort the sequence or kill the thread.
 *
 *   --threads N  such threads (default 1)
 *
 * Addresses: rseq_start, rseq_end, rseq_abort; rseq_site: a 5-byte NOP inside the sequence, not to
 * be patched; site. Counters of thread I: commits_I, aborts_I, and calls, results_old, results_new,
 * wrong of a call of the site after each sequence. Exit code 77 where libc registers no rseq area.
 */
#include <stdio.h>
#include <stdlib.h>

#include "site.h"

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>

/*
 * long run_sequence(struct rseq *area, long turns, counter *commits)
 *
 * Counts turns down and then adds one to commits, which is the commit: the sequence's last
 * instruction. Returns 1 if it came so far, 0 if it was aborted. The four bytes before the abort
 * handler are the signature that libc registered; the bytes before them make it an instruction
 * (ud1) for disassemblers.
 */
extern long run_sequence(struct rseq *area, long turns, counter *commits);
extern const char rseq_start[], rseq_end[], rseq_abort[], rseq_site[];
__asm__(
    ".pushsection __rseq_cs, \"aw\"\n"
    ".balign 32\n"
    "rseq_descriptor:\n"
    "  .long 0, 0\n"
    "  .quad rseq_start, rseq_end - rseq_start, rseq_abort\n"
    ".popsection\n"
    ".pushsection .text\n"
    ".type run_sequence, @function\n"
    "run_sequence:\n"
    "  lea rseq_descriptor(%rip), %rax\n"
    "  mov %rax, 8(%rdi)\n" /* area->rseq_cs */
    "rseq_start:\n"
    "1: dec %rsi\n"
    "rseq_site:\n"
    "  .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
    "  jnz 1b\n"
    "  incq (%rdx)\n"
    "rseq_end:\n"
    "  mov $1, %eax\n"
    "  ret\n"
    "  .byte 0x0f, 0xb9, 0x3d\n"
    "  .long 0x53053053\n"
    "rseq_abort:\n"
    "  xor %eax, %eax\n"
    "  ret\n"
    ".size run_sequence, . - run_sequence\n"
    ".popsection");

enum { TURNS = 20000 };

struct runner {
  struct tally tally;
  counter *commits, *aborts;
};

static void *run(void *argument) {
  const struct runner *self = argument;
  struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
  for (long x = 0;; x++) {
    if (!run_sequence(area, TURNS, self->commits)) (*self->aborts)++;
    call_site(&self->tally, x);
  }
  return NULL;
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 1);
  options_done();
  if (__rseq_size == 0) {
    fprintf(stderr, "fixture: libc has registered no rseq area\n");
    return 77;
  }
  publish_site();
  publish("rseq_start", rseq_start);
  publish("rseq_end", rseq_end);
  publish("rseq_abort", rseq_abort);
  publish("rseq_site", rseq_site);
  struct runner *runners = calloc(threads, sizeof *runners);
  for (int i = 0; i < threads; i++) {
    runners[i].tally = new_tally(i);
    runners[i].commits = new_counter("commits_%d", i);
    runners[i].aborts = new_counter("aborts_%d", i);
    start_thread(run, &runners[i]);
  }
  ready();
  serve(NULL);
}

#else
int main(void) {
  fprintf(stderr, "fixture: this libc knows no rseq\n");
  return 77;
}
#endif
