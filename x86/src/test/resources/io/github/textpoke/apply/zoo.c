/* Functions as compilers make them, to be displaced. Each is called with 64 random longs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t word;

#define ENTRY __attribute__((noinline, noclone, visibility("default")))

static const word primes[] = {2, 3, 5, 7, 11, 13, 17, 19};
static const double weights[] = {0.5, -0.25, 3, 1e9};

ENTRY void zoo_nothing(void) {}
ENTRY word zoo_zero(void) { return 0; }
ENTRY word zoo_one(void) { return 1; }
ENTRY word zoo_big(void) { return 0x123456789abcdef; }
ENTRY word zoo_identity(word a) { return a; }
ENTRY word zoo_negate(word a) { return -a; }
ENTRY unsigned zoo_narrow(unsigned char a, unsigned short b) { return a * 3u + b; }
ENTRY word zoo_sum(word a, word b) { return a + b; }
ENTRY word zoo_shifts(word a, word b, word *data, word c) {
  return (a << (c & 63)) ^ (b >> (c & 31));
}
ENTRY word zoo_divide(word a, word b) { return a / (b | 1) + a % (b | 3); }
ENTRY word zoo_guard(word a, word b) { return a < b ? b - a : a; }
ENTRY word zoo_null(const word *a, word b) { return (word)a < 16 ? b : (word)a & b; }

ENTRY word zoo_choose(word a, word b) {
  if (a == 0) return b;
  if (b == 0) return a;
  return a > b ? a - b : a ^ b;
}

ENTRY word zoo_loop(word a, word b, word *data) {
  word sum = a;
  for (int i = 0; i < 64; i++) sum = sum * 31 + data[i] % (b | 1);
  return sum;
}

/* At -O2 the head of the loop is the first instruction of the function, or one near it. */
ENTRY word zoo_spin(word a) {
  a &= 31;
  do a = a * 2 + 1;
  while (a < 1000);
  return a;
}

ENTRY const char *zoo_skip(word a, word b, const char *data) {
  while (*data == 0) data++;
  return data;
}

ENTRY word zoo_switch(word a, word b) {
  switch (a) {
    case 0: return b;
    case 1: return b * 3;
    case 2: return b ^ 0x55;
    case 3: return b >> 3;
    case 4: return b << 7;
    case 5: return ~b;
    case 6: return b % 10;
    case 7: return b | 0x100;
    case 9: return b & 0xff00;
    default: return a - b;
  }
}

ENTRY word zoo_goto(word a, word b) {
  static void *const labels[] = {&&add, &&xor, &&shift, &&end};
  for (int i = 0;; i++) {
    goto *labels[i < 9 ? (a >> 2 * i) & 3 : 3];
  add:
    b += a;
    continue;
  xor:
    b ^= a;
    continue;
  shift:
    b <<= 1;
    continue;
  end:
    return b;
  }
}

ENTRY word zoo_table(word a) { return primes[a & 7]; }
ENTRY double zoo_weight(word a, word b, word *data, word c, word *d, word e, double x) {
  return x * weights[a & 3];
}
ENTRY double zoo_double(word a, word b, word *data, word c, word *d, word e, double x, double y) {
  return x < y ? x * 2 + y : y - x / 3;
}
ENTRY float zoo_float(word a) { return (float)(int)a * 0.1f; }
ENTRY double zoo_long_double(word a, word b, word *data, word c, word *d, word e, double x) {
  return (double)((long double)x * 1.25L + (long double)(int)a);
}

ENTRY word zoo_recurse(word a) { return a % 17 == 0 ? 1 : a + zoo_recurse(a % 17 - 1); }
ENTRY word zoo_tail(word a, word b) { return zoo_choose(b, a); }
ENTRY word zoo_call_first(word a, word b) { return zoo_divide(a, b) + b; }
ENTRY word zoo_call_twice(word a, word b) {
  return zoo_divide(zoo_choose(a, b), b) + zoo_sum(b, 1);
}

