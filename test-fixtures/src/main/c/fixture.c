/* See fixture.h. */
#define _GNU_SOURCE
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <unistd.h>

static int argument_count;
static char **arguments;
static bool taken[64];

static counter *slots;
static char *slot_names[COUNTER_SLOTS];
static int slot_count;

static struct {
  char *name;
  const void *address;
} addresses[512];
static int address_count;

void fail(const char *format, ...) {
  int error = errno;
  va_list values;
  va_start(values, format);
  fprintf(stderr, "fixture: ");
  vfprintf(stderr, format, values);
  fprintf(stderr, " (errno %d: %s)\n", error, strerror(error));
  va_end(values);
  exit(1);
}

void fixture_init(int argc, char **argv) {
  argument_count = argc < 64 ? argc : 64;
  arguments = argv;
  slots = mmap(NULL, COUNTER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, COUNTER_FD, 0);
  if (slots == MAP_FAILED) { /* started by hand, without the keeper */
    slots = mmap(NULL, COUNTER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  }
  if (slots == MAP_FAILED) fail("mmap of the counters");
}

static int find(const char *name) {
  for (int i = 1; i < argument_count; i++) {
    if (!taken[i] && strcmp(arguments[i], name) == 0) {
      taken[i] = true;
      return i;
    }
  }
  return 0;
}

bool option_flag(const char *name) { return find(name) != 0; }

const char *option_text(const char *name, const char *otherwise) {
  int i = find(name);
  if (i == 0) return otherwise;
  if (i + 1 >= argument_count) {
    fprintf(stderr, "fixture: %s needs a value\n", name);
    exit(2);
  }
  taken[i + 1] = true;
  return arguments[i + 1];
}

long option_number(const char *name, long otherwise) {
  const char *text = option_text(name, NULL);
  if (text == NULL) return otherwise;
  char *end;
  long value = strtol(text, &end, 0);
  if (end == text || *end != 0) {
    fprintf(stderr, "fixture: %s %s is no number\n", name, text);
    exit(2);
  }
  return value;
}

void options_done(void) {
  for (int i = 1; i < argument_count; i++) {
    if (!taken[i]) {
      fprintf(stderr, "fixture: unknown argument %s\n", arguments[i]);
      exit(2);
    }
  }
}

static char *format_name(const char *name, int index) {
  char *text;
  if (asprintf(&text, name, index) < 0) fail("asprintf");
  return text;
}

counter *new_counter(const char *name, int index) {
  if (slot_count >= COUNTER_SLOTS) fail("more than %d counters", COUNTER_SLOTS);
  slot_names[slot_count] = format_name(name, index);
  return &slots[slot_count++];
}

void new_counter_line(void) { slot_count = (slot_count + 7) & ~7; }

struct tally new_tally(int index) {
  new_counter_line();
  return (struct tally){
      .calls = new_counter("calls_%d", index),
      .results_old = new_counter("results_old_%d", index),
      .results_new = new_counter("results_new_%d", index),
      .wrong = new_counter("wrong_%d", index),
  };
}

void rest(void) {
  struct timespec some = {0, 20 * 1000};
  nanosleep(&some, NULL);
}

void await_first_call(const struct tally *tally) {
  while (*tally->calls == 0) rest();
}

void publish(const char *name, const void *address) {
  if (address_count >= (int)(sizeof addresses / sizeof *addresses)) fail("too many addresses");
  addresses[address_count].name = strdup(name);
  addresses[address_count++].address = address;
}

void ready(void) {
  /* With a buffer of ours, stdio makes no call but write, which every seccomp filter allows. */
  static char buffer[64 * 1024];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  printf("ready");
  for (int i = 0; i < address_count; i++) printf(" %s=%p", addresses[i].name, addresses[i].address);
  for (int i = 0; i < slot_count; i++) {
    if (slot_names[i] != NULL) printf(" %s@%d", slot_names[i], i);
  }
  printf("\n");
  fflush(stdout);
}

bool next_command(char *line, size_t size) {
  size_t length = 0;
  char c;
  for (;;) {
    ssize_t n = read(STDIN_FILENO, &c, 1);
    /* Handlers here are installed with SA_RESTART, so even EINTR comes from outside. */
    if (n < 0) fail("read from stdin");
    if (n == 0) return false;
    if (c == '\n') {
      line[length] = 0;
      return true;
    }
    if (length + 1 < size) line[length++] = c;
  }
  return false;
}

void serve(void (*command)(const char *line)) {
  char line[256];
  while (next_command(line, sizeof line) && strcmp(line, "quit") != 0) {
    if (command == NULL) fail("this fixture has no command '%s'", line);
    command(line);
  }
  _exit(0);
}

void start_thread(void *(*body)(void *), void *argument) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  int error = pthread_create(&thread, &attributes, body, argument);
  if (error != 0) {
    errno = error;
    fail("pthread_create");
  }
  pthread_attr_destroy(&attributes);
}
