/*
 * counted: a program that counts how often two functions of its own are called, from before main on,
 * and says it in the end.
 *
 *   counted HOW [NUMBER]
 *
 *   exit NUMBER     main returns NUMBER
 *   kill NUMBER     it ends by that signal, sent to itself
 *   threads NUMBER  so many threads, and the first one, call in_executable at the same time
 *   fork NUMBER     so many children, and the program itself, call in_executable at the same time;
 *                   each child ends by _exit
 *   exec            it executes itself, with "exit 0"
 *
 * in_executable is called by a function of the preinit array, by a constructor and by main;
 * in_library by a constructor of libcounted.so and by main. Writes "in_executable N" and "in_library
 * N" on two lines to standard output before it ends: how often they were called, with those of its
 * children.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 1000000 };

extern int in_library(int x);
extern long library_calls(void);

/* Shared with children. */
static long *calls;

/* Far from the rest: bytes that might be a short jump into it have it refused. */
__attribute__((noinline, aligned(1024))) int in_executable(int x) {
  __atomic_fetch_add(calls, 1, __ATOMIC_RELAXED);
  return x + 1;
}

static void preinit(void) {
  calls = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (calls == MAP_FAILED || in_executable(1) != 2) _exit(100);
}

__attribute__((section(".preinit_array"), used)) static void (*const preinits[])(void) = {preinit};

__attribute__((constructor)) static void constructor(void) {
  for (int i = 0; i < 10; i++) {
    if (in_executable(i) != i + 1) _exit(101);
  }
}

static void call(int times) {
  for (int i = 0; i < times; i++) {
    if (in_executable(i) != i + 1) _exit(102);
  }
}

static void *work(void *unused) {
  call(CALLS);
  return unused;
}

static void start_all(int threads) {
  pthread_t started[threads];
  for (int i = 0; i < threads; i++) {
    if (pthread_create(&started[i], NULL, work, NULL) != 0) _exit(109);
  }
  work(NULL);
  for (int i = 0; i < threads; i++) {
    if (pthread_join(started[i], NULL) != 0) _exit(110);
  }
}

static void say(void) {
  char text[100];
  int length = snprintf(text, sizeof text, "in_executable %ld\nin_library %ld\n",
                        __atomic_load_n(calls, __ATOMIC_RELAXED), library_calls());
  if (write(1, text, length) != length) _exit(103);
}

static void fork_all(int children) {
  int line[2];
  if (pipe(line) != 0) _exit(104);
  for (int i = 0; i < children; i++) {
    pid_t child = fork();
    if (child < 0) _exit(105);
    if (child == 0) {
      char byte;
      close(line[1]);
      /* All begin when the pipe is closed. */
      if (read(line[0], &byte, 1) != 0) _exit(106);
      call(CALLS);
      _exit(0);
    }
  }
  close(line[1]);
  call(CALLS);
  for (int i = 0; i < children; i++) {
    int status;
    if (wait(&status) < 0 || status != 0) _exit(107);
  }
}

int main(int argc, char **argv) {
  int number = argc > 2 ? atoi(argv[2]) : 0;
  call(100);
  for (int i = 0; i < 1000; i++) {
    if (in_library(i) != i + 1) return 108;
  }
  if (argc > 1 && strcmp(argv[1], "fork") == 0) fork_all(number);
  if (argc > 1 && strcmp(argv[1], "threads") == 0) start_all(number);
  say();
  if (argc > 1 && strcmp(argv[1], "kill") == 0) kill(getpid(), number);
  if (argc > 1 && strcmp(argv[1], "exec") == 0) execl(argv[0], argv[0], "exit", "0", NULL);
  return argc > 1 && strcmp(argv[1], "exit") == 0 ? number : 0;
}
