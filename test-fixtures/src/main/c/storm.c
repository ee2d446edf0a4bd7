/*
 * storm: threads that are born and die as fast as they can, each calling the site a few times.
 *
 *   --spawners N  threads that create the others (default 2)
 *   --width N     how many each has alive at once (default 4)
 *   --calls N     calls of the site in each life (default 20)
 *
 * Counters: born_I of spawner I; calls, results_old, results_new, wrong.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "site.h"

static long width, calls;

struct spawner {
  counter *born;
  struct tally *tallies; /* one for each that is alive at once, so that each has one writer */
};

static void *live(void *argument) {
  const struct tally *tally = argument;
  for (long x = 0; x < calls; x++) call_site(tally, x);
  return NULL;
}

static void *spawn(void *argument) {
  struct spawner *self = argument;
  pthread_t *threads = calloc(width, sizeof *threads);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  for (;;) {
    for (long i = 0; i < width; i++) {
      errno = pthread_create(&threads[i], &attributes, live, &self->tallies[i]);
      if (errno != 0) fail("pthread_create");
    }
    for (long i = 0; i < width; i++) pthread_join(threads[i], NULL);
    *self->born += width;
  }
  return NULL;
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long spawners = option_number("--spawners", 2);
  width = option_number("--width", 4);
  calls = option_number("--calls", 20);
  options_done();
  publish_site();
  struct spawner *all = calloc(spawners, sizeof *all);
  for (int i = 0; i < spawners; i++) {
    new_counter_line();
    all[i].born = new_counter("born_%d", i);
    all[i].tallies = calloc(width, sizeof *all[i].tallies);
    for (int j = 0; j < width; j++) all[i].tallies[j] = new_tally(i * width + j);
    start_thread(spawn, &all[i]);
  }
  ready();
  serve(NULL);
}
