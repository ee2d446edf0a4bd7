/* From a line to an answer; see service.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service.h"

static long served;

void add_tag(struct reply *reply, const char *name, int version) {
  size_t length = strlen(reply->tags);
  snprintf(reply->tags + length, sizeof reply->tags - length, " %s=v%d", name, version);
}

static REPLACEABLE bool parse_request(struct reply *reply, const char *line,
                                      struct request *request) {
  add_tag(reply, "parse", 1);
  if (line[0] < 'a' || line[0] > 'z' || line[1] != ' ') return false;
  char *end;
  request->operation = line[0];
  request->number = strtol(line + 2, &end, 10);
  return end != line + 2 && *end == '\n';
}

static REPLACEABLE long count_request(struct reply *reply) {
  add_tag(reply, "count", 1);
  return __atomic_add_fetch(&served, 1, __ATOMIC_RELAXED);
}

REPLACEABLE long compute(struct reply *reply, const struct request *request) {
  int version = 0;
  add_tag(reply, "compute", 1);
  long plain = codec_encode(first(reply, second(reply, request->number)), &version);
  add_tag(reply, "codec", version);
  long served_now = count_request(reply);
  switch (request->operation) {
    case 'u': {
      long result = units[(unsigned long)request->number % UNITS](request->number);
      add_tag(reply, "unit", (int)(result & 7));
      return result >> 3;
    }
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

REPLACEABLE void format_reply(struct reply *reply, const struct request *request, long value) {
  add_tag(reply, "format", 1);
  snprintf(reply->text, sizeof reply->text, "OK %c %ld %ld%s\n", request->operation,
           request->number, value, reply->tags);
}

REPLACEABLE void handle_request(struct reply *reply, const char *line) {
  struct request request;
  reply->tags[0] = 0;
  add_tag(reply, "handle", 1);
  if (!parse_request(reply, line, &request)) {
    strcpy(reply->text, "ERR\n");
    return;
  }
  format_reply(reply, &request, compute(reply, &request));
}
