/*
 * jobs: workers, and a handler for SIGCONT. SIGSTOP and SIGTSTP stop it: its process group is not
 * orphaned, so the kernel does not discard the latter.
 *
 *   --threads N  workers (default 2)
 *
 * Counters: calls, results_old, results_new, wrong; continued: SIGCONT handled.
 */
#define _GNU_SOURCE
#include <signal.h>

#include "site.h"

static counter *continued;

static void on_sigcont(int number) {
  (void)number;
  add(continued, 1);
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long threads = option_number("--threads", 2);
  options_done();
  continued = new_counter("continued", 0);
  struct sigaction action = {.sa_handler = on_sigcont, .sa_flags = SA_RESTART};
  if (sigaction(SIGCONT, &action, NULL)) fail("sigaction");
  publish_site();
  start_workers(threads);
  ready();
  serve(NULL);
}
