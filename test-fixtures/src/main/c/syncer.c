/*
 * syncer: threads that call fsync in a loop, and look at what it returns and at errno.
 *
 *   --threads N   (default 1)
 *
 * Counters of thread I: calls_I; ok_I: returned 0; failed_I: returned -1, and errno was EIO;
 * wrong_I: anything else, or errno was changed by a call that succeeded. Of the process: fsync, the
 * address of the function, in the ready line.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"

struct syncer {
  counter *calls, *ok, *failed, *wrong;
};

static int file;

static void *sync_for_ever(void *argument) {
  struct syncer *self = argument;
  for (;;) {
    errno = ENOTTY;
    int result = fsync(file);
    int error = errno;
    if (result == 0 && error == ENOTTY) {
      (*self->ok)++;
    } else if (result == -1 && error == EIO) {
      (*self->failed)++;
    } else {
      (*self->wrong)++;
    }
    (*self->calls)++;
  }
  return NULL;
}

static void command(const char *line) { fail("no command '%s'", line); }

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 1);
  options_done();
  file = memfd_create("synced", MFD_CLOEXEC);
  if (file < 0) fail("memfd_create");
  publish("fsync", (const void *)fsync);
  struct syncer *syncers = calloc(threads, sizeof *syncers);
  for (int i = 0; i < threads; i++) {
    new_counter_line();
    syncers[i] = (struct syncer){new_counter("calls_%d", i), new_counter("ok_%d", i),
                                 new_counter("failed_%d", i), new_counter("wrong_%d", i)};
    start_thread(sync_for_ever, &syncers[i]);
  }
  for (int i = 0; i < threads; i++) {
    struct tally tally = {.calls = syncers[i].calls};
    await_first_call(&tally);
  }
  ready();
  serve(command);
}
