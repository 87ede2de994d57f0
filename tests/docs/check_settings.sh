#!/bin/sh
# SPDX-License-Identifier: MIT
# check_settings.sh PRINT_CONFIGURATION PAGE: the page's table is what the program prints.
set -eu
printed=$(mktemp)
trap 'rm -f "$printed"' EXIT
"$1" >"$printed"
grep '^|' "$2" | diff - "$printed"
