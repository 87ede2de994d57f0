#!/bin/sh
# SPDX-License-Identifier: MIT
# check_types.sh PRINT_TYPES PAGE: the page's first table has every built-in type, and no other, each with its fields' kinds.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" | sort >"$work/registry"
# The first table's rows: the types are those in the first column, their kinds in the fourth.
awk -F' *[|] *' '/^[|]/ { table = 1 } !/^[|]/ && table { exit }
    /^[|] `/ {
        n = split($2, names, /, */)
        gsub(/[`,]/, "", $5)
        for (i = 1; i <= n; i++) { gsub(/`/, "", names[i]); print names[i] " " $5 }
    }' "$2" | sort >"$work/page"
[ -s "$work/page" ] || echo "there is no table"
diff "$work/registry" "$work/page"
