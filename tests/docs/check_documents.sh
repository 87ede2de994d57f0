#!/bin/sh
# SPDX-License-Identifier: MIT
# check_documents.sh SOURCE_DIR: what the documents say is what the tree holds. One line for each difference.
#   - a ```c block below <!-- FILE --> is that file; below <!-- FILE [REGION] -->, what lies between /* [REGION] */ and
#     /* [/REGION] */, moved to the margin
#   - docs/async.md, docs/data.md, docs/migrations.md, docs/fleet.md and docs/testing.md have no other blocks of C
#   - links inside the tree lead somewhere
#   - functions that are named exist
set -eu
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
documents="README.md CONTRIBUTING.md CHANGELOG.md docs/*.md src/*/README.md bench/README.md fuzz/README.md"

margin() {
    awk '{ lines[NR] = $0; if ($0 != "" && substr($0, 1, 4) != "    ") deep = 1 }
         END { for (i = 1; i <= NR; i++) print deep || lines[i] == "" ? lines[i] : substr(lines[i], 5) }'
}

blocks=0
# shellcheck disable=SC2086 # a list of patterns
for document in $documents; do
    grep -n '^<!-- [a-z_/]*\.[ch]\( \[[a-z-]*\]\)\{0,1\} -->$' "$document" >"$work/marks" || true
    while IFS= read -r mark; do
        line=${mark%%:*}
        file=$(printf '%s' "$mark" | sed 's/^[0-9]*:<!-- \([^ ]*\).*/\1/')
        region=$(printf '%s' "$mark" | sed -n 's/.*\[\(.*\)\].*/\1/p')
        awk -v start="$line" 'NR > start && /^```/ { if (inside) exit; inside = 1; next } inside' "$document" >"$work/shown"
        if [ -n "$region" ]; then
            sed -n "/\/\* \[$region\] \*\//,/\/\* \[\/$region\] \*\//p" "$file" | sed '1d;$d' | margin >"$work/real"
        else
            cp "$file" "$work/real"
        fi
        [ -s "$work/real" ] || echo "$document:$line: $file has no region '$region'"
        diff -u "$work/real" "$work/shown" || echo "$document:$line: the block differs from $file"
        blocks=$((blocks + 1))
    done <"$work/marks"

    grep -o '](\([^)#: ]*\))' "$document" | sed 's/^](//; s/)$//' | while IFS= read -r link; do
        [ -e "$(dirname "$document")/$link" ] || echo "$document: nothing is at $link"
    done
    grep -ow 'pgdbm_[a-z][a-z0-9_]*[a-z0-9]' "$document" | grep -vx pgdbm_noun_verb | sort -u | while IFS= read -r name; do
        grep -qrw "$name" include cmake CMakeLists.txt src/testkit examples bench tests/install || echo "$document: there is no $name"
    done
    case $document in docs/async.md | docs/data.md | docs/migrations.md | docs/fleet.md | docs/testing.md) ;; *) continue ;; esac
    awk -v document="$document" '
        /^```c$/ && last !~ /^<!-- .* -->$/ { print document ":" NR ": a block that comes from no file" }
        { last = $0 }' "$document"
done >"$work/problems"
[ "$(wc -l <examples/first.c)" -le 40 ] || echo "examples/first.c has more than 40 lines" >>"$work/problems"
[ "$(wc -l <examples/async/epoll.c)" -le 60 ] || echo "examples/async/epoll.c has more than 60 lines" >>"$work/problems"
[ "$blocks" -ge 61 ] || echo "only $blocks blocks of code were compared" >>"$work/problems"
cat "$work/problems"
[ ! -s "$work/problems" ]
