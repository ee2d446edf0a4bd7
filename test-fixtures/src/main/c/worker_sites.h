/* The sites that `workers` calls; see worker_sites.S. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef long function(long);

struct site {
  const char *name;
  function *entry;
};

enum { BATCH_SITES = 1000, BATCH_STRIDE = 64, NAMED_SITES = 64 + 64 + 8 };

extern function target_a, target_b, repl, batch_site_0;

/* nop_0 to nop_63, call_0 to call_63, nop_page_1 to 4, call_page_1 to 4. */
extern const struct site SITES[NAMED_SITES];

/* Whether the address is one of the sites' code. */
bool is_in_site(uintptr_t at);

/* Ends the program if a torn jump or call could end in something that runs. */
void check_that_tears_fault(void);
