/* The table of sites, and the check of their layout. */
#include "worker_sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define EACH_LINE_OFFSET(X, kind)                                                                 \
  X(kind, 0) X(kind, 1) X(kind, 2) X(kind, 3) X(kind, 4) X(kind, 5) X(kind, 6) X(kind, 7)         \
  X(kind, 8) X(kind, 9) X(kind, 10) X(kind, 11) X(kind, 12) X(kind, 13) X(kind, 14) X(kind, 15)   \
  X(kind, 16) X(kind, 17) X(kind, 18) X(kind, 19) X(kind, 20) X(kind, 21) X(kind, 22) X(kind, 23) \
  X(kind, 24) X(kind, 25) X(kind, 26) X(kind, 27) X(kind, 28) X(kind, 29) X(kind, 30) X(kind, 31) \
  X(kind, 32) X(kind, 33) X(kind, 34) X(kind, 35) X(kind, 36) X(kind, 37) X(kind, 38) X(kind, 39) \
  X(kind, 40) X(kind, 41) X(kind, 42) X(kind, 43) X(kind, 44) X(kind, 45) X(kind, 46) X(kind, 47) \
  X(kind, 48) X(kind, 49) X(kind, 50) X(kind, 51) X(kind, 52) X(kind, 53) X(kind, 54) X(kind, 55) \
  X(kind, 56) X(kind, 57) X(kind, 58) X(kind, 59) X(kind, 60) X(kind, 61) X(kind, 62) X(kind, 63)
#define EACH_SITE(X)                                          \
  EACH_LINE_OFFSET(X, nop) EACH_LINE_OFFSET(X, call)          \
  X(nop, page_1) X(nop, page_2) X(nop, page_3) X(nop, page_4) \
  X(call, page_1) X(call, page_2) X(call, page_3) X(call, page_4)

#define DECLARE(kind, place) extern function kind##_##place;
EACH_SITE(DECLARE)
#define ROW(kind, place) {#kind "_" #place, kind##_##place},
const struct site SITES[NAMED_SITES] = {EACH_SITE(ROW)};

/* Bounds of what is mapped of this program, from the linker script and the sections' names. */
extern char __executable_start[], end[];
extern char __start_fixture_target_a[], __stop_fixture_target_a[];
extern char __start_fixture_target_b[], __stop_fixture_target_b[];
extern char __start_fixture_sites[], __stop_fixture_sites[];

static bool within(uintptr_t at, const char *from, const char *to) {
  return at >= (uintptr_t)from && at < (uintptr_t)to;
}

bool is_in_site(uintptr_t at) { return within(at, __start_fixture_sites, __stop_fixture_sites); }

static bool faults(uintptr_t at) {
  if (within(at, __start_fixture_sites, __stop_fixture_sites) ||
      within(at, __start_fixture_target_a, __stop_fixture_target_a) ||
      within(at, __start_fixture_target_b, __stop_fixture_target_b)) {
    return *(const unsigned char *)at == 0xcc;
  }
  return !within(at, __executable_start, end);
}

/*
 * All 14 mixes of the last four bytes of two instructions of five must fault when they are the
 * displacement behind the first byte of a jump or call.
 */
static void check_mixes(const struct site *site, const unsigned char *one,
                        const unsigned char *other) {
  for (int mix = 1; mix < 15; mix++) {
    unsigned char bytes[4];
    for (int i = 0; i < 4; i++) bytes[i] = (mix >> i & 1 ? one : other)[i];
    int32_t displacement;
    memcpy(&displacement, bytes, 4);
    uintptr_t to = (uintptr_t)site->entry + 5 + displacement;
    if (memcmp(bytes, one, 4) == 0 || memcmp(bytes, other, 4) == 0) continue;
    if (!faults(to)) {
      fprintf(stderr, "fixture: a torn %s would run on at %p\n", site->name, (void *)to);
      exit(1);
    }
  }
}

static void displacement_to(const struct site *site, function *target, unsigned char *bytes) {
  int32_t displacement = (intptr_t)target - ((intptr_t)site->entry + 5);
  memcpy(bytes, &displacement, 4);
}

void check_that_tears_fault(void) {
  static const unsigned char NOP_TAIL[4] = {0x1f, 0x44, 0x00, 0x00};
  for (int i = 0; i < NAMED_SITES; i++) {
    const struct site *site = &SITES[i];
    unsigned char a[4], b[4];
    displacement_to(site, target_a, a);
    displacement_to(site, target_b, b);
    if (strncmp(site->name, "nop", 3) == 0) {
      displacement_to(site, repl, a);
      check_mixes(site, NOP_TAIL, a);
      continue;
    }
    for (int byte = 0; byte < 4; byte++) {
      if (a[byte] == b[byte]) {
        fprintf(stderr, "fixture: byte %d of %s is the same for both targets\n", byte, site->name);
        exit(1);
      }
    }
    check_mixes(site, a, b);
  }
}
