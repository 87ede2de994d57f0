/* SPDX-License-Identifier: MIT */
/* Floating-point text. PostgreSQL prints the shortest digits that read back the same, in fixed form while the decimal
 * exponent is at least -4 and below 15 (float8) or 6 (float4), and otherwise as d.ddde+XX (its documentation, 8.1.3).
 */
#include "types/number.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const char *special(double value)
{
    if (isnan(value))
        return "NaN";
    if (isinf(value))
        return value > 0 ? "Infinity" : "-Infinity";
    return NULL;
}

/* The fewest significant digits that read back as the same number. */
static int digits_needed(double value, bool single)
{
    char text[PGDBM__NUMBER_BYTES];
    int most = single ? 9 : 17;
    for (int digits = single ? 6 : 15; digits < most; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            return digits;
    }
    return most;
}

static int print(double value, bool single, char text[PGDBM__NUMBER_BYTES])
{
    const char *name = special(value);
    if (name != NULL)
        return snprintf(text, PGDBM__NUMBER_BYTES, "%s", name);
    int digits = digits_needed(value, single);
    char scientific[PGDBM__NUMBER_BYTES];
    snprintf(scientific, sizeof scientific, "%.*e", digits - 1, value);
    char *mark = strchr(scientific, 'e');
    int exponent = atoi(mark + 1);
    char *last = mark; /* superfluous zeros of the mantissa go */
    while (last > scientific && last[-1] == '0' && memchr(scientific, '.', (size_t)(last - scientific)) != NULL)
        last--;
    if (last > scientific && last[-1] == '.')
        last--;
    int fraction = 0;
    for (const char *at = scientific; at < last; at++)
        fraction += *at >= '0' && *at <= '9';
    fraction -= 1 + exponent;
    if (exponent >= -4 && exponent < (single ? 6 : 15))
        return snprintf(text, PGDBM__NUMBER_BYTES, "%.*f", fraction > 0 ? fraction : 0, value);
    return snprintf(text, PGDBM__NUMBER_BYTES, "%.*s%s", (int)(last - scientific), scientific, mark);
}

int pgdbm__double_text(double value, char text[PGDBM__NUMBER_BYTES])
{
    return print(value, false, text);
}

int pgdbm__float_text(float value, char text[PGDBM__NUMBER_BYTES])
{
    return print((double)value, true, text);
}
