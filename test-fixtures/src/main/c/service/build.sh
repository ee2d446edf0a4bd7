#!/bin/sh
# Compiles the service, its client and its patches: build.sh OUTPUT_FOLDER FLAGS. See service.c.
#
#   service                   with libservicecodec.so, and libserviceplugin.so for its command
#   service_v2.so, _v3.so     twelve functions each; _v2.json, _v3.json are the descriptions that they
#                             hold themselves; _v3 replaces those before it
#   service_names.so          no description: compute and tick are exported by their old names
#   service_plugin.so         a function of the plugin, which may not be loaded
#   service_thousand.so       the thousand units, version 2
#   service_hold.so           a thread that calls its function stays inside
#   service_spin.so           replaces spin, in which a thread may be for ever, and tick
#   service_order.so          its callbacks write down what runs; it replaces version and hold
#   service_forever.so        replaces a function that never leaves the stack
# and those that must fail:
#   service_crash.so          init writes to no memory; service_trap.so: an invalid instruction
#   service_endless.so        init does not end
#   service_veto.so           pre-patch says no
#   service_missing.so        needs two functions that are not there
#   service_ambiguous.so      uses the name of two variables without saying which
#   service_local.so          has a thread-local variable
#   service_build.so          is for another build of the service
#   service_which.so          replaces "helper" without saying which
#   service_none.so           replaces a function that is not there
#   service_third.so          replaces the third "helper" of two
#   service_object.so         replaces a function of an object that is never loaded
set -eu
out=$1
flags=$2
cd "$(dirname "$0")"

newest=$(ls -t ./* ../fixture.h ../fixture.c ../service_load.c | head -n 1)
if [ -e "$out/service_thousand.so" ] && [ ! "$newest" -nt "$out/service_thousand.so" ]; then
  exit
fi
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
flags="$flags -ffile-prefix-map=$work=."

# What a service is built with, but for the tests' sake: its patches find functions at their entries.
# shellcheck disable=SC2086
c() { gcc $flags -c "$@"; }
shared="-fPIC -fno-plt -shared -Wl,--build-id -Wl,-z,noexecstack"
# flags has -fPIE, and the last one counts.
# shellcheck disable=SC2086
library() { gcc $flags $shared "$@"; }

library -Wl,-soname,libservicecodec.so -o "$work/libservicecodec.so" service_codec.c
library -Wl,-soname,libserviceplugin.so -o "$work/libserviceplugin.so" service_plugin.c
awk -v version=1 -v table=1 -f service_units.awk > "$work/units.c"
awk -v version=2 -v table=0 -f service_units.awk > "$work/units_2.c"
for source in service service_request service_first service_second; do
  c -o "$work/$source.o" $source.c
done
c -I. -o "$work/units.o" "$work/units.c"
c -o "$work/fixture.o" ../fixture.c
cxx=$(printf %s "$flags" | sed 's/-std=gnu11/-std=gnu++17/')
# shellcheck disable=SC2086
g++ $cxx -c -o "$work/steps.o" service_steps.cc
# The order of service_first and service_second is that of the symbols called helper.
# shellcheck disable=SC2086
g++ $cxx -rdynamic -Wl,--build-id -Wl,-rpath,\$ORIGIN -o "$work/service" "$work/service.o" \
  "$work/service_request.o" "$work/service_first.o" "$work/service_second.o" "$work/steps.o" \
  "$work/units.o" "$work/fixture.o" "$work/libservicecodec.so" -ldl
build_id=$(readelf -n "$work/service" | sed -n 's/.*Build ID: //p')

# describe NAME: puts NAME.json into NAME.so, as its section .textpoke.
describe() {
  objcopy --add-section .textpoke="$work/$1.json" --set-section-flags .textpoke=noload,readonly \
    "$work/$1.so"
}

for version in 2 3; do
  name=service_v$version
  c -fPIC -fno-plt -DVERSION=$version -o "$work/patch.o" service_patch.c
  # shellcheck disable=SC2086
  g++ $cxx -fPIC -fno-plt -DVERSION=$version -c -o "$work/patch_steps.o" service_patch_steps.cc
  # shellcheck disable=SC2086
  g++ $cxx $shared -o "$work/$name.so" "$work/patch.o" "$work/patch_steps.o"
  [ $version = 3 ] && replace=true || replace=false
  sed -e "s/@VERSION@/$version/" -e "s/@BUILD_ID@/$build_id/" -e "s/@REPLACE@/$replace/" \
    service_patch.json.in > "$work/$name.json"
  describe $name
done

# other NAME MACRO OBJECT FUNCTIONS [MEMBERS]: compiles service_NAME.so and describes it.
other() {
  name=service_$1
  library -D"$2" -o "$work/$name.so" service_other_patches.c
  printf '{"name": "%s", "version": "1", "objects": [{"name": "%s"%s, "functions": [%s]}]%s}\n' \
    "$name" "$3" "${6:-}" "$4" "${5:-}" > "$work/$name.json"
  describe "$name"
}
tick='{"old": "tick", "new": "new_tick"}'
library -DNAMES -o "$work/service_names.so" service_other_patches.c
other plugin PLUGIN libserviceplugin.so '{"old": "plugin_answer", "new": "new_plugin_answer"}'
other hold HOLD '' '{"old": "hold", "new": "new_hold"}'
other spin SPIN '' '{"old": "spin", "new": "new_spin"}, '"$tick" \
  ', "consistency": "when-unused"'
other order ORDER '' \
  '{"old": "version", "new": "new_version"}, {"old": "hold", "new": "new_hold"}' \
  ', "consistency": "when-unused", "callbacks": {"prePatch": "pre_patch", "postPatch": "post_patch",
    "preUnpatch": "pre_unpatch", "postUnpatch": "post_unpatch"}'
other forever FOREVER '' '{"old": "serve_connection", "new": "new_serve_connection"}'
for bad in CRASH TRAP ENDLESS MISSING AMBIGUOUS; do
  other "$(echo $bad | tr '[:upper:]' '[:lower:]')" $bad '' "$tick"
done
other local THREAD_LOCAL '' "$tick"
other veto VETO '' "$tick" ', "callbacks": {"prePatch": "pre_patch"}'
other build TICK '' "$tick" '' ', "buildId": "0123456789abcdef0123456789abcdef01234567"'
other which TICK '' '{"old": "helper", "new": "new_tick"}'
other none TICK '' '{"old": "no_such_function", "new": "new_tick"}'
other third TICK '' '{"old": "helper", "sympos": 3, "new": "new_tick"}'
other object TICK libnosuchobject.so "$tick"

library -I. -o "$work/service_thousand.so" "$work/units_2.c"
seq -f %03g 0 999 | sed 's/.*/{"old": "unit_&", "new": "unit_&_new"}/' | paste -sd , > "$work/list"
printf '{"name": "service_thousand", "version": "1", "objects": [{"name": "", "functions": [%s]}]}\n' \
  "$(cat "$work/list")" > "$work/service_thousand.json"
describe service_thousand

# shellcheck disable=SC2086
gcc $flags -o "$work/service_load" ../service_load.c ../fixture.c
mv "$work"/*.json "$out"
find "$work" -name '*.so' ! -name service_thousand.so -exec mv {} "$out" \;
mv "$work/service" "$work/service_load" "$out"
mv "$work/service_thousand.so" "$out" # the last: it tells whether all is up to date
