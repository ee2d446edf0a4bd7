/* See site.h. */
#include "site.h"

#include <stdlib.h>

void publish_site(void) {
  publish("site", site);
  publish("repl", repl);
}

static void *work(void *argument) {
  const struct tally *tally = argument;
  for (long x = 0;; x++) call_site(tally, x);
  return NULL;
}

void start_workers(int count) {
  struct tally *tallies = calloc(count + 1, sizeof *tallies);
  for (int i = 0; i < count; i++) {
    tallies[i] = new_tally(i);
    start_thread(work, &tallies[i]);
  }
  for (int i = 0; i < count; i++) await_first_call(&tallies[i]);
}
