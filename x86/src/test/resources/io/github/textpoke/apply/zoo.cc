// Functions that exceptions are thrown in, through and out of. Each is called with 64 random longs;
// those called zoo_throws... by zoo_catch_each.
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using word = uint64_t;

#define ENTRY extern "C" __attribute__((noinline, noclone, visibility("default")))

namespace {
struct Guard {
  word *place;
  word value;
  ~Guard() { *place ^= value; }
};
struct Shape {
  virtual ~Shape() = default;
  virtual word size(word) const = 0;
};
struct Square : Shape {
  word size(word a) const override { return a * a; }
};
struct Thrower : Shape {
  word size(word a) const override { throw a; }
};
}  // namespace

ENTRY word zoo_throws(word a, word b) {
  if (a % 3 == 0) throw std::runtime_error("thirds");
  if (a % 3 == 1) throw static_cast<int>(b);
  return a + b;
}

// Optimised, it is displaced with its call: an exception passes while its return address is on the
// stack.
ENTRY word zoo_throws_through(word a, word b) { return zoo_throws(a, b) + 1; }

ENTRY word zoo_throws_with_cleanup(word a, word b, word *data) {
  Guard guard{data, a};
  return zoo_throws_through(a, b) * 2;
}

ENTRY word zoo_catch(word a, word b, word *data) {
  try {
    return zoo_throws_with_cleanup(a, b, data);
  } catch (const std::exception &) {
    return 77;
  } catch (int value) {
    return static_cast<unsigned>(value);
  }
}

ENTRY word zoo_catch_at_once(word a, word b) {
  try {
    return zoo_throws(a, b);
  } catch (...) {
    return 5;
  }
}

ENTRY word zoo_rethrow(word a, word b, word *data) {
  try {
    try {
      return zoo_throws_through(a, b);
    } catch (int) {
      Guard guard{data + 1, b};
      throw;
    }
  } catch (...) {
    return a ^ b;
  }
}

ENTRY word zoo_catch_each(word a, word b, word *data) {
  word sum = 0;
  for (word i = 0; i < 4; i++) {
    try {
      sum += zoo_throws_with_cleanup(a + i, b, data);
    } catch (...) {
      sum = sum * 3 + i;
    }
  }
  return sum;
}

ENTRY word zoo_virtual(word a, word b) {
  std::unique_ptr<Shape> shape;
  if (a & 1) {
    shape = std::make_unique<Square>();
  } else {
    shape = std::make_unique<Thrower>();
  }
  try {
    return shape->size(b);
  } catch (word value) {
    return ~value;
  }
}

ENTRY word zoo_strings(word a, word b) {
  std::map<std::string, word> counts;
  for (word i = 0; i < 8; i++) counts[std::to_string((a >> i) & 7)] += b;
  try {
    return counts.at("7");
  } catch (const std::out_of_range &) {
    return counts.size();
  }
}

ENTRY word zoo_vector(word a, word b, word *data) {
  std::vector<word> values(data, data + (a & 31));
  try {
    return values.at(b & 31);
  } catch (const std::out_of_range &) {
    return values.size();
  }
}

ENTRY word zoo_lambda(word a, word b) {
  auto step = [a](word x) { return x % 5 == 4 ? throw x : x * 2 + a; };
  try {
    return step(step(b));
  } catch (word x) {
    return x;
  }
}

ENTRY word zoo_no_exception(word a, word b) noexcept { return a * 5 + b; }
