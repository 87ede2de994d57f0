/* SPDX-License-Identifier: MIT */
/* Floating-point text. PostgreSQL prints the shortest digits that read back the same, in fixed form while the decimal
 * exponent is at least -4 and below 15 (float8) or 6 (float4), and otherwise as d.ddde+XX (its documentation, 8.1.3).
 */
#include "types/number.h"

#include "types/text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
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

static int write_decimal(bool negative, uint64_t digits, size_t decimals, char text[PGDBM__NUMBER_BYTES])
{
    char reversed[20];
    size_t count = 0;
    char *at = text;
    for (; digits > 0 || count <= decimals; digits /= 10)
        reversed[count++] = (char)('0' + digits % 10);
    if (negative)
        *at++ = '-';
    while (count > 0) {
        *at++ = reversed[--count];
        if (count == decimals && count > 0)
            *at++ = '.';
    }
    *at = '\0';
    return (int)(at - text);
}

/* Most numbers that people store are short decimals, and found without the C library: 15 digits divided by a power of ten,
 * both exact, give the double nearest to the decimal they write; and no other 15 digits, or fewer, read back as the same.
 * 0 when it is none of those, or not in fixed form. */
static int print_short(double value, char text[PGDBM__NUMBER_BYTES])
{
    double size = fabs(value);
    double power = 1;
    if (!(size >= 1e-4))
        return 0;
    for (size_t decimals = 0; size * power < 1e15; decimals++, power *= 10) {
        uint64_t digits = (uint64_t)(size * power + 0.5);
        if ((double)digits / power == size)
            return write_decimal(value < 0, digits, decimals, text);
    }
    return 0;
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
    int length = print_short(value, text);
    return length > 0 ? length : print(value, false, text);
}

int pgdbm__float_text(float value, char text[PGDBM__NUMBER_BYTES])
{
    return print((double)value, true, text);
}

/* The C library reads more than PostgreSQL does: hexadecimal, "inf", leading blanks. */
static bool is_plain(const char *text, size_t bytes, bool *zero)
{
    struct pgdbm__text rest = {text, text + bytes};
    const char *mantissa = text;
    pgdbm__text_take(&rest, '-');
    size_t digits = pgdbm__text_digits(&rest);
    if (pgdbm__text_take(&rest, '.'))
        digits += pgdbm__text_digits(&rest);
    *zero = true;
    for (; mantissa < rest.at; mantissa++)
        *zero = *zero && (*mantissa < '1' || *mantissa > '9');
    if (digits > 0 && pgdbm__text_take(&rest, 'e')) {
        if (!pgdbm__text_take(&rest, '-'))
            pgdbm__text_take(&rest, '+');
        digits = pgdbm__text_digits(&rest);
    }
    return digits > 0 && rest.at == rest.end;
}

static bool scan_special(const char *text, size_t bytes, float *value)
{
    static const struct {
        const char *name;
        float value;
    } names[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (pgdbm__text_is(text, bytes, names[i].name)) {
            *value = names[i].value;
            return true;
        }
    return false;
}

/* The number for strtod, which wants a NUL behind it. */
static bool prepare(const char *text, size_t bytes, bool *zero, char copy[PGDBM__NUMBER_BYTES])
{
    pthread_once(&c_locale_once, make_c_locale);
    if (c_locale == (locale_t)0 || bytes >= PGDBM__NUMBER_BYTES || !is_plain(text, bytes, zero))
        return false;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return true;
}

bool pgdbm__double_scan(const char *text, size_t bytes, double *value)
{
    char copy[PGDBM__NUMBER_BYTES];
    float named;
    bool zero;
    if (scan_special(text, bytes, &named)) {
        *value = (double)named;
        return true;
    }
    if (!prepare(text, bytes, &zero, copy))
        return false;
    *value = strtod_l(copy, NULL, c_locale);
    return isfinite(*value) && (*value != 0) == !zero;
}

bool pgdbm__float_scan(const char *text, size_t bytes, float *value)
{
    char copy[PGDBM__NUMBER_BYTES];
    bool zero;
    if (scan_special(text, bytes, value))
        return true;
    if (!prepare(text, bytes, &zero, copy))
        return false;
    *value = strtof_l(copy, NULL, c_locale);
    return isfinite(*value) && (*value != 0) == !zero;
}
