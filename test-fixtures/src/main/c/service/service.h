/* What the parts of the service share, and what its patches are written against. */
#pragma once
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nothing of it is inlined, cloned or known to its callers: what is to be replaced is called. */
#define REPLACEABLE __attribute__((noipa))

enum { UNITS = 1000, TAGS_SIZE = 384, REPLY_SIZE = 512 };

struct request {
  char operation;
  long number;
};

/* An answer: " name=vN" of each function that has had a hand in it, in order. */
struct reply {
  char tags[TAGS_SIZE];
  char text[REPLY_SIZE];
};

typedef long unit(long x);

/* service_request.c */
void handle_request(struct reply *reply, const char *line);
long compute(struct reply *reply, const struct request *request);
void format_reply(struct reply *reply, const struct request *request, long value);
void add_tag(struct reply *reply, const char *name, int version);

/* service_first.c, service_second.c */
long first(struct reply *reply, long x);
long second(struct reply *reply, long x);

/* service_steps.cc */
long steps(struct reply *reply, long x);

/* service_units.c, which is generated */
extern unit *const units[UNITS];

/* service.c. call_plugin: -1 where there is none. */
long call_plugin(struct reply *reply, long x);
void hold(void);
void spin(void);
/* Which version of it runs. */
int version(void);
/* Writes down that a callback of a patch runs, and what version() is then. */
void journal_step(int step);
void tick(void);
void count_tick(int version);
/* Counts what a patch has done: EVENTS below. */
void service_event(const char *name);
void serve_connection(int connection);

/* libservicecodec.so */
long codec_encode(long x, int *version);
void codec_set_key(long to);

/* libserviceplugin.so */
long plugin_answer(long x, int *version);
void plugin_set_more(long to);

#ifdef __cplusplus
}
#endif
