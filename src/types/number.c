/* SPDX-License-Identifier: MIT */
/* Floating-point text. PostgreSQL prints the shortest digits that read back the same, in fixed form while the decimal
 * exponent is at least -4 and below 15 (float8) or 6 (float4), and otherwise as d.ddde+XX (its documentation, 8.1.3).
 */
#include "types/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
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

/* Nearer to the number than to its neighbours. Digits that lie in the very middle would be read back too, by the rule for
 * ties, but PostgreSQL does not trust all readers with that: it prints 9.999999999999999e+22 and not 1e+23. Where long
 * double is no wider than double the rule for ties decides. */
static bool reads_back(const char *text, double value, bool single)
{
    if (single ? strtof(text, NULL) != (float)value : strtod(text, NULL) != value)
        return false;
    long double above = single ? (long double)nextafterf((float)value, INFINITY) : nextafter(value, (double)INFINITY);
    long double below = single ? (long double)nextafterf((float)value, -INFINITY) : nextafter(value, (double)-INFINITY);
    long double read = strtold(text, NULL);
    return read != ((long double)value + above) / 2 && read != ((long double)value + below) / 2;
}

/* The fewest significant digits that read back as the same number. A normal number has 15 (6) of its own, of which those
 * that are zeros go later; one below the normal range may have fewer. */
static int digits_needed(double value, bool single)
{
    char text[PGDBM__NUMBER_BYTES];
    int most = single ? 9 : 17;
    bool normal = fabs(value) >= (single ? (double)FLT_MIN : DBL_MIN);
    for (int digits = !normal ? 1 : single ? 6 : 15; digits < most; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (reads_back(text, value, single))
            return digits;
    }
    return most;
}

static int print_in_c_locale(double value, bool single, char text[PGDBM__NUMBER_BYTES])
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

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The program may have chosen a locale that writes a comma where PostgreSQL reads and writes a point. */
static int print(double value, bool single, char text[PGDBM__NUMBER_BYTES])
{
    pthread_once(&c_locale_once, make_c_locale);
    locale_t before = c_locale != (locale_t)0 ? uselocale(c_locale) : (locale_t)0;
    int length = print_in_c_locale(value, single, text);
    if (before != (locale_t)0)
        uselocale(before);
    return length;
}

int pgdbm__double_text(double value, char text[PGDBM__NUMBER_BYTES])
{
    return print(value, false, text);
}

int pgdbm__float_text(float value, char text[PGDBM__NUMBER_BYTES])
{
    return print((double)value, true, text);
}
