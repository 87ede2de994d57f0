#!/bin/sh
# SPDX-License-Identifier: MIT
# The shared library exports the functions that its headers declare, and nothing else.
set -eu
library=$1
headers=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nm -D --defined-only "$library" | awk '$2 ~ /[TDBRVW]/ {print $3}' | sed 's/@.*//' | grep -v -E '^(_init|_fini|__|_)' | sort -u >"$work/exported"
for header in "$headers"/*.h; do
    case $(basename "$header") in test*) continue ;; esac # libpgdbm-testkit
    tr '\n' ' ' <"$header" | grep -o 'PGDBM_EXPORT [^;{]*(' | grep -o 'pgdbm_[a-z0-9_]*(' | tr -d '('
done | sort -u >"$work/declared"
status=0
for symbol in $(comm -23 "$work/exported" "$work/declared"); do
    echo "exported, but not declared in a public header: $symbol"
    status=1
done
for symbol in $(comm -13 "$work/exported" "$work/declared"); do
    echo "declared in a public header, but not exported: $symbol"
    status=1
done
echo "$(wc -l <"$work/exported") symbols exported, $(wc -l <"$work/declared") declared"
exit $status
