/* What every fixture shares: options, named counters, named addresses, the ready line. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COUNTER_FD = 3, COUNTER_SLOTS = 8192, COUNTER_BYTES = COUNTER_SLOTS * 8 };

/* A 64-bit counter in memory that the launcher maps. One writer each, unless counted with add(). */
typedef volatile uint64_t counter;

/* First call of every main. */
void fixture_init(int argc, char **argv);

/* Each option may be given once; a missing one has the given default. */
bool option_flag(const char *name);
long option_number(const char *name, long otherwise);
const char *option_text(const char *name, const char *otherwise);
/* Ends the program with exit code 2 if an argument was not asked for: a misspelt option must not
 * make a test pass. */
void options_done(void);

/* The next slot. Zero at first; a program that calls execve counts on. The name may hold a %d for
 * the index. */
counter *new_counter(const char *name, int index);
/* Puts the next counter at the start of a cache line, so that threads do not share one. */
void new_counter_line(void);
/* For counters with several writers, or written in a signal handler. */
static inline void add(counter *c, uint64_t n) { __atomic_fetch_add(c, n, __ATOMIC_RELAXED); }

/* What a caller of a patchable function saw. One writer, on a cache line of its own. */
struct tally {
  counter *calls, *results_old, *results_new, *wrong;
};
/* Counters calls_I, results_old_I, results_new_I, wrong_I. */
struct tally new_tally(int index);
/* Counts a call: x + 1 is the result of the old code, x + 2 that of the new, all else is wrong. */
static inline void check_result(const struct tally *tally, long x, long result) {
  if (result == x + 1) {
    (*tally->results_old)++;
  } else if (result == x + 2) {
    (*tally->results_new)++;
  } else {
    (*tally->wrong)++;
  }
  (*tally->calls)++;
}

/* For some microseconds. Whoever waits by sched_yield starves others on Linux 6.18. */
void rest(void);

/* Waits until a thread that counts there has called the site, so has its start behind it: system
 * calls of libc's that a filter may forbid, and its signal mask. */
void await_first_call(const struct tally *tally);

/* Names an address in the ready line. */
void publish(const char *name, const void *address);

/* Prints "ready", the addresses as name=0xHEX and the counters as name@SLOT, on one line. */
void ready(void);

/* Reads the next command line from stdin, without the newline; false at the end of the pipe. */
bool next_command(char *line, size_t size);
/* Reads commands until "quit" or the end of the pipe, then ends the program with exit code 0. */
_Noreturn void serve(void (*command)(const char *line));

/* Says why, with errno, and ends the program with exit code 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Starts a detached thread with a small stack. */
void start_thread(void *(*body)(void *), void *argument);
