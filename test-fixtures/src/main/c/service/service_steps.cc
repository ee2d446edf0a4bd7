// Steps through which an exception is thrown; see service.c.
#include "service_steps.hh"

#include "service.h"

namespace {
struct Leaving {
  ~Leaving() { service_event("cleanup"); }
};
}  // namespace

extern "C" {
REPLACEABLE long step_three(long x) {
  if (x % 2 != 0) throw OddNumber{x};
  return x;
}

REPLACEABLE long step_two(struct reply *reply, long x) {
  Leaving leaving;
  add_tag(reply, "step", 1);
  return step_three(x);
}

REPLACEABLE long step_one(struct reply *reply, long x) {
  Leaving leaving;
  return step_two(reply, x);
}

REPLACEABLE long steps(struct reply *reply, long x) {
  try {
    return step_one(reply, x);
  } catch (const OddNumber &odd) {
    return -odd.number;
  }
}
}
