/*
 * New versions of twelve functions, for VERSION 2 and 3; see service.c. Each says what is new about
 * it; results are the same, so that a client can check them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service.h"

/* Of the executable, and unknown to its loader: io.github.textpoke.elf.LocalName. The two of one
 * name are told apart by their order in the symbol table. */
extern long served __asm__("textpoke$$served$0");
extern long used_first __asm__("textpoke$$used$1");
extern long used_second __asm__("textpoke$$used$2");
/* Of the codec. */
extern long key __asm__("textpoke$libservicecodec$key$0");

/* The functions of this object that are called by others of it. */
#define LOCAL static __attribute__((noipa))

/* Data of this object. */
static long parsed;
static const char *const names[] = {"parse", "first", "second"};

__attribute__((constructor)) static void begin(void) { service_event("init"); }
__attribute__((destructor)) static void end(void) { service_event("fini"); }

int pre_patch(void) {
  service_event("pre_patch");
  return 0;
}
void post_patch(void) { service_event("post_patch"); }
void pre_unpatch(void) { service_event("pre_unpatch"); }
void post_unpatch(void) { service_event("post_unpatch"); }

/* Reads the number itself. */
LOCAL bool read_number(const char *text, long *number) {
  bool negative = *text == '-';
  if (negative) text++;
  long value = 0;
  const char *digit = text;
  for (; *digit >= '0' && *digit <= '9'; digit++) value = value * 10 + (*digit - '0');
  *number = negative ? -value : value;
  return digit != text && *digit == '\n';
}

bool new_parse_request(struct reply *reply, const char *line, struct request *request) {
  add_tag(reply, names[0], VERSION);
  __atomic_fetch_add(&parsed, 1, __ATOMIC_RELAXED);
  if (line[0] < 'a' || line[0] > 'z' || line[1] != ' ') return false;
  request->operation = line[0];
  return read_number(line + 2, &request->number);
}

/* Counts in the service's own data. */
long new_count_request(struct reply *reply) {
  add_tag(reply, "count", VERSION);
  return __atomic_add_fetch(&served, 1, __ATOMIC_RELAXED);
}

long new_first_helper(struct reply *reply, long x) {
  add_tag(reply, names[1], VERSION);
  __atomic_fetch_add(&used_first, 1, __ATOMIC_RELAXED);
  return 1 + x;
}

long new_second_helper(struct reply *reply, long x) {
  add_tag(reply, names[2], VERSION);
  __atomic_fetch_add(&used_second, 1, __ATOMIC_RELAXED);
  return x + x + x;
}

/* Calls functions of the service that are replaced, and so comes to their new versions. */
long new_compute(struct reply *reply, const struct request *request) {
  int version = 0;
  add_tag(reply, "compute", VERSION);
  long plain = codec_encode(first(reply, second(reply, request->number)), &version);
  add_tag(reply, "codec", version);
  long served_now = new_count_request(reply);
  if (request->operation == 'u') {
    long result = units[(unsigned long)request->number % UNITS](request->number);
    add_tag(reply, "unit", (int)(result & 7));
    return result >> 3;
  }
  switch (request->operation) {
    case 't':
      return steps(reply, request->number);
    case 'p':
      return call_plugin(reply, request->number);
    case 's':
      return served_now;
    case 'h':
      hold();
      return request->number;
    default:
      return plain;
  }
}

void new_format_reply(struct reply *reply, const struct request *request, long value) {
  add_tag(reply, "format", VERSION);
  char *end = reply->text;
  *end++ = 'O';
  *end++ = 'K';
  end += sprintf(end, " %c %ld %ld", request->operation, request->number, value);
  snprintf(end, sizeof reply->text - (end - reply->text), "%s\n", reply->tags);
}

/* Calls the exported ones by their old names, and what is static by its new one. */
void new_handle_request(struct reply *reply, const char *line) {
  struct request request;
  reply->tags[0] = 0;
  add_tag(reply, "handle", VERSION);
  if (new_parse_request(reply, line, &request)) {
    long value = compute(reply, &request);
    format_reply(reply, &request, value);
  } else {
    strcpy(reply->text, "ERR\n");
  }
}

void new_tick(void) { count_tick(VERSION); }

/* Reads the codec's own data. */
long new_codec_encode(long x, int *version) {
  *version = VERSION;
  return x ^ key;
}
