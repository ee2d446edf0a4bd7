#!/bin/sh
# Compiles the C reference and what measures beside probes: build.sh OUTPUT_FOLDER. What is up to date
# is left alone.
set -eu
out=$1
cd "$(dirname "$0")"

if [ "$(uname -s) $(uname -m)" != "Linux x86_64" ]; then
  echo "benchmarks: not Linux on x86-64, so the C reference is not built"
  exit 0
fi
if ! command -v gcc > /dev/null; then
  echo "benchmarks: gcc is missing; install it (Debian, Ubuntu: apt-get install gcc libc6-dev)" >&2
  exit 1
fi
mkdir -p "$out"
for program in reference uprobe traced; do
  if [ ! -x "$out/$program" ] || [ $program.c -nt "$out/$program" ] || [ build.sh -nt "$out/$program" ]; then
    gcc -std=gnu11 -O2 -g -pthread -Wall -Wextra -Werror -ffile-prefix-map="$PWD=." \
      -o "$out/$program.new" $program.c
    mv "$out/$program.new" "$out/$program"
  fi
done