static word (*volatile pointer)(word, word) = zoo_choose;
ENTRY word zoo_indirect(word a, word b) { return pointer(a, b) + 1; }
ENTRY word zoo_indirect_tail(word a, word b) { return pointer(b, a); }

struct pair {
  word first, second;
};
struct many {
  word values[9];
};
ENTRY struct pair zoo_pair(word a, word b) { return (struct pair){b, a}; }
static __attribute__((noinline)) struct many make_many(word a) {
  struct many made;
  for (int i = 0; i < 9; i++) made.values[i] = a * i;
  return made;
}
ENTRY word zoo_struct(word a) { return make_many(a).values[a % 9]; }

ENTRY void zoo_store(word a, word b, word *data) { data[b & 63] = a; }
ENTRY word zoo_swap(word a, word b, word *data) {
  word old = __atomic_exchange_n(&data[a & 63], b, __ATOMIC_SEQ_CST);
  return old + __atomic_fetch_add(&data[b & 63], a, __ATOMIC_RELAXED);
}
ENTRY void zoo_clear(word a, word b, word *data) { memset(data, (int)a, 8 * (b & 63)); }
ENTRY void zoo_copy(word a, word b, word *data) { memmove(data + (a & 7), data, 8 * (b & 31)); }

static word total(int count, ...) {
  va_list values;
  va_start(values, count);
  word sum = 0;
  for (int i = 0; i < count; i++) sum = sum * 7 + va_arg(values, word);
  va_end(values);
  return sum;
}
ENTRY word zoo_variadic(int count, ...) {
  va_list values;
  va_start(values, count);
  word sum = 0;
  for (int i = 0; i < 2; i++) sum = sum * 7 + (unsigned char)va_arg(values, word);
  va_end(values);
  return sum & 0xff00;
}
ENTRY word zoo_call_variadic(word a, word b) { return total(7, a, b, a, b, a, b, 7ul); }

ENTRY word zoo_array(word a, word b, word *data) {
  word own[32];
  for (int i = 0; i < 32; i++) own[i] = data[i] ^ a;
  return own[a & 31] + own[b & 31];
}
ENTRY word zoo_alloca(word a, word b, word *data) {
  word own[(a & 31) + 1];
  for (word i = 0; i <= (a & 31); i++) own[i] = data[i] + b;
  return own[b % ((a & 31) + 1)];
}
ENTRY word zoo_red_zone(word a, word b, word *data) {
  volatile word own[8];
  for (int i = 0; i < 8; i++) own[i] = data[i];
  return own[a & 7] - own[b & 7];
}
ENTRY word zoo_many_arguments(word a, word b, word *data, word c, word *d, word e) {
  word x = data[0], y = data[1], z = data[2], u = data[3], v = data[4], w = data[5];
  for (int i = 0; i < 5; i++) {
    x += y * a, y ^= z + b, z -= u * c, u ^= v >> 3, v += w + e, w ^= x + *d;
  }
  return x ^ y ^ z ^ u ^ v ^ w;
}

static _Thread_local word own;
ENTRY word zoo_thread_local(word a) {
  own = a;
  return own * 3;
}

static __attribute__((noinline, noreturn)) void leave(jmp_buf place, int value) {
  longjmp(place, value);
}
ENTRY word zoo_longjmp(word a) {
  jmp_buf place;
  int value = setjmp(place);
  if (value == 0) leave(place, (int)(a & 7) + 1);
  return value;
}

static int compare(const void *a, const void *b) {
  word x = *(const word *)a, y = *(const word *)b;
  return (x > y) - (x < y);
}
ENTRY void zoo_sort(word a, word b, word *data) { qsort(data, 64, sizeof *data, compare); }
ENTRY int zoo_compare(word a, word b, const word *data) {
  return compare(data + (a & 63), data + (b & 63));
}

ENTRY word zoo_bits(word a, word b) {
  return __builtin_popcountl(a) + __builtin_ctzl(b | 1ul << 40) + __builtin_bswap64(a);
}
ENTRY word zoo_wide(word a, word b) {
  unsigned __int128 product = (unsigned __int128)a * b;
  return (word)(product >> 64) ^ (word)product;
}
