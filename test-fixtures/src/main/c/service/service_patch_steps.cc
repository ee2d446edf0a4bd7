// Three more new versions: exceptions of the service's type are thrown, passed on and caught, with a
// frame of the service's own between.
#include "service_steps.hh"

#include "service.h"

namespace {
struct Leaving {
  ~Leaving() { service_event("cleanup"); }
};
}  // namespace

extern "C" {
long step_one(struct reply *reply, long x);
long step_three(long x);

long new_steps(struct reply *reply, long x) {
  try {
    return step_one(reply, x);
  } catch (const OddNumber &odd) {
    return 0 - odd.number;
  }
}

long new_step_three(long x) {
  if (x & 1) throw OddNumber{x};
  return x;
}

long new_step_two(struct reply *reply, long x) {
  Leaving leaving;
  add_tag(reply, "step", VERSION);
  return step_three(x);
}
}
