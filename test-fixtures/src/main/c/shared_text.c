/*
 * shared_text: the same function in mappings of many sorts. Those that are executable are called by
 * one worker in turn.
 *
 *   private_site    MAP_PRIVATE of a memfd: as a program's text
 *   anonymous_site  anonymous memory, as of a JIT compiler
 *   shared_site     MAP_SHARED of a memfd: a write would change the file
 *   rwx_site        anonymous memory, writable and executable
 *   hugetlb_site    huge pages; published only where the machine has some to spare
 *   none_site       PROT_NONE, not called
 *   doomed_site     as private_site, not called; the command "unmap" unmaps it, "protect" makes it
 *                   PROT_NONE
 *
 * Counters: calls, results_old, results_new, wrong; unmapped, protected: commands done.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "site.h"

enum { PAGE = 4096, HUGE = 2 * 1024 * 1024, AT = 62 /* over the end of a line */, MOST = 8 };
static const unsigned char CODE[] = {0x0f, 0x1f, 0x44, 0x00, 0x00, /* nop */
                                     0x48, 0x8d, 0x47, 0x01,       /* lea 1(%rdi),%rax */
                                     0xc3};                        /* ret */

static function *called[MOST];
static int called_count;
static struct tally tally;
static char *doomed;
static counter *unmapped, *protected;

static void put_code(char *page) {
  memset(page, 0xcc, PAGE);
  memcpy(page + AT, CODE, sizeof CODE);
}

static char *map_file(int flags) {
  char page[PAGE];
  put_code(page);
  int fd = memfd_create("code", MFD_CLOEXEC);
  if (fd < 0 || write(fd, page, PAGE) != PAGE) fail("memfd_create");
  char *mapping = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, flags, fd, 0);
  if (mapping == MAP_FAILED) fail("mmap of a memfd");
  close(fd);
  return mapping;
}

/* NULL where the kernel has no such memory. */
static char *map_anonymous(size_t size, int flags, int protection) {
  flags |= MAP_PRIVATE | MAP_ANONYMOUS;
  char *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapping == MAP_FAILED) return NULL;
  put_code(mapping);
  if (mprotect(mapping, size, protection)) fail("mprotect");
  return mapping;
}

static void publish_and_call(const char *name, char *mapping) {
  if (mapping == NULL) fail("mmap for %s", name);
  publish(name, mapping + AT);
  called[called_count++] = (function *)(uintptr_t)(mapping + AT);
}

static void *work(void *argument) {
  (void)argument;
  for (long x = 0;; x++) check_result(&tally, x, called[x % called_count](x));
  return NULL;
}

static void command(const char *line) {
  if (strcmp(line, "unmap") == 0) {
    if (munmap(doomed, PAGE)) fail("munmap");
    (*unmapped)++;
  } else if (strcmp(line, "protect") == 0) {
    if (mprotect(doomed, PAGE, PROT_NONE)) fail("mprotect");
    (*protected)++;
  } else {
    fail("no command '%s'", line);
  }
}

int main(int argc, char **argv) {
  fixture_init(argc, argv);
  options_done();
  unmapped = new_counter("unmapped", 0);
  protected = new_counter("protected", 0);
  tally = new_tally(0);
  publish_and_call("private_site", map_file(MAP_PRIVATE));
  publish_and_call("shared_site", map_file(MAP_SHARED));
  publish_and_call("anonymous_site", map_anonymous(PAGE, 0, PROT_READ | PROT_EXEC));
  publish_and_call("rwx_site", map_anonymous(PAGE, 0, PROT_READ | PROT_WRITE | PROT_EXEC));
  char *huge = map_anonymous(HUGE, MAP_HUGETLB | MAP_POPULATE, PROT_READ | PROT_EXEC);
  if (huge != NULL) publish_and_call("hugetlb_site", huge);
  publish("none_site", map_anonymous(PAGE, 0, PROT_NONE) + AT);
  doomed = map_file(MAP_PRIVATE);
  publish("doomed_site", doomed + AT);
  start_thread(work, NULL);
  ready();
  serve(command);
}
