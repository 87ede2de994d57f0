#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes a project with the built program, builds it against an installed pgdbm, runs its tests and what it is for.
set -eu
build=$1
pgdbm=$2
pattern=$3
cmake=$4
compiler=$5
host=$6
work=$(mktemp -d)
chmod 755 "$work" # a server may run as another user
unset DATABASE_URL PGDBM_SCHEMA PGDBM_ENV PGDBM_CONFIG
trap '"$pgdbm" dev stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
cd "$work"

fail() {
    echo "$*" >&2
    exit 1
}
quietly() {
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; fail "failed: $*"; }
}
expect() { # expect TEXT COMMAND...: its output must have the text
    text=$1
    shift
    "$@" >"$work/out" 2>&1 || { cat "$work/out"; fail "failed: $*"; }
    grep -qF -- "$text" "$work/out" || { cat "$work/out"; fail "expected '$text' from: $*"; }
}
configure() { # configure SOURCE BUILD
    quietly "$cmake" -S "$1" -B "$2" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS=-Werror
    quietly "$cmake" --build "$2"
}

quietly "$cmake" --install "$build" --prefix "$work/prefix"
expect "ctest --test-dir my-thing/build" "$pgdbm" new "$pattern" my-thing
if grep -rniE 'example|SPDX' my-thing; then fail "this is left of the templates"; fi
cd my-thing
expect "0 findings" "$pgdbm" check .
configure . build
quietly "$(dirname "$cmake")/ctest" --test-dir build --output-on-failure --no-tests=error

DATABASE_URL=$("$pgdbm" dev start) || fail "no server"
export DATABASE_URL
case $pattern in
standalone)
    modules=my_thing
    expect "1 notes" build/my_thing milk
    expect "2 notes" build/my_thing bread
    ;;
shared-pool)
    modules="users orders"
    expect "number 1 of ada@host.invalid" build/my_thing ada@host.invalid tea
    expect "number 2 of ada@host.invalid" build/my_thing ada@host.invalid milk
    ;;
dual-mode)
    modules=my_thing
    quietly "$cmake" --install build --prefix "$work/prefix"
    configure "$host" "$work/host"
    expect "2 notes" "$work/host/host"
    ;;
esac

# The command finds in the project's file where each module is, and the history that the program wrote.
for module in $modules; do
    expect "1 applied, 0 pending" "$pgdbm" migrate status --module "$module"
done
