/*
 * blockers: one thread blocked in each of many system calls. None of them may ever come back: a
 * spurious EINTR, or a timeout of an hour that ends early, ends the program with exit code 3.
 *
 *   --calls LIST    which, separated by commas: names of CALLS below; default all
 *   --threads N     threads in each of these calls (default 1)
 *   --workers N     threads that call the site meanwhile (default 0)
 *   --in-main NAME  the only thread makes the call; no workers, no other calls
 *   --registered    registers the program for core syncs, once the threads are blocked
 *
 * Counters: blocked: threads that are in their call when the program is ready; eintr, returned: how
 * many calls came back with EINTR, or otherwise; register_ns: how long the registration took;
 * calls, results_old, results_new, wrong of workers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "site.h"

static const struct timespec HOUR = {.tv_sec = 3600};
static const int HOUR_MS = 3600 * 1000;

static uint32_t futex_word;
static pid_t waited_for;
static int message_queue = -1, semaphores = -1;

static long must(long result, const char *what) {
  if (result < 0) fail("%s", what);
  return result;
}

/* A pipe whose writing end stays open and silent. */
static int silent_pipe(void) {
  int fds[2];
  must(pipe2(fds, O_CLOEXEC), "pipe2");
  return fds[0];
}

static int silent_socket(void) {
  int fds[2];
  must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
  return fds[0];
}

/* A second open file of what is locked already. */
static int locked_file(void) {
  int fd = must(memfd_create("locked", MFD_CLOEXEC), "memfd_create");
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  struct flock lock = {.l_type = F_WRLCK};
  must(flock(fd, LOCK_EX), "flock");
  must(fcntl(fd, F_OFD_SETLK, &lock), "F_OFD_SETLK");
  return must(open(path, O_RDWR | O_CLOEXEC), "open");
}

static long read_from(int fd) {
  char bytes[256];
  return read(fd, bytes, sizeof bytes);
}

/* Each makes its call as libc's wrappers do, but raw where libc would use another call. */
static long do_pause(void) { return syscall(SYS_pause); }
static long do_nanosleep(void) { return syscall(SYS_nanosleep, &HOUR, NULL); }
static long do_clock_nanosleep(void) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += HOUR.tv_sec;
  return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}
static long do_futex(void) {
  return syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}
