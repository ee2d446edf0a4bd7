/*
 * service_load: clients of the service, see service/service.c; each answer is checked.
 *
 *   --service PID
 *   --connections N   (default 4) each with a thread of its own
 *   --operations ABC  which are asked for in turn (default "cuct"); "h" waits
 *   --per-second N    questions of all connections, asked in bursts each millisecond; those that
 *                     were late are made up for (default 10000). 0: each is asked when the one before
 *                     it was answered, which may leave kernel threads without a processor for a minute
 *                     and more on Linux 6.18
 *
 * Counters of connection I: answers_I; v1_I, v2_I, v3_I: answers that were wholly of that version;
 * mixed_I: of several; wrong_I: a wrong value, or not understood; lost_I: the connection was;
 * unit_vN_I, plugin_vN_I: versions of these, which don't count for the rest; slowest_I: the longest
 * wait for an answer, ns; where questions have their times, from then on.
 * Of the process: window, the number of the present window of 100 ms; rate_K, K = number modulo
 * WINDOWS: answers of all connections in a window that is over, as if it had lasted 100 ms exactly;
 * longest_K: the longest wait for an answer that came in it, ns.
 * The last line that was mixed or wrong is printed to stderr.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

enum { VERSIONS = 4, WINDOWS = 1200, WINDOW_NS = 100 * 1000 * 1000, ANSWER = 512, BURST_NS = 1000 * 1000 };

struct client {
  counter *answers, *mixed, *wrong, *lost, *slowest;
  counter *versions[VERSIONS], *units[VERSIONS], *plugins[VERSIONS];
  int connection;
  unsigned long long longest; /* in the present window */
};

static struct client *clients;
static long client_count, per_second;
static const char *operations;
static counter *window, *rates[WINDOWS], *longest[WINDOWS];

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static bool is_right(char operation, long n, long value, bool plugin) {
  long i = (unsigned long)n % 1000;
  switch (operation) {
    case 'u':
      return value == (i % 7 + 1) * n + i;
    case 't':
      return value == (n % 2 != 0 ? -n : n);
    case 'p':
      return value == (plugin ? n + 5 : -1);
    case 's':
      return value > 0;
    case 'h':
      return value == n;
    default:
      return value == ((3 * n + 1) ^ 0x5a5a);
  }
}

/* How many tags an answer has which count, unless it was cut off. */
static int tags_of(char operation) { return operation == 't' ? 9 : 8; }

static void check(struct client *client, char operation, long n, const char *answer) {
  char got;
  long number, value;
  int end = 0, count[VERSIONS] = {0}, whole = 0;
  bool plugin = false;
  if (sscanf(answer, "OK %c %ld %ld%n", &got, &number, &value, &end) != 3) goto wrong;
  for (const char *tag = answer + end; *tag == ' ';) {
    char name[16];
    int version, length = 0;
    if (sscanf(tag, " %15[a-z]=v%d%n", name, &version, &length) != 2) goto wrong;
    if (version < 1 || version >= VERSIONS) goto wrong;
    tag += length;
    if (strcmp(name, "unit") == 0) {
      (*client->units[version])++;
    } else if (strcmp(name, "plugin") == 0) {
      (*client->plugins[version])++;
      plugin = true;
    } else {
      count[version]++;
    }
  }
  for (int i = 1; i < VERSIONS; i++) whole = count[i] > 0 && whole == 0 ? i : whole;
  if (got != operation || number != n || !is_right(operation, n, value, plugin)) goto wrong;
  if (count[1] + count[2] + count[3] != tags_of(operation)) goto wrong;
  if (count[whole] == tags_of(operation)) {
    (*client->versions[whole])++;
  } else {
    (*client->mixed)++;
    fprintf(stderr, "mixed: %s", answer);
  }
  return;
wrong:
  (*client->wrong)++;
  fprintf(stderr, "wrong: %c %ld gave %s", operation, n, answer);
}

/* One line; false if the connection is lost. */
static bool receive(int connection, char *answer) {
  size_t length = 0;
  while (length < ANSWER - 1) {
    ssize_t n = read(connection, answer + length, ANSWER - 1 - length);
    if (n <= 0) return false;
    length += n;
    if (answer[length - 1] == '\n') {
      answer[length] = 0;
      return true;
    }
  }
  return false;
}

