/* Threads of `workers` that call what they are told to, and tell where that has led. */
#pragma once
#include <stdbool.h>
#include <signal.h>
#include <ucontext.h>

/* Starts `count` runners, of which the first `blocked` block every signal, and returns when all wait
 * for a command. Their counters are described at the top of workers.c. */
void start_runners(int count, int blocked);

/* "run I ADDRESS"; false if it is another command. */
bool run_command(const char *line);

/* For the handler of SIGTRAP: if the thread is a runner, notes the trap. */
void note_trap(const ucontext_t *at);
