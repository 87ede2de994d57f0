/* SPDX-License-Identifier: MIT */
/* File names of migrations. No state, any thread. */
#include "migrate/name.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t count_digits(const char *text)
{
    size_t count = 0;
    while (is_digit(text[count]))
        count++;
    return count;
}

static int two_digits(const char *text)
{
    return (text[0] - '0') * 10 + (text[1] - '0');
}

/* "20251025_143022_name.sql", as the Python pgdbm writes new files: all files of a day would have one number otherwise.
 */
static bool is_date_and_time(const char *text, size_t digits)
{
    if (digits != 8 || text[8] != '_' || count_digits(text + 9) != 6 || text[15] != '_')
        return false;
    int century = two_digits(text);
    int month = two_digits(text + 4);
    int day = two_digits(text + 6);
    return century >= 19 && century <= 29 && month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
           two_digits(text + 9) <= 23 && two_digits(text + 11) <= 59 && two_digits(text + 13) <= 60;
}

bool pgdbm__migration_name_is_sql(const char *filename)
{
    size_t length = strlen(filename);
    return length >= 4 && strcasecmp(filename + length - 4, ".sql") == 0;
}

/* The number that a versioned name begins with: where it is, and where the name goes on behind the separator. NULL when
 * there is none. */
static const char *read_number(const char *filename, struct pgdbm__migration_name *name)
{
    const char *separator = "_";
    const char *at = filename;
    if (*at == 'V') {
        separator = "__";
        at++;
    }
    size_t digits = count_digits(at);
    if (digits == 0)
        return NULL;
    name->version = at;
    name->version_bytes = at == filename && is_date_and_time(at, digits) ? 15 : digits;
    at += name->version_bytes;
    return strncmp(at, separator, strlen(separator)) == 0 ? at + strlen(separator) : NULL;
}

bool pgdbm__migration_name_parse(const char *filename, struct pgdbm__migration_name *name)
{
    static const char down[] = ".down";
    *name = (struct pgdbm__migration_name){.version = ""};
    name->repeatable = strncmp(filename, "R__", 3) == 0;
    const char *title = name->repeatable ? filename + 3 : read_number(filename, name);
    size_t left = title != NULL ? strlen(title) : 0;
    if (left <= 4 || strcmp(title + left - 4, ".sql") != 0)
        return false;
    left -= 4;
    if (left >= sizeof down - 1 && strncasecmp(title + left - (sizeof down - 1), down, sizeof down - 1) == 0) {
        left -= sizeof down - 1;
        name->down = true;
        if (memcmp(title + left, down, sizeof down - 1) != 0)
            return false; /* .Down.sql taken for a migration would undo what was just done */
    }
    name->stem_bytes = (size_t)(title - filename) + left;
    return left > 0;
}

/* The next digit of a version, skipping the underscore; '\0' at the end. */
static char next_digit(const char **version)
{
    while (**version == '_')
        (*version)++;
    return **version != '\0' ? *(*version)++ : '\0';
}

static const char *skip_zeros(const char *version)
{
    while (*version == '0' || *version == '_')
        version++;
    return version;
}

static size_t significant_digits(const char *version)
{
    size_t count = 0;
    while (next_digit(&version) != '\0')
        count++;
    return count;
}

int pgdbm__migration_version_compare(const char *a, const char *b)
{
    a = skip_zeros(a);
    b = skip_zeros(b);
    size_t a_digits = significant_digits(a);
    size_t b_digits = significant_digits(b);
    if (a_digits != b_digits)
        return a_digits < b_digits ? -1 : 1;
    for (;;) {
        char x = next_digit(&a);
        char y = next_digit(&b);
        if (x != y)
            return x < y ? -1 : 1;
        if (x == '\0')
            return 0;
    }
}

pgdbm_status pgdbm__migration_module_name(const char *module, const char *schema,
                                          char recorded[PGDBM__MODULE_LIMIT + 1], pgdbm_error *err)
{
    if (module == NULL || module[0] == '\0') {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "migrations need a module name");
        pgdbm__error_hint(err, "set .module: without it, two modules in one schema would take each other's "
                               "migrations for their own");
        return PGDBM_ERR_CONFIG;
    }
    int length = schema != NULL ? snprintf(recorded, PGDBM__MODULE_LIMIT + 1, "%s_%s", module, schema)
                                : snprintf(recorded, PGDBM__MODULE_LIMIT + 1, "%s", module);
    if (length < 0 || length > PGDBM__MODULE_LIMIT) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG,
                    "module name %.60s..., with its schema if it has one, has %d bytes; the history holds %d", module,
                    length, PGDBM__MODULE_LIMIT);
        pgdbm__error_hint(err, "choose a shorter module name");
        return PGDBM_ERR_CONFIG;
    }
    return PGDBM_OK;
}
