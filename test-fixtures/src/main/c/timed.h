/* The part of timed that is C++. */
#pragma once
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Calls catches, and catches what it throws: x + 1, or -x if it has thrown. */
long calls_and_catches(long x, bool thrown);
/* x + 1, or an exception. */
long catches(long x, bool thrown);

#ifdef __cplusplus
}
#endif
