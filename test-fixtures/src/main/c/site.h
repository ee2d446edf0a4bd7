/* The site of site.S, and workers that call it. */
#pragma once
#include "fixture.h"

typedef long function(long);
extern function site, repl;

/* Calls the site through a pointer, so that the compiler knows nothing of it, and checks. */
static inline void call_site(const struct tally *tally, long x) {
  function *volatile entry = site;
  check_result(tally, x, entry(x));
}

/* Publishes "site" and "repl", and starts threads that call the site for ever, and do so when
 * this returns. Their tallies have the numbers 0 to count - 1. */
void publish_site(void);
void start_workers(int count);
