/*
 * busy: threads that call the C library all the time, and check what it does.
 *
 *   --threads N   (default 4)
 *
 * Counters of thread I: rounds_I; wrong_I: a result was not the one expected.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "fixture.h"

enum { LARGEST = 4000, NUMBERS = 64 };

struct thread {
  counter *rounds, *wrong;
  unsigned seed;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long guarded;

static int ascending(const void *left, const void *right) {
  int a = *(const int *)left, b = *(const int *)right;
  return a < b ? -1 : a > b;
}

static bool memory(struct thread *self) {
  size_t size = 1 + rand_r(&self->seed) % LARGEST;
  unsigned char *from = malloc(size), *to = calloc(1, size);
  unsigned char fill = self->seed;
  memset(from, fill, size);
  memcpy(to, from, size);
  bool right = memcmp(from, to, size) == 0 && memchr(to, fill, size) == to;
  memset(to, 0, size);
  right &= mempcpy(to, from, size) == (void *)(to + size) && memcmp(from, to, size) == 0;
  to = realloc(to, 2 * size);
  memmove(to + size / 2, to, size);
  right &= to[size / 2] == fill && to[size / 2 + size - 1] == fill;
  free(from);
  free(to);
  return right;
}

static bool text(struct thread *self) {
  char line[128], copy[128];
  int number = rand_r(&self->seed) % 1000000;
  int length = snprintf(line, sizeof line, "number %d of %s", number, "many");
  strcpy(copy, line);
  bool right = (size_t)length == strlen(line) && strcmp(line, copy) == 0 && strncmp(line, "num", 3) == 0;
  right &= strtol(strchr(line, ' '), NULL, 10) == number && atoi(line + 7) == number;
  right &= strstr(line, "of") != NULL && strrchr(line, ' ') == line + length - 5;
  char *heap = strdup(line);
  right &= strcasecmp(heap, line) == 0 && toupper(heap[0]) == 'N';
  char *rest, *first = strtok_r(heap, " ", &rest);
  right &= strcmp(first, "number") == 0;
  free(heap);
  int scanned;
  right &= sscanf(line, "number %d", &scanned) == 1 && scanned == number;
  wchar_t wide[32];
  right &= mbstowcs(wide, "many", 32) == 4 && wcslen(wide) == 4;
  return right;
}

static bool sorting(struct thread *self) {
  int numbers[NUMBERS];
  for (int i = 0; i < NUMBERS; i++) numbers[i] = rand_r(&self->seed) % 1000;
  qsort(numbers, NUMBERS, sizeof *numbers, ascending);
  for (int i = 1; i < NUMBERS; i++) {
    if (numbers[i - 1] > numbers[i]) return false;
  }
  return bsearch(&numbers[NUMBERS / 2], numbers, NUMBERS, sizeof *numbers, ascending) != NULL;
}

static bool files(void) {
  int ends[2];
  if (pipe(ends)) return false;
  char got[6] = "";
  bool right = write(ends[1], "bytes", 6) == 6 && read(ends[0], got, 6) == 6;
  right &= strcmp(got, "bytes") == 0 && lseek(ends[0], 0, SEEK_SET) == -1 && errno == ESPIPE;
  right &= close(ends[0]) == 0 && close(ends[1]) == 0;
  struct timespec now;
  right &= clock_gettime(CLOCK_MONOTONIC, &now) == 0 && getpid() > 1 && getenv("PATH") != NULL;
  FILE *null = fopen("/dev/null", "w");
  right &= null != NULL && fputs("text", null) >= 0 && fclose(null) == 0;
  return right;
}

static bool locking(void) {
  pthread_mutex_lock(&mutex);
  long before = guarded;
  guarded = before + 1;
  if (before % 64 == 0) rest();
  bool right = guarded == before + 1;
  pthread_mutex_unlock(&mutex);
  return right;
}

static void *work(void *argument) {
  struct thread *self = argument;
  for (;;) {
    bool right = memory(self);
    right &= text(self);
    right &= sorting(self);
    right &= locking();
    right &= files();
    if (!right) (*self->wrong)++;
    (*self->rounds)++;
  }
  return NULL;
}

static void command(const char *line) { fail("no command '%s'", line); }

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 4);
  options_done();
  struct thread *all = calloc(threads, sizeof *all);
  for (int i = 0; i < threads; i++) {
    new_counter_line();
    all[i] = (struct thread){new_counter("rounds_%d", i), new_counter("wrong_%d", i), i + 1};
    start_thread(work, &all[i]);
  }
  for (int i = 0; i < threads; i++) {
    struct tally tally = {.calls = all[i].rounds};
    await_first_call(&tally);
  }
  ready();
  serve(command);
}
