#!/bin/sh
# SPDX-License-Identifier: MIT
# check_commands.sh PROGRAM SECTIONS_C PAGE: the page's table of commands is the list of `pgdbm help`, its table of keys the one
# that the file is read by, and its example is one that is read. Prints what differs, as lines to put into the page (+) or to take
# out of it (-).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "  name  summary", two spaces between them.
"$1" help | awk '/^Commands$/ { inside = 1; next } /^$/ { inside = 0 }
    inside && match($0, /[^ ]  +/) { print "| `pgdbm " substr($0, 3, RSTART - 2) "` | " substr($0, RSTART + RLENGTH) " |" }' >"$work/commands"
grep '^| `pgdbm ' "$3" | diff -u --label "$3" --label "pgdbm help" - "$work/commands"

# {"name", KIND, ...} in the table of each section; the third column, what it means, is the page's own.
awk 'BEGIN { section["project"] = "[project]"; section["database"] = "[database]"; section["environment"] = "[environments.NAME]"
             section["module"] = "[modules.NAME]"; section["pool"] = "[shared_pool]"
             kind["TEXT"] = "text"; kind["NUMBER"] = "number"; kind["BOOLEAN"] = "boolean"; kind["LIST"] = "list"; kind["MODE"] = "word" }
     /^static const struct key [a-z]*_keys/ { split($5, words, "_"); at = words[1] }
     at != "" { rest = $0
                while (match(rest, /\{"[a-z_]*", [A-Z]*/)) {
                    split(substr(rest, RSTART, RLENGTH), parts, /[{", ]+/)
                    print "| `" section[at] "` | `" parts[2] "` | " kind[parts[3]] " |"
                    rest = substr(rest, RSTART + RLENGTH)
                } }
     /\{0\}\}/ { at = "" }' "$2" >"$work/keys"
[ -s "$work/keys" ] || { echo "$2 has no tables of keys"; exit 1; }
sed -n 's/^\(| `\[[^|]*| `[a-z_]*` | [a-z]* |\).*/\1/p' "$3" | diff -u --label "$3" --label "$2" - "$work/keys"

awk '/^```ini$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$3" >"$work/pgdbm.conf"
code=0
PROD_DATABASE_URL=dbname=none "$1" dev url --config "$work/pgdbm.conf" --env prod >"$work/said" 2>&1 || code=$?
# There is no private server, which is no error of the file.
[ "$code" -eq 1 ] || { echo "$3: the example of pgdbm.conf is not read:"; cat "$work/said"; exit 1; }
