/* 3 x. What does it is called helper, as in service_first.c; so is its data, used. */
#include "service.h"

static long used;

static REPLACEABLE long helper(struct reply *reply, long x) {
  add_tag(reply, "second", 1);
  __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
  return 3 * x;
}

long second(struct reply *reply, long x) { return helper(reply, x); }
