/*
 * early_alone.so: what early's functions are replaced by where it has no C library to link to.
 *
 *   nothing   0, and counts
 *   result    40, and how often nothing has run
 */
static int runs;
static int *const place = &runs;

int nothing(int argc) {
  (*place)++;
  return argc - argc;
}

int result(int argc) { return argc > 0 ? 40 + *place : 0; }
