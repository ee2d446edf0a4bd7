/*
 * signals: workers that call the site while a sibling floods them with signals, whose handlers call
 * the site, too. No signal may be lost or come twice.
 *
 *   --threads N  workers (default 2)
 *   --alarm US   SIGALRM to the process each so many microseconds (default 0: never)
 *
 * SIGUSR1 goes to a worker when it has handled the last one, since equal ones would merge; SIGRTMIN
 * queues, up to 16 for each worker. Counters: sent_I and handled_I of both; alarms; quiet: 1 when the
 * command "quiet" has stopped the sender; calls, results_old, results_new, wrong of the workers'
 * loops; handler_calls_I, handler_wrong_I of their handlers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "site.h"

enum { MOST_QUEUED = 16 };

struct worker {
  struct tally tally;
  volatile pid_t thread;
  counter *sent_usr1, *handled_usr1, *sent_rt, *handled_rt, *handler_calls, *handler_wrong;
};

static struct worker *workers;
static long count;
static counter *alarms, *quiet;
static volatile bool stop;
static __thread struct worker *self; /* NULL in threads that are no workers */

static void call_in_handler(void) {
  function *volatile entry = site;
  long x = 1000;
  long result = entry(x);
  add(self->handler_calls, 1);
  if (result != x + 1 && result != x + 2) add(self->handler_wrong, 1);
}

static void on_signal(int number) {
  int error = errno;
  if (number == SIGALRM) add(alarms, 1);
  if (self != NULL) {
    call_in_handler();
    if (number == SIGUSR1) add(self->handled_usr1, 1);
    if (number == SIGRTMIN) add(self->handled_rt, 1);
  }
  errno = error;
}

static void *work(void *argument) {
  self = argument;
  self->thread = gettid();
  for (long x = 0;; x++) call_site(&self->tally, x);
  return NULL;
}

static void send_one(struct worker *to) {
  pid_t process = getpid();
  if (*to->sent_usr1 == *to->handled_usr1) {
    (*to->sent_usr1)++;
    if (syscall(SYS_tgkill, process, to->thread, SIGUSR1)) fail("tgkill");
  }
  if (*to->sent_rt - *to->handled_rt < MOST_QUEUED) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    (*to->sent_rt)++;
    if (syscall(SYS_rt_tgsigqueueinfo, process, to->thread, SIGRTMIN, &info)) {
      fail("rt_tgsigqueueinfo");
    }
  }
}

static void *send_signals(void *argument) {
  (void)argument;
  for (long i = 0; !stop; i = (i + 1) % count) {
    send_one(&workers[i]);
    if (i == 0) rest();
  }
  *quiet = 1;
  return NULL;
}

static void command(const char *line) {
  if (strcmp(line, "quiet") != 0) fail("no command '%s'", line);
  stop = true;
}

static void handle(int number) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  if (sigaction(number, &action, NULL)) fail("sigaction");
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  count = option_number("--threads", 2);
  long alarm_us = option_number("--alarm", 0);
  options_done();
  alarms = new_counter("alarms", 0);
  quiet = new_counter("quiet", 0);
  handle(SIGUSR1);
  handle(SIGRTMIN);
  handle(SIGALRM);
  publish_site();
  workers = calloc(count, sizeof *workers);
  for (int i = 0; i < count; i++) {
    workers[i].tally = new_tally(i);
    /* Both kinds under one name each: their sums are what must agree. */
    workers[i].sent_usr1 = new_counter("sent_%d", 2 * i);
    workers[i].sent_rt = new_counter("sent_%d", 2 * i + 1);
    workers[i].handled_usr1 = new_counter("handled_%d", 2 * i);
    workers[i].handled_rt = new_counter("handled_%d", 2 * i + 1);
    workers[i].handler_calls = new_counter("handler_calls_%d", i);
    workers[i].handler_wrong = new_counter("handler_wrong_%d", i);
    start_thread(work, &workers[i]);
    while (workers[i].thread == 0) rest();
  }
  start_thread(send_signals, NULL);
  struct itimerval timer = {{0, alarm_us}, {0, alarm_us}};
  if (alarm_us > 0 && setitimer(ITIMER_REAL, &timer, NULL)) fail("setitimer");
  ready();
  serve(command);
}
