/*
 * service: a server on a socket, each of whose answers names the version of every function that has
 * had a hand in it. Patches of it (service_v2.so, service_v3.so and others: see build.sh here)
 * bring new versions.
 *
 * It listens at the abstract Unix socket "textpoke-service-PID", with a thread for each connection.
 * A request is "OPERATION NUMBER\n", one at a time; the answer is "OK OPERATION NUMBER VALUE TAGS\n",
 * or "ERR\n". TAGS is a list of " NAME=vVERSION". Operations:
 *   c N   the value is ((3 N) + 1) xor 0x5a5a
 *   u N   that of unit N modulo 1000, for N
 *   t N   -N, if N is odd, by way of a C++ exception that is thrown through several frames; else N
 *   p N   N + 5, from the plugin; -1 while there is none
 *   s N   how many requests have been handled, this one included
 *   h N   waits for the command "release"; then N
 *
 * All pass through handle_request, parse_request, count_request, compute, the two functions called
 * helper, codec_encode and format_reply, whose tags are handle, parse, count, compute, first, second,
 * codec and format. All of these are of one version in an answer, if a patch is consistent; so is
 * step, of "t". The tags unit and plugin are of patches for themselves.
 *
 * Commands: "plugin load", "plugin unload"; "hold" has a thread handle "h 0"; "release" lets one of
 * them go on; "spin" has a thread call spin, which counts and makes no system call, and "rest" ends
 * all of these; "exit" with 7; "exec" becomes sleep.
 * Counters: connections, requests; holding: threads that wait; let_go: those of "hold" that have come
 * back from all functions; spinning: threads that spin; rested: those that have come back; spins;
 * journal: two decimal digits for each callback of a patch that wrote it down, its number and the
 * version that version() had then; ticks_1, ticks_2, ticks_3: how often
 * that version of tick has run; plugins: how often it was loaded; and what patches have done: init,
 * fini, pre_patch, post_patch, pre_unpatch, post_unpatch, cleanup; plugin_sees_1, plugin_sees_2: which
 * version of its function the plugin's constructor has called; unknown_event.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../fixture.h"
#include "service.h"

enum { VERSIONS = 4, LINE = 128 };

static const char *const EVENTS[] = {"init",        "fini",          "pre_patch",
                                     "post_patch",  "pre_unpatch",   "post_unpatch",
                                     "cleanup",     "plugin_sees_1", "plugin_sees_2",
                                     "unknown_event"};
enum { EVENT_COUNT = sizeof EVENTS / sizeof *EVENTS };

static counter *events[EVENT_COUNT];
static counter *ticks[VERSIONS];
static counter *connections, *requests, *holding, *let_go, *plugins, *spinning, *rested, *spins, *journal;
static volatile bool resting;
static int releasing[2];
static pthread_rwlock_t plugin_lock = PTHREAD_RWLOCK_INITIALIZER;
static void *plugin;
static long (*plugin_function)(long x, int *version);

void service_event(const char *name) {
  int i = 0;
  while (i < EVENT_COUNT - 1 && strcmp(EVENTS[i], name) != 0) i++;
  add(events[i], 1);
}

void count_tick(int version) { add(ticks[version], 1); }

REPLACEABLE void tick(void) { count_tick(1); }

REPLACEABLE long call_plugin(struct reply *reply, long x) {
  pthread_rwlock_rdlock(&plugin_lock);
  long value = -1;
  if (plugin != NULL) {
    int version = 0;
    value = plugin_function(x, &version);
    add_tag(reply, "plugin", version);
  }
  pthread_rwlock_unlock(&plugin_lock);
  return value;
}

REPLACEABLE void hold(void) {
  char byte;
  add(holding, 1);
  if (read(releasing[0], &byte, 1) != 1) fail("read");
  add(holding, -1);
}

/* The loop does not begin in the first instructions, where a jump may be put. */
REPLACEABLE void spin(void) {
  add(spinning, 1);
  while (!resting) add(spins, 1);
  add(spinning, -1);
}

REPLACEABLE int version(void) { return 1; }

void journal_step(int step) { *journal = *journal * 100 + step * 10 + version(); }

static bool read_line(int connection, char *line) {
  size_t length = 0;
  while (length < LINE - 1) {
    ssize_t n = read(connection, line + length, LINE - 1 - length);
    if (n <= 0) return false;
    length += n;
    if (line[length - 1] == '\n') {
      line[length] = 0;
      return true;
    }
  }
  return false;
}