static void sleep_until(long long time) {
  struct timespec until = {time / 1000000000, time % 1000000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
  }
}

/* Waits until the question with that number may be asked, and returns when it was due. */
static long long due(long n, long long started) {
  if (per_second == 0) return now();
  long long time = started + n * client_count * 1000000000LL / per_second;
  if (now() < time) sleep_until(started + ((time - started) / BURST_NS + 1) * BURST_NS);
  return time;
}

static void *ask(void *argument) {
  struct client *client = argument;
  char line[64], answer[ANSWER];
  long long started = now();
  for (long n = 0;; n++) {
    char operation = operations[n % strlen(operations)];
    int length = snprintf(line, sizeof line, "%c %ld\n", operation, n);
    long long start = due(n, started);
    if (send(client->connection, line, length, MSG_NOSIGNAL) != length ||
        !receive(client->connection, answer)) {
      (*client->lost)++;
      return NULL;
    }
    unsigned long long took = now() - start;
    if (took > *client->slowest) *client->slowest = took;
    if (took > __atomic_load_n(&client->longest, __ATOMIC_RELAXED)) {
      __atomic_store_n(&client->longest, took, __ATOMIC_RELAXED);
    }
    check(client, operation, n, answer);
    (*client->answers)++;
  }
}

static long long all_answers(void) {
  long long sum = 0;
  for (long i = 0; i < client_count; i++) sum += *clients[i].answers;
  return sum;
}

/* The longest wait since it was asked last. */
static unsigned long long longest_wait(void) {
  unsigned long long most = 0;
  for (long i = 0; i < client_count; i++) {
    unsigned long long took = __atomic_exchange_n(&clients[i].longest, 0, __ATOMIC_RELAXED);
    most = took > most ? took : most;
  }
  return most;
}

static void *measure(void *argument) {
  (void)argument;
  long long before = all_answers(), started = now(), then = started;
  for (long k = 0;; k++) {
    long long end = started + (k + 1) * (long long)WINDOW_NS;
    sleep_until(end);
    long long answers = all_answers(), time = now();
    *longest[k % WINDOWS] = longest_wait();
    *rates[k % WINDOWS] = (answers - before) * WINDOW_NS / (time - then);
    *window = k + 1;
    before = answers;
    then = time;
  }
  return NULL;
}

static int connect_to(long pid) {
  int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length =
      snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "textpoke-service-%ld", pid);
  if (connect(connection, (struct sockaddr *)&address,
              offsetof(struct sockaddr_un, sun_path) + 1 + length)) {
    fail("connect to the service %ld", pid);
  }
  return connection;
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  long service = option_number("--service", 0);
  client_count = option_number("--connections", 4);
  operations = option_text("--operations", "cuct");
  per_second = option_number("--per-second", 10000);
  options_done();
  clients = calloc(client_count, sizeof *clients);
  for (int i = 0; i < client_count; i++) {
    struct client *client = &clients[i];
    new_counter_line();
    client->answers = new_counter("answers_%d", i);
    client->mixed = new_counter("mixed_%d", i);
    client->wrong = new_counter("wrong_%d", i);
    client->lost = new_counter("lost_%d", i);
    client->slowest = new_counter("slowest_%d", i);
    for (int version = 1; version < VERSIONS; version++) {
      char name[32];
      snprintf(name, sizeof name, "v%d_%%d", version);
      client->versions[version] = new_counter(name, i);
      snprintf(name, sizeof name, "unit_v%d_%%d", version);
      client->units[version] = new_counter(name, i);
      snprintf(name, sizeof name, "plugin_v%d_%%d", version);
      client->plugins[version] = new_counter(name, i);
    }
    client->connection = connect_to(service);
  }
  window = new_counter("window", 0);
  for (int i = 0; i < WINDOWS; i++) rates[i] = new_counter("rate_%d", i);
  for (int i = 0; i < WINDOWS; i++) longest[i] = new_counter("longest_%d", i);
  for (int i = 0; i < client_count; i++) start_thread(ask, &clients[i]);
  for (int i = 0; i < client_count && strchr(operations, 'h') == NULL; i++) {
    struct tally tally = {.calls = clients[i].answers};
    await_first_call(&tally);
  }
  start_thread(measure, NULL);
  ready();
  serve(NULL);
}
