#!/bin/sh
# Compiles the fixtures: build.sh OUTPUT_FOLDER. What is up to date is left alone.
set -eu
out=$1
cd "$(dirname "$0")"

if [ "$(uname -s) $(uname -m)" != "Linux x86_64" ]; then
  echo "test-fixtures: not Linux on x86-64, so no C fixture is built; tests that start one fail here"
  exit 0
fi
if ! command -v gcc > /dev/null; then
  echo "test-fixtures: gcc is missing; install it (Debian, Ubuntu: apt-get install gcc libc6-dev)" >&2
  exit 1
fi
mkdir -p "$out"

# Deterministic: no path of this machine in the debug information, no time anywhere.
flags="-std=gnu11 -O2 -g -pthread -fno-stack-protector -fcf-protection=none -fPIE -pie -Wall -Wextra
  -Werror -ffile-prefix-map=$PWD=. -gno-record-gcc-switches"

# compile PROGRAM [MORE SOURCES AND FLAGS]: links PROGRAM.c, fixture.c and the rest.
compile() {
  program=$1
  shift
  newest=$(ls -t "$program.c" ./*.h ./*.S fixture.c build.sh ${1+$(printf '%s\n' "$@" | grep -v '^-' || true)} | head -n 1)
  if [ -x "$out/$program" ] && [ ! "$newest" -nt "$out/$program" ]; then
    return
  fi
  # shellcheck disable=SC2086
  gcc $flags -o "$out/$program.new" "$program.c" fixture.c "$@"
  mv "$out/$program.new" "$out/$program"
}

compile keeper
# No byte of target_b - target_a, 0x23333754, is 00 or ff, so that the displacements to both from any
# site differ in every byte, whatever is carried.
compile workers worker_sites.c worker_sites.S runners.c \
  -Wl,--section-start=fixture_target_a=0x11234000 -Wl,--section-start=fixture_target_b=0x34567000

for program in blockers single_epoll storm forker seccomp jobs signals shared_text rseq; do
  compile $program site.c site.S -Wl,--section-start=fixture_repl=0x11234000
done
compile displaced -Wl,--section-start=fixture_repl=0x11234000
compile busy
compile plain
compile captured

if [ ! captured_hook.c -ot "$out/captured_hook.so" ]; then
  # shellcheck disable=SC2086
  gcc $flags -fPIC -fno-plt -shared -o "$out/captured_hook.so" captured_hook.c
fi

compile probed -fno-builtin-llabs
compile stays
compile syncer
compile lodgers -ldl
compile zoo -ldl
compile ptrace_probe
compile executor
compile contained
compile stepped
compile profiled -fno-omit-frame-pointer
# Its stacks are guarded: a thread must have the guard of the program.
compile called -fstack-protector-all -ldl

if [ ! redis_ping.c -ot "$out/redis_ping.so" ] || [ ! redis_ping.json -ot "$out/redis_ping.so" ]; then
  # shellcheck disable=SC2086
  gcc $flags -fPIC -fno-plt -shared -o "$out/redis_ping.so" redis_ping.c
  objcopy --add-section .textpoke=redis_ping.json --set-section-flags .textpoke=noload,readonly \
    "$out/redis_ping.so"
fi

if command -v g++ > /dev/null; then
  sh service/build.sh "$out" "$flags"
else
  echo "test-fixtures: g++ is missing, so the service is not built; tests that start it fail"
fi
compile inherited

# Its exceptions are C++'s.
if command -v g++ > /dev/null; then
  newest=$(ls -t timed.c timed.h timed_thrown.cc fixture.c fixture.h build.sh | head -n 1)
  if [ ! -x "$out/timed" ] || [ "$newest" -nt "$out/timed" ]; then
    # shellcheck disable=SC2086
    g++ $(echo "$flags" | sed s/gnu11/gnu++17/) -c -o "$out/timed_thrown.o" timed_thrown.cc
    # shellcheck disable=SC2086
    gcc $flags -o "$out/timed.new" timed.c fixture.c "$out/timed_thrown.o" -lstdc++
    mv "$out/timed.new" "$out/timed"
    rm "$out/timed_thrown.o"
  fi
fi

# These are not as the others: nothing that they do not say may run in them before main.
early() {
  output=$1
  shift
  newest=$(ls -t early.c libearly.c early_*.c counted.c libcounted.c plain_new.c build.sh | head -n 1)
  if [ -x "$out/$output" ] && [ ! "$newest" -nt "$out/$output" ]; then
    return
  fi
  # shellcheck disable=SC2086
  gcc $flags -o "$out/$output.new" "$@"
  mv "$out/$output.new" "$out/$output"
}

early libearly.so libearly.c -shared -Wl,-soname,libearly.so
early early early.c -L"$out" -Wl,--no-as-needed -l:libearly.so -Wl,-rpath,'$ORIGIN'
early libcounted.so libcounted.c -shared -Wl,-soname,libcounted.so
early counted counted.c -L"$out" -l:libcounted.so -Wl,-rpath,'$ORIGIN'
early plain_new.so plain_new.c -fPIC -shared
early early_new.so early_new.c -fPIC -shared
early early_alone.so early_alone.c -fPIC -shared
early early_constructor.so early_refused.c -DCONSTRUCTOR -fPIC -shared
early early_ifunc.so early_refused.c -fPIC -shared
early early_static early.c -static -no-pie
early early_static_pie early.c -static-pie

# The same program without a loader.
if [ ! -x "$out/probed_static" ] || [ "$out/probed" -nt "$out/probed_static" ]; then
  # shellcheck disable=SC2086
  gcc $flags -fno-builtin-llabs -static-pie -o "$out/probed_static.new" probed.c fixture.c
  mv "$out/probed_static.new" "$out/probed_static"
fi

# Needs no 32-bit libc, only an assembler and a linker.
if [ ! i386.S -ot "$out/i386" ] || [ ! -x "$out/i386" ]; then
  as --32 -o "$out/i386.o" i386.S
  ld -m elf_i386 -o "$out/i386" "$out/i386.o"
  rm "$out/i386.o"
fi
