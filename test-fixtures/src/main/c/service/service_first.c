/* x + 1. What does it is called helper, as in service_second.c; so is its data, used. */
#include "service.h"

static long used;

static REPLACEABLE long helper(struct reply *reply, long x) {
  add_tag(reply, "first", 1);
  __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
  return x + 1;
}

long first(struct reply *reply, long x) { return helper(reply, x); }
