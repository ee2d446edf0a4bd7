/*
 * single_epoll: one thread in an event loop, as in many servers. epoll_wait never restarts: whoever
 * interrupts it without a signal handler to run makes this program abort.
 *
 *   --timeout MS  of epoll_wait (default -1: none). Coming back too early aborts, too
 *   --load        a child process sends requests as fast as they are answered
 *
 * Each byte from stdin or from the child is a request: the site is called once. Counters: calls,
 * results_old, results_new, wrong; answers: lines from stdin; timeouts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "site.h"

static struct tally tally;
static counter *answers, *timeouts;
static int requests = -1;

static void request_for_ever(int server) {
  char byte = 'r';
  while (write(server, &byte, 1) == 1 && read(server, &byte, 1) == 1) {
  }
  _exit(0);
}

static void watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
}

static void start_load(int epoll) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) fail("socketpair");
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    close(pair[0]);
    request_for_ever(pair[1]);
  }
  close(pair[1]);
  requests = pair[0];
  watch(epoll, requests);
}

static void answer(int fd) {
  static long x;
  char byte;
  ssize_t n = read(fd, &byte, 1);
  if (n < 0) fail("read");
  if (n == 0) exit(0);
  call_site(&tally, x++);
  if (fd == requests && write(fd, &byte, 1) != 1) fail("write");
  if (fd == STDIN_FILENO && byte == '\n') (*answers)++;
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long timeout = option_number("--timeout", -1);
  bool load = option_flag("--load");
  options_done();
  answers = new_counter("answers", 0);
  timeouts = new_counter("timeouts", 0);
  tally = new_tally(0);
  publish_site();
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail("epoll_create1");
  watch(epoll, STDIN_FILENO);
  if (load) start_load(epoll);
  ready();
  for (;;) {
    struct epoll_event event;
    double before = now_ms();
    int n = epoll_wait(epoll, &event, 1, timeout);
    if (n < 0) fail("epoll_wait");
    if (n == 0 && now_ms() - before < timeout - 1) fail("epoll_wait timed out too early");
    if (n == 0) (*timeouts)++;
    if (n > 0) answer(event.data.fd);
  }
}