/* Never leaves the stack of its thread while its client is connected. */
REPLACEABLE void serve_connection(int connection) {
  char line[LINE];
  struct reply reply;
  while (read_line(connection, line)) {
    handle_request(&reply, line);
    add(requests, 1);
    size_t length = strlen(reply.text);
    if (send(connection, reply.text, length, MSG_NOSIGNAL) != (ssize_t)length) return;
  }
}

static void *serve_thread(void *argument) {
  int connection = (int)(intptr_t)argument;
  serve_connection(connection);
  close(connection);
  return NULL;
}

static void *accept_all(void *argument) {
  int listener = (int)(intptr_t)argument;
  for (;;) {
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) fail("accept4");
    add(connections, 1);
    start_thread(serve_thread, (void *)(intptr_t)connection);
  }
  return NULL;
}

static void *keep_house(void *argument) {
  (void)argument;
  for (;;) {
    tick();
    struct timespec pause = {0, 5 * 1000 * 1000};
    nanosleep(&pause, NULL);
  }
  return NULL;
}

static void *hold_thread(void *argument) {
  (void)argument;
  struct reply reply;
  handle_request(&reply, "h 0\n");
  add(requests, 1);
  add(let_go, 1);
  return NULL;
}

static void *spin_thread(void *argument) {
  (void)argument;
  spin();
  add(rested, 1);
  return NULL;
}

static void load_plugin(void) {
  pthread_rwlock_wrlock(&plugin_lock);
  if (plugin != NULL) fail("there is a plugin");
  plugin = dlopen("libserviceplugin.so", RTLD_NOW);
  if (plugin == NULL) fail("%s", dlerror());
  *(void **)&plugin_function = dlsym(plugin, "plugin_answer");
  if (plugin_function == NULL) fail("%s", dlerror());
  pthread_rwlock_unlock(&plugin_lock);
  add(plugins, 1);
}

static void unload_plugin(void) {
  pthread_rwlock_wrlock(&plugin_lock);
  if (plugin == NULL || dlclose(plugin) != 0) fail("dlclose");
  plugin = NULL;
  pthread_rwlock_unlock(&plugin_lock);
}

static void command(const char *line) {
  if (strcmp(line, "plugin load") == 0) {
    load_plugin();
  } else if (strcmp(line, "plugin unload") == 0) {
    unload_plugin();
  } else if (strcmp(line, "hold") == 0) {
    start_thread(hold_thread, NULL);
  } else if (strcmp(line, "release") == 0) {
    if (write(releasing[1], "", 1) != 1) fail("write");
  } else if (strcmp(line, "spin") == 0) {
    start_thread(spin_thread, NULL);
  } else if (strcmp(line, "rest") == 0) {
    resting = true;
  } else if (strcmp(line, "exit") == 0) {
    exit(7);
  } else if (strcmp(line, "exec") == 0) {
    execl("/bin/sleep", "sleep", "1000", (char *)NULL);
    fail("execl");
  } else {
    fail("no command '%s'", line);
  }
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  options_done();
  if (pipe(releasing)) fail("pipe");
  connections = new_counter("connections", 0);
  requests = new_counter("requests", 0);
  holding = new_counter("holding", 0);
  let_go = new_counter("let_go", 0);
  plugins = new_counter("plugins", 0);
  spinning = new_counter("spinning", 0);
  rested = new_counter("rested", 0);
  spins = new_counter("spins", 0);
  journal = new_counter("journal", 0);
  for (int i = 0; i < EVENT_COUNT; i++) events[i] = new_counter(EVENTS[i], 0);
  for (int i = 1; i < VERSIONS; i++) ticks[i] = new_counter("ticks_%d", i);
  new_counter("wrong", 0); /* the client sees it, not this program */
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "textpoke-service-%d",
                        (int)getpid());
  if (bind(listener, (struct sockaddr *)&address,
           offsetof(struct sockaddr_un, sun_path) + 1 + length)) {
    fail("bind");
  }
  if (listen(listener, 64)) fail("listen");
  start_thread(accept_all, (void *)(intptr_t)listener);
  start_thread(keep_house, NULL);
  ready();
  serve(command);
}
