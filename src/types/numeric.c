/* SPDX-License-Identifier: MIT */
/* numeric. Its binary form is four 16-bit numbers (how many groups follow, the weight of the first one, sign, how many
 * decimals are shown) and groups of four decimal digits; the weight counts groups, 0 being the one before the point.
 * Groups that are not there are zero, at either end. */
#include "types/number.h"
#include "types/scalar.h"
#include "types/text.h"

#define NEGATIVE 0x4000
#define NOT_A_NUMBER 0xC000
#define POSITIVE_INFINITY 0xD000
#define NEGATIVE_INFINITY 0xF000

#define HEADER_BYTES 8
#define MOST_DECIMALS 16383
#define MOST_INTEGER_DIGITS 131072

/* 39 digits, and up to three zeros at either end. */
#define DECIMAL_GROUPS 12
#define DECIMAL_DIGITS 39

__extension__ typedef unsigned __int128 magnitude;
#define DECIMAL_LIMIT ((magnitude)1 << 127)

static const uint16_t powers[] = {1, 10, 100, 1000, 10000};

struct numeric {
    uint16_t sign;
    int32_t weight;
    int32_t decimals;
    int32_t count; /* of groups */
    const char *groups;
};

/* Group `i`, counted from the first; those past the end are zero, and so are digits behind the decimals shown. */
static uint16_t group(const struct numeric *numeric, int32_t i)
{
    uint16_t value = i < numeric->count ? pgdbm__get_uint16(numeric->groups + 2 * i) : 0;
    int32_t hidden = (i - numeric->weight) * 4 - numeric->decimals;
    return hidden <= 0 ? value : hidden >= 4 ? 0 : (uint16_t)(value - value % powers[hidden]);
}

/* Looks over all of it, so that the rest need not, and leaves out zeros at both ends. */
static bool numeric_open(const char *data, size_t bytes, struct numeric *numeric)
{
    if (bytes < HEADER_BYTES)
        return false;
    *numeric = (struct numeric){pgdbm__get_uint16(data + 4), (int16_t)pgdbm__get_uint16(data + 2),
                                pgdbm__get_uint16(data + 6), pgdbm__get_uint16(data), data + HEADER_BYTES};
    if (bytes - HEADER_BYTES != (size_t)numeric->count * 2)
        return false;
    if (numeric->sign == NOT_A_NUMBER || numeric->sign == POSITIVE_INFINITY || numeric->sign == NEGATIVE_INFINITY)
        return numeric->count == 0;
    if ((numeric->sign != 0 && numeric->sign != NEGATIVE) || numeric->decimals > MOST_DECIMALS)
        return false;
    for (int32_t i = 0; i < numeric->count; i++)
        if (pgdbm__get_uint16(numeric->groups + 2 * i) > 9999)
            return false;
    while (numeric->count > 0 && group(numeric, numeric->count - 1) == 0)
        numeric->count--;
    for (; numeric->count > 0 && group(numeric, 0) == 0; numeric->count--) {
        numeric->groups += 2;
        numeric->weight--;
    }
    if (numeric->count == 0) {
        numeric->weight = -1;
        numeric->sign = 0;
    }
    return true;
}

PGDBM__PRINT(numeric)
{
    struct numeric numeric;
    if (!numeric_open(data, bytes, &numeric))
        return false;
    if (numeric.sign > NEGATIVE) {
        pgdbm__buffer_text(out, numeric.sign == NOT_A_NUMBER        ? "NaN"
                                : numeric.sign == POSITIVE_INFINITY ? "Infinity"
                                                                    : "-Infinity");
        return true;
    }
    int32_t before = numeric.weight < 0 ? 1 : numeric.weight + 1;
    if (!pgdbm__buffer_reserve(out, (size_t)before * 4 + (size_t)numeric.decimals + 8))
        return true;
    char *at = out->data + out->length;
    if (numeric.sign == NEGATIVE)
        *at++ = '-';
    at = pgdbm__write_number(at, numeric.weight < 0 ? 0 : group(&numeric, 0));
    for (int32_t i = 1; i <= numeric.weight; i++)
        at = pgdbm__write_padded(at, group(&numeric, i), 4);
    if (numeric.decimals > 0) {
        char *point = at++;
        *point = '.';
        for (int32_t done = 0; done < numeric.decimals; done += 4) {
            int32_t i = numeric.weight + 1 + done / 4; /* negative before the first group */
            at = pgdbm__write_padded(at, i < 0 ? 0 : group(&numeric, i), 4);
        }
        at = point + 1 + numeric.decimals;
    }
    out->length = (size_t)(at - out->data);
    return true;
}

