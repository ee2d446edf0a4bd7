/*
 * captured_hook.so: a live patch that replaces nothing. Its functions are called before captured's
 * "six": they are told of each call, and change all that a C function may change.
 *
 *   on_call      counts in hook_calls, adds the second argument to hook_sum, and counts in hook_wrong
 *                what it should not see: a stack that is not aligned, another argument than the one
 *                which follows from the first two
 *   on_call_add  gives six another second argument and gives r10 another value
 */
#include <stdint.h>

__attribute__((section(".textpoke"), used)) static const char spec[] =
    "{\"name\": \"hook\", \"objects\": []}";

struct call {
  uint64_t rdi, rsi, rdx, rcx, r8, r9, rax, r10, r11, flags, rbp;
  const void *back;
};

uint64_t hook_calls, hook_sum, hook_wrong;

static uint64_t mix(uint64_t x) {
  return (x ^ x >> 29) * 0xbf58476d1ce4e5b9;
}

static void add(uint64_t *to, uint64_t n) { __atomic_fetch_add(to, n, __ATOMIC_RELAXED); }

/* Whatever the ABI lets it. The direction flag is to be clear, and the stack aligned for movaps. */
static void change_all(void) {
  __asm__ volatile(
      "sub $24, %%rsp\n\t"
      "pcmpeqd %%xmm0, %%xmm0\n\t"
      "movdqa %%xmm0, %%xmm1\n\t"
      "movdqa %%xmm0, %%xmm7\n\t"
      "movdqa %%xmm0, %%xmm15\n\t"
      "add $24, %%rsp\n\t"
      "fldpi\n\t"
      "fldpi\n\t"
      "mov $-1, %%rax\n\t"
      "mov %%rax, %%rcx\n\t"
      "mov %%rax, %%rdx\n\t"
      "mov %%rax, %%rsi\n\t"
      "mov %%rax, %%rdi\n\t"
      "mov %%rax, %%r8\n\t"
      "mov %%rax, %%r9\n\t"
      "mov %%rax, %%r10\n\t"
      "mov %%rax, %%r11\n\t"
      "add $1, %%rax\n\t"
      ::: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm7",
      "xmm15", "cc", "memory");
}

void on_call(const struct call *call) {
  uint64_t frame = (uint64_t)__builtin_frame_address(0);
  add(&hook_calls, 1);
  add(&hook_sum, call->rsi);
  uint64_t a = mix((call->rdi << 32) + call->rsi);
  if (frame % 16 != 0 || call->rdx != a || call->r9 != mix(mix(mix(a))) || call->rax != 42)
    add(&hook_wrong, 1);
  change_all();
}

void on_call_add(struct call *call) {
  add(&hook_calls, 1);
  call->rsi += 1;
  call->r10 ^= 1;
}
