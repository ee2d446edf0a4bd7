/* libserviceplugin.so, which comes and goes; see service.c. */
#include "service.h"

static long more = 5;

/* Nobody calls it; so it is data. */
void plugin_set_more(long to) { more = to; }

REPLACEABLE long plugin_answer(long x, int *version) {
  *version = 1;
  return x + more;
}

__attribute__((constructor)) static void begin(void) {
  int version = 0;
  plugin_answer(0, &version);
  service_event(version == 2 ? "plugin_sees_2" : "plugin_sees_1");
}