struct digits {
    bool negative;
    const char *integer;
    const char *fraction;
    size_t n_integer; /* without zeros before */
    size_t n_fraction;
};

/* No exponents: 1e5 and 1e-5 are not what anybody prints. */
static bool scan_digits(const char *text, size_t bytes, struct digits *digits)
{
    struct pgdbm__text rest = {text, text + bytes};
    *digits = (struct digits){.negative = pgdbm__text_take(&rest, '-'), .integer = rest.at};
    size_t n_integer = pgdbm__text_digits(&rest);
    digits->n_integer = n_integer;
    while (digits->n_integer > 0 && *digits->integer == '0') {
        digits->integer++;
        digits->n_integer--;
    }
    if (pgdbm__text_take(&rest, '.')) {
        digits->fraction = rest.at;
        digits->n_fraction = pgdbm__text_digits(&rest);
    }
    return rest.at == rest.end && n_integer + digits->n_fraction > 0 && digits->n_integer <= MOST_INTEGER_DIGITS &&
           digits->n_fraction <= MOST_DECIMALS;
}

/* One digit; `i` counts those of the integer and goes on behind the point. Zeros around them. */
static int digit(const struct digits *digits, ptrdiff_t i)
{
    if (i < 0 || i >= (ptrdiff_t)(digits->n_integer + digits->n_fraction))
        return 0;
    ptrdiff_t behind = i - (ptrdiff_t)digits->n_integer;
    return (behind < 0 ? digits->integer[i] : digits->fraction[behind]) - '0';
}

static void put_header(char *at, int32_t count, int32_t weight, uint16_t sign, int32_t decimals)
{
    at = pgdbm__put_uint16(at, (uint16_t)count);
    at = pgdbm__put_uint16(at, (uint16_t)weight);
    pgdbm__put_uint16(pgdbm__put_uint16(at, sign), (uint16_t)decimals);
}

/* The server shows 32 decimals of an infinity, for no reason but how the bits of its header lie. */
static bool parse_special(const char *text, size_t bytes, struct pgdbm__buffer *out)
{
    char header[HEADER_BYTES];
    if (pgdbm__text_is(text, bytes, "NaN"))
        put_header(header, 0, 0, NOT_A_NUMBER, 0);
    else if (pgdbm__text_is(text, bytes, "Infinity"))
        put_header(header, 0, 0, POSITIVE_INFINITY, 32);
    else if (pgdbm__text_is(text, bytes, "-Infinity"))
        put_header(header, 0, 0, NEGATIVE_INFINITY, 32);
    else
        return false;
    pgdbm__buffer_append(out, header, sizeof header);
    return true;
}

PGDBM__PARSE(numeric)
{
    struct digits digits;
    if (!scan_digits(text, bytes, &digits))
        return parse_special(text, bytes, out);
    size_t before = (digits.n_integer + 3) / 4;
    size_t groups = before + (digits.n_fraction + 3) / 4;
    if (!pgdbm__buffer_reserve(out, HEADER_BYTES + groups * 2))
        return true;
    char *first = out->data + out->length + HEADER_BYTES;
    char *at = first;
    char *end = first; /* behind the last one that is not zero */
    int32_t weight = (int32_t)before - 1;
    ptrdiff_t next = (ptrdiff_t)digits.n_integer - (ptrdiff_t)before * 4;
    for (size_t i = 0; i < groups; i++, next += 4) {
        int value = digit(&digits, next) * 1000 + digit(&digits, next + 1) * 100 + digit(&digits, next + 2) * 10 +
                    digit(&digits, next + 3);
        if (value == 0 && at == first) {
            weight--;
            continue;
        }
        at = pgdbm__put_uint16(at, (uint16_t)value);
        end = value != 0 ? at : end;
    }
    bool zero = end == first;
    put_header(first - HEADER_BYTES, (int32_t)((end - first) / 2), zero ? 0 : weight,
               digits.negative && !zero ? NEGATIVE : 0, (int32_t)digits.n_fraction);
    out->length = (size_t)(end - out->data);
    return true;
}

static bool multiply_add(magnitude *value, uint32_t factor, uint32_t addend)
{
    return !__builtin_mul_overflow(*value, (magnitude)factor, value) &&
           !__builtin_add_overflow(*value, (magnitude)addend, value);
}

/* Two's complement, as the C type has it. False when the sign bit does not fit. */
static bool put_decimal(magnitude value, bool negative, int32_t scale, pgdbm_decimal *decimal)
{
    if (value > DECIMAL_LIMIT - !negative)
        return false;
    if (negative)
        value = 0 - value;
    *decimal = (pgdbm_decimal){(int64_t)(uint64_t)(value >> 64), (uint64_t)value, scale};
    return true;
}

