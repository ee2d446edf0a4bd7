/*
 * early_refused: objects that a function of theirs must be run for before others can be. Compiled
 * with CONSTRUCTOR it has a constructor, else an IFUNC.
 */
#ifdef CONSTRUCTOR
static volatile int value;
__attribute__((constructor)) static void constructor(void) { value = 1; }
int nothing(int argc) { return argc - argc + value; }
#else
static int chosen(int argc) { return argc - argc; }
static int (*choose(void))(int) { return chosen; }
__attribute__((visibility("hidden"))) int indirect(int argc) __attribute__((ifunc("choose")));
int (*volatile pointer)(int) = indirect;
int nothing(int argc) { return pointer(argc); }
#endif
