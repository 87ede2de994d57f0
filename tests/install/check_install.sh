#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs into a throw-away prefix and builds a program against it, both ways.
set -eu
build=$1
consumer=$2
cmake=$3
compiler=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cmake" --install "$build" --prefix "$work/prefix" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

"$cmake" -S "$consumer" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$compiler" >"$work/log" 2>&1 &&
    "$cmake" --build "$work/cmake" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/cmake/consumer"

pc=$(dirname "$(find "$work/prefix" -name pgdbm.pc)")
# shellcheck disable=SC2046 # flags are words
PKG_CONFIG_PATH=$pc && export PKG_CONFIG_PATH
"$compiler" -std=c11 "$consumer/main.c" -o "$work/consumer" $(pkg-config --cflags --libs pgdbm-testkit)
LD_LIBRARY_PATH=$(dirname "$pc") "$work/consumer"

for page in share/man/man1/pgdbm.1 share/bash-completion/completions/pgdbm share/zsh/site-functions/_pgdbm share/fish/vendor_completions.d/pgdbm.fish; do
    grep -q pgdbm "$work/prefix/$page" || { echo "$page is not installed"; exit 1; }
done
