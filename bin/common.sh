# Shared by the scripts of this folder; needs bash. Sets ROOT, and JAVA_HOME where it finds a JDK.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STAMP=$ROOT/target/built
CLASS_PATH=$ROOT/cli/target/class-path

# Whether $1 is the home of a JDK 17 or later, with a compiler.
is_jdk() {
  local version
  [ -x "$1/bin/java" ] && [ -x "$1/bin/javac" ] && [ -r "$1/release" ] || return 1
  version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release")
  [ "${version:-0}" -ge 17 ]
}

# JAVA_HOME as it is set, else the JDK that `javac` is of, else one where distributions put them.
find_jdk() {
  local javac home
  if [ -n "${JAVA_HOME:-}" ] && is_jdk "$JAVA_HOME"; then
    export JAVA_HOME
    return 0
  fi
  javac=$(readlink -f "$(command -v javac 2> /dev/null)" 2> /dev/null || true)
  for home in "${javac%/bin/javac}" /usr/lib/jvm/*; do
    if [ -n "$home" ] && is_jdk "$home"; then
      export JAVA_HOME=$home
      return 0
    fi
  done
  return 1
}

has_zydis() {
  local folder
  for folder in /usr/lib/x86_64-linux-gnu /usr/lib64 /usr/lib /usr/local/lib; do
    if [ -e "$folder/libZydis.so.4.0" ] || [ -e "$folder/libZydis.so.4.1" ]; then
      return 0
    fi
  done
  return 1
}

zydis_package() {
  if apt-cache show libzydis4.1 > /dev/null 2>&1; then
    echo libzydis4.1
  else
    echo libzydis4.0
  fi
}

# What the build needs and is missing, as packages of Debian and Ubuntu; and of the commands $@. But for
# redis-check-rdb they are called like their packages.
missing_packages() {
  find_jdk || echo openjdk-17-jdk-headless
  command -v mvn > /dev/null || echo maven
  # Elsewhere plans are made and verified, and nothing is patched.
  [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || return 0
  local command
  for command in gcc "$@"; do
    command -v "$command" > /dev/null || echo "${command/redis-check-rdb/redis-tools}"
  done
  [ -e /usr/include/stdio.h ] || echo libc6-dev
  has_zydis || zydis_package
}

# Installs what is missing, the commands $@ too, or prints the one command to run and ends with 2.
ensure_tools() {
  local missing
  missing=$(missing_packages "$@" | xargs)
  if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
      echo "installing $missing" >&2
      apt-get update -qq >&2 || true
      # The package's name is known only now that the lists are there.
      missing=$(missing_packages "$@" | xargs)
      # shellcheck disable=SC2086
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
    else
      echo "something is missing; run: sudo apt-get install $missing" >&2
      exit 2
    fi
  fi
  find_jdk || {
    echo "no JDK 17 or later with javac: set JAVA_HOME to one" >&2
    exit 2
  }
}

# Whether the last build is newer than every source, and was made in this folder.
is_built() {
  [ -r "$STAMP" ] && [ -r "$CLASS_PATH" ] && [ "$(cat "$STAMP")" = "$ROOT" ] \
    && [ -z "$(find "$ROOT"/pom.xml "$ROOT"/{core,x86,test-fixtures,cli}/{pom.xml,src/main} \
      -newer "$STAMP" -print -quit)" ]
}

# Builds the command line and what it needs, if a source has changed.
ensure_built() {
  if is_built && find_jdk; then
    return
  fi
  ensure_tools
  mkdir -p "$ROOT/target"
  rm -f "$STAMP"
  touch "$STAMP.new" # before the build: what changes meanwhile is built next time
  echo "building textpoke" >&2
  mvn -q -B -ntp -Dstyle.color=never -f "$ROOT/pom.xml" -pl cli -am package -P '!error-prone' \
    -Dmaven.test.skip -Dspotless.check.skip -Dmaven.javadoc.skip -Dmaven.source.skip >&2
  printf %s "$ROOT" > "$STAMP.text"
  touch -r "$STAMP.new" "$STAMP.text"
  mv "$STAMP.text" "$STAMP"
  rm -f "$STAMP.new"
}

# run_java MAIN_CLASS [ARGUMENT ...], with options for the JVM in JVM_OPTIONS.
run_java() {
  # shellcheck disable=SC2086
  exec "$JAVA_HOME/bin/java" --enable-native-access=ALL-UNNAMED -XX:+UseSerialGC ${JVM_OPTIONS:-} \
    -cp "$ROOT/cli/target/classes:$(cat "$CLASS_PATH")" "$@"
}
