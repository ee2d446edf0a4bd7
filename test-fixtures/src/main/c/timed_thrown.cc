// Functions that an exception passes.
#include "timed.h"

namespace {
struct Counted {
  long *place;
  ~Counted() { ++*place; }
};

[[gnu::noinline]] long throws(long x, bool thrown) {
  if (thrown) throw x;
  return x;
}
}  // namespace

// Has a landing pad, by which it cleans up and is left.
[[gnu::noinline]] long catches(long x, bool thrown) {
  long cleaned = 0;
  long result;
  {
    Counted counted{&cleaned};
    result = throws(x, thrown);
  }
  return result + cleaned;
}

long calls_and_catches(long x, bool thrown) {
  try {
    return catches(x, thrown);
  } catch (long value) {
    return -value;
  }
}
