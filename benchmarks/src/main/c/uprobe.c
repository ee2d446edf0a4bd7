/*
 * uprobe: has the kernel probe one function of a process, until the end of the standard input.
 *
 *   uprobe PID FILE OFFSET entry|return
 *
 * By perf_event_open(2), as perf and bpftrace do: an event that only counts. Prints "ready" when it
 * stands, and at the end how often it was met.
 */
#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned long number(const char *path, const char *format) {
  FILE *file = fopen(path, "r");
  unsigned long value;
  if (file == NULL || fscanf(file, format, &value) != 1) {
    perror(path);
    exit(1);
  }
  fclose(file);
  return value;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: uprobe PID FILE OFFSET entry|return\n");
    return 2;
  }
  struct perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.size = sizeof attributes;
  attributes.type = number("/sys/bus/event_source/devices/uprobe/type", "%lu");
  attributes.config1 = (uint64_t)argv[2];
  attributes.config2 = strtoul(argv[3], NULL, 0);
  if (strcmp(argv[4], "return") == 0) {
    attributes.config = 1ul << number("/sys/bus/event_source/devices/uprobe/format/retprobe", "config:%lu");
  }
  int event = syscall(SYS_perf_event_open, &attributes, atoi(argv[1]), -1, -1, PERF_FLAG_FD_CLOEXEC);
  if (event < 0) {
    perror("perf_event_open");
    return 1;
  }
  printf("ready\n");
  fflush(stdout);
  while (getchar() != EOF) {
  }
  uint64_t count;
  if (read(event, &count, sizeof count) != sizeof count) {
    perror("read");
    return 1;
  }
  printf("%llu\n", (unsigned long long)count);
  return 0;
}
