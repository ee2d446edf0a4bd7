/* Patches of the service, one of them for each macro; build.sh says what each is for. */
#include <unistd.h>

#include "../fixture.h"
#include "service.h"

#if defined NAMES
long compute(struct reply *reply, const struct request *request) {
  (void)reply;
  return request->number;
}
void tick(void) { count_tick(3); }

#elif defined PLUGIN
extern long more __asm__("textpoke$libserviceplugin$more$0");
long new_plugin_answer(long x, int *version) {
  *version = 2;
  return more + x;
}

#elif defined HOLD
/* Stays inside until the service's command "release". */
extern int releasing[2] __asm__("textpoke$$releasing$0");
extern counter *holding __asm__("textpoke$$holding$0");
void new_hold(void) {
  char byte;
  add(holding, 1);
  if (read(releasing[0], &byte, 1) != 1) service_event("failed");
  add(holding, -1);
}
void new_tick(void) { count_tick(2); }

#elif defined SPIN
void new_spin(void) {}
void new_tick(void) { count_tick(2); }

#elif defined ORDER
int new_version(void) { return 2; }
int pre_patch(void) {
  journal_step(1);
  return 0;
}
void post_patch(void) { journal_step(2); }
void pre_unpatch(void) { journal_step(3); }
void post_unpatch(void) { journal_step(4); }
void new_hold(void) {}

#elif defined FOREVER
void new_serve_connection(int connection) { (void)connection; }

#elif defined MISSING
extern void no_such_function_1(void), no_such_function_2(void);
void new_tick(void) {
  no_such_function_1();
  no_such_function_2();
}

#elif defined AMBIGUOUS
extern long used __asm__("textpoke$$used$0");
void new_tick(void) { used++; }

#elif defined THREAD_LOCAL
static _Thread_local int mine;
void new_tick(void) { count_tick(2 + 0 * mine++); }

#else
void new_tick(void) { count_tick(2); }
#endif

#if defined CRASH || defined TRAP || defined ENDLESS
__attribute__((constructor)) static void begin(void) {
  service_event("init");
#if defined CRASH
  static int *volatile nowhere = (int *)8;
  *nowhere = 1;
#elif defined TRAP
  __asm__ volatile("ud2");
#else
  for (;;) __asm__ volatile("pause");
#endif
}
#endif

#if defined VETO
int pre_patch(void) {
  service_event("pre_patch");
  return -1;
}
#endif