static long do_futex_timed(void) {
  return syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, &HOUR, NULL, 0);
}
static long do_poll(void) {
  struct pollfd fd = {silent_pipe(), POLLIN, 0};
  return syscall(SYS_poll, &fd, 1L, -1L);
}
static long do_poll_timed(void) {
  struct pollfd fd = {silent_pipe(), POLLIN, 0};
  return syscall(SYS_poll, &fd, 1L, (long)HOUR_MS);
}
static long do_ppoll(void) {
  struct pollfd fd = {silent_pipe(), POLLIN, 0};
  struct timespec timeout = HOUR;
  return ppoll(&fd, 1, &timeout, NULL);
}
static long do_select(void) {
  struct timeval timeout = {.tv_sec = HOUR.tv_sec};
  return syscall(SYS_select, 0L, NULL, NULL, NULL, &timeout);
}
static long do_pselect(void) { return pselect(0, NULL, NULL, NULL, &HOUR, NULL); }
static long do_epoll_wait(void) {
  struct epoll_event event;
  return syscall(SYS_epoll_wait, epoll_create1(EPOLL_CLOEXEC), &event, 1L, -1L);
}
static long do_epoll_wait_timed(void) {
  struct epoll_event event;
  return syscall(SYS_epoll_wait, epoll_create1(EPOLL_CLOEXEC), &event, 1L, (long)HOUR_MS);
}
static long do_epoll_pwait(void) {
  struct epoll_event event;
  return epoll_pwait(epoll_create1(EPOLL_CLOEXEC), &event, 1, -1, NULL);
}
static long do_read_pipe(void) { return read_from(silent_pipe()); }
static long do_read_eventfd(void) { return read_from(eventfd(0, EFD_CLOEXEC)); }
static long do_read_inotify(void) { return read_from(inotify_init1(IN_CLOEXEC)); }
static long do_read_timerfd(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  struct itimerspec timer = {.it_value = HOUR};
  must(timerfd_settime(fd, 0, &timer, NULL), "timerfd_settime");
  return read_from(fd);
}
static long do_read_signalfd(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  return read_from(signalfd(-1, &set, SFD_CLOEXEC));
}
static long do_write_pipe(void) {
  int fds[2];
  must(pipe2(fds, O_CLOEXEC), "pipe2");
  long size = must(fcntl(fds[1], F_GETPIPE_SZ), "F_GETPIPE_SZ");
  char *bytes = calloc(1, size);
  must(write(fds[1], bytes, size), "write"); /* it is full now */
  return write(fds[1], bytes, 1);
}
static long do_recv(void) {
  char byte;
  return recv(silent_socket(), &byte, 1, 0);
}
static long do_recv_timed(void) {
  char byte;
  int fd = silent_socket();
  struct timeval timeout = {.tv_sec = HOUR.tv_sec};
  must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), "SO_RCVTIMEO");
  return recv(fd, &byte, 1, 0);
}
static long do_accept(void) {
  int fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  struct sockaddr address = {.sa_family = AF_UNIX}; /* the kernel chooses an abstract name */
  must(bind(fd, &address, sizeof address.sa_family), "bind");
  must(listen(fd, 1), "listen");
  return accept(fd, NULL, NULL);
}
static long do_wait4(void) { return syscall(SYS_wait4, (long)waited_for, NULL, 0L, NULL); }
static long do_waitid(void) {
  siginfo_t info;
  return syscall(SYS_waitid, (long)P_PID, (long)waited_for, &info, (long)WEXITED, NULL);
}
static long do_msgrcv(void) {
  struct {
    long type;
    char text[8];
  } message;
  return msgrcv(message_queue, &message, sizeof message.text, 0, 0);
}
static long do_semop(void) {
  struct sembuf take = {.sem_op = -1};
  return semop(semaphores, &take, 1);
}
static long do_semtimedop(void) {
  struct sembuf take = {.sem_op = -1};
  return semtimedop(semaphores, &take, 1, &HOUR);
}
static long do_sigsuspend(void) {
  sigset_t all;
  sigfillset(&all);
  return sigsuspend(&all);
}
static long do_sigtimedwait(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  return syscall(SYS_rt_sigtimedwait, &set, NULL, &HOUR, 8L);
}
static long do_io_getevents(void) {
  aio_context_t context = 0;
  struct io_event event;
  must(syscall(SYS_io_setup, 1L, &context), "io_setup");
  return syscall(SYS_io_getevents, context, 1L, 1L, &event, &HOUR);
}
static long do_flock(void) { return flock(locked_file(), LOCK_EX); }
static long do_ofd_lock(void) {
  struct flock lock = {.l_type = F_WRLCK};
  return fcntl(locked_file(), F_OFD_SETLKW, &lock);
}

struct call {
  const char *name;
  long (*make)(void);
};
static const struct call CALLS[] = {
    {"pause", do_pause},
    {"nanosleep", do_nanosleep},
    {"clock_nanosleep", do_clock_nanosleep},
    {"futex", do_futex},
    {"futex_timed", do_futex_timed},
    {"poll", do_poll},
    {"poll_timed", do_poll_timed},
    {"ppoll", do_ppoll},
    {"select", do_select},
    {"pselect", do_pselect},
    {"epoll_wait", do_epoll_wait},
    {"epoll_wait_timed", do_epoll_wait_timed},
    {"epoll_pwait", do_epoll_pwait},
    {"read_pipe", do_read_pipe},
    {"read_eventfd", do_read_eventfd},
    {"read_inotify", do_read_inotify},
    {"read_timerfd", do_read_timerfd},
    {"read_signalfd", do_read_signalfd},
    {"write_pipe", do_write_pipe},
    {"recv", do_recv},
    {"recv_timed", do_recv_timed},
    {"accept", do_accept},
    {"wait4", do_wait4},
    {"waitid", do_waitid},
    {"msgrcv", do_msgrcv},
    {"semop", do_semop},
    {"semtimedop", do_semtimedop},
    {"sigsuspend", do_sigsuspend},
    {"sigtimedwait", do_sigtimedwait},
    {"io_getevents", do_io_getevents},
    {"flock", do_flock},
    {"ofd_lock", do_ofd_lock},
};
enum { CALL_COUNT = sizeof CALLS / sizeof *CALLS };