static magnitude get_magnitude(const pgdbm_decimal *decimal)
{
    magnitude value = (magnitude)(uint64_t)decimal->high << 64 | decimal->low;
    return decimal->high < 0 ? 0 - value : value;
}

const char *pgdbm__decimal_read(const char *data, size_t bytes, pgdbm_decimal *decimal)
{
    static const char too_long[] = "it has more digits than 128 bits hold";
    struct numeric numeric;
    magnitude value = 0;
    if (!numeric_open(data, bytes, &numeric))
        return "the server sent a malformed value";
    if (numeric.sign > NEGATIVE)
        return numeric.sign == NOT_A_NUMBER ? "it is not a number" : "it is infinite";
    /* Groups to the last decimal, of which the last group may have fewer than four. */
    int32_t last = numeric.count > 0 ? numeric.weight + (numeric.decimals + 3) / 4 : -1;
    for (int32_t i = 0; i <= last; i++) {
        int32_t hidden = (i - numeric.weight) * 4 - numeric.decimals;
        uint16_t cut = powers[hidden > 0 ? hidden : 0];
        if (!multiply_add(&value, 10000U / cut, group(&numeric, i) / cut))
            return too_long;
    }
    return put_decimal(value, numeric.sign == NEGATIVE, numeric.decimals, decimal) ? NULL : too_long;
}

void pgdbm__decimal_append(const pgdbm_decimal *decimal, struct pgdbm__buffer *out)
{
    char data[HEADER_BYTES + 2 * DECIMAL_GROUPS];
    uint16_t groups[DECIMAL_GROUPS]; /* the lowest first */
    magnitude value = get_magnitude(decimal);
    int32_t behind = (decimal->scale + 3) / 4; /* the point */
    uint32_t partial = (uint32_t)decimal->scale % 4;
    int32_t zeros = 0;
    int32_t count = 0;
    if (partial > 0) {
        groups[count++] = (uint16_t)((uint32_t)(value % powers[partial]) * powers[4 - partial]);
        value /= powers[partial];
    }
    for (; value > 0; value /= 10000)
        groups[count++] = (uint16_t)(value % 10000);
    while (count > 0 && groups[count - 1] == 0)
        count--;
    while (zeros < count && groups[zeros] == 0)
        zeros++;
    put_header(data, count - zeros, count > 0 ? count - 1 - behind : 0, decimal->high < 0 ? NEGATIVE : 0,
               decimal->scale);
    char *at = data + HEADER_BYTES;
    for (int32_t i = count - 1; i >= zeros; i--)
        at = pgdbm__put_uint16(at, groups[i]);
    pgdbm__buffer_append(out, data, (size_t)(at - data));
}

bool pgdbm__decimal_scan(const char *text, size_t bytes, pgdbm_decimal *decimal)
{
    struct digits digits;
    magnitude value = 0;
    if (!scan_digits(text, bytes, &digits))
        return false;
    for (size_t i = 0; i < digits.n_integer + digits.n_fraction; i++)
        if (!multiply_add(&value, 10, (uint32_t)digit(&digits, (ptrdiff_t)i)))
            return false;
    return put_decimal(value, digits.negative, (int32_t)digits.n_fraction, decimal);
}

/* Into a text of any size, since a scale may be thousands of zeros: each character is found by its place. */
size_t pgdbm_decimal_format(pgdbm_decimal decimal, char *text, size_t bytes)
{
    char digits[DECIMAL_DIGITS]; /* the lowest first */
    size_t scale = (size_t)decimal.scale;
    size_t count = 0;
    size_t length = 0;
    size_t i = 0;
    bool negative = decimal.high < 0;
    for (magnitude value = get_magnitude(&decimal); value > 0; value /= 10)
        digits[count++] = (char)('0' + (int)(value % 10));
    if (scale <= MOST_DECIMALS)
        length = negative + (count > scale ? count : scale + 1) + (scale > 0);
    if (text == NULL || bytes == 0)
        return length;
    for (; i < length && i + 1 < bytes; i++) {
        size_t place = length - 1 - i; /* from the end; a point stands at `scale` */
        size_t nth = place - (scale > 0 && place > scale);
        text[i] = '0';
        if (negative && i == 0)
            text[i] = '-';
        else if (scale > 0 && place == scale)
            text[i] = '.';
        else if (nth < count)
            text[i] = digits[nth];
    }
    text[i] = '\0';
    return length;
}