static counter *blocked, *eintr, *returned;

struct blocker {
  const struct call *call;
  volatile pid_t thread; /* set right before the call */
};

static void *block(void *argument) {
  struct blocker *self = argument;
  self->thread = gettid();
  long result = self->call->make();
  int error = result < 0 ? errno : 0;
  add(error == EINTR ? eintr : returned, 1);
  fprintf(stderr, "fixture: %s came back with %ld, errno %d\n", self->call->name, result, error);
  _exit(3);
}

static const struct call *find_call(const char *name) {
  for (int i = 0; i < CALL_COUNT; i++) {
    if (strcmp(CALLS[i].name, name) == 0) return &CALLS[i];
  }
  fprintf(stderr, "fixture: no call is called %s\n", name);
  exit(2);
}

static void start_child_to_wait_for(void) {
  waited_for = fork();
  if (waited_for < 0) fail("fork");
  if (waited_for == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* for when the program was started by hand */
    for (;;) pause();
  }
}

/*
 * System V objects outlive their users. A child in a process group of its own, so that what kills
 * the fixture does not kill it, removes them when nobody holds the other end of its pipe.
 */
static void make_ipc_objects(void) {
  int alive[2];
  message_queue = must(msgget(IPC_PRIVATE, 0600), "msgget");
  semaphores = must(semget(IPC_PRIVATE, 1, 0600), "semget");
  must(pipe2(alive, O_CLOEXEC), "pipe2");
  pid_t child = must(fork(), "fork");
  if (child == 0) {
    char byte;
    setpgid(0, 0);
    close(alive[1]);
    while (read(alive[0], &byte, 1) < 0 && errno == EINTR) {
    }
    msgctl(message_queue, IPC_RMID, NULL);
    semctl(semaphores, 0, IPC_RMID);
    _exit(0);
  }
  setpgid(child, child);
  close(alive[0]);
}

static bool asleep(pid_t thread) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
  int fd = must(open(path, O_RDONLY | O_CLOEXEC), path);
  ssize_t n = must(read(fd, line, sizeof line - 1), path);
  line[n] = 0;
  close(fd);
  const char *end = strrchr(line, ')');
  return end != NULL && end[2] == 'S';
}

/* A thread that has announced its call sleeps nowhere but in the call. */
static void await_blocked(const struct blocker *blocker) {
  while (blocker->thread == 0 || !asleep(blocker->thread)) rest();
  add(blocked, 1);
}

static uint64_t nanos(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

static void register_core_syncs(counter *taken) {
  uint64_t start = nanos();
  must(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0),
       "membarrier");
  add(taken, nanos() - start);
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  const char *in_main = option_text("--in-main", NULL);
  const char *list = option_text("--calls", NULL);
  long threads = option_number("--threads", 1);
  long workers = option_number("--workers", 0);
  bool registered = option_flag("--registered");
  options_done();
  counter *register_ns = new_counter("register_ns", 0);
  blocked = new_counter("blocked", 0);
  eintr = new_counter("eintr", 0);
  returned = new_counter("returned", 0);
  sigset_t usr1; /* for sigtimedwait and signalfd, blocked in every thread */
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  sigprocmask(SIG_BLOCK, &usr1, NULL);
  start_child_to_wait_for();
  make_ipc_objects();
  publish_site();
  if (in_main != NULL) {
    ready();
    struct blocker only = {find_call(in_main), 0};
    block(&only);
  }

  const struct call *chosen[CALL_COUNT];
  int count = 0;
  if (list == NULL) {
    for (; count < CALL_COUNT; count++) chosen[count] = &CALLS[count];
  } else {
    char *copy = strdup(list);
    for (char *name = strtok(copy, ","); name != NULL; name = strtok(NULL, ",")) {
      if (count == CALL_COUNT) fail("too many calls");
      chosen[count++] = find_call(name);
    }
  }
  struct blocker *blockers = calloc(count * threads, sizeof *blockers);
  for (long i = 0; i < count * threads; i++) {
    blockers[i].call = chosen[i % count];
    start_thread(block, &blockers[i]);
  }
  for (long i = 0; i < count * threads; i++) await_blocked(&blockers[i]);
  if (registered) register_core_syncs(register_ns);
  start_workers(workers);
  ready();
  serve(NULL);
}
