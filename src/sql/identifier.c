/* SPDX-License-Identifier: MIT */
/* Names: checked and folded. No state; any thread. */
#include "sql/identifier.h"

#include "base/error.h"
#include "sql/report.h"

#include <stdbool.h>

/* Not <ctype.h>: its answers change with the locale. */
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *character_fault(char c)
{
    switch (c) {
    case '"':
    case '\'':
    case '`':
        return "has a quote in it; give the bare name, pgdbm quotes it itself";
    case '.':
        return "has a dot in it; schema and table are given separately";
    case ' ':
    case '\t':
    case '\n':
    case '\r':
    case '\f':
    case '\v':
        return "has white space in it";
    case '\0':
        return "has a NUL byte in it";
    case '-':
        return "has a hyphen in it; write an underscore";
    default:
        break;
    }
    if ((unsigned char)c >= 0x80)
        return "has a character in it that is not ASCII";
    return "has a character in it that is no letter, digit or underscore";
}

const char *pgdbm__identifier_fault(const char *name, size_t bytes)
{
    if (bytes == 0)
        return "is empty";
    if (bytes >= PGDBM__IDENTIFIER_BYTES)
        return "is longer than 63 bytes";
    if (is_digit(name[0]))
        return "begins with a digit";
    for (size_t i = 0; i < bytes; i++)
        if (!is_letter(name[i]) && !is_digit(name[i]) && name[i] != '_')
            return character_fault(name[i]);
    return NULL;
}

pgdbm_status pgdbm__identifier_fold(const char *name, size_t bytes, const char *what,
                                    char folded[PGDBM__IDENTIFIER_BYTES], pgdbm_error *err)
{
    const char *fault = pgdbm__identifier_fault(name, bytes);
    if (fault != NULL) {
        char shown[80];
        pgdbm__fail(err, PGDBM_ERR_SCHEMA, "%s name \"%s\" %s", what,
                    pgdbm__printable(name, bytes, shown, sizeof shown), fault);
        pgdbm__error_hint(err, "%s", PGDBM__IDENTIFIER_RULE);
        return PGDBM_ERR_SCHEMA;
    }
    for (size_t i = 0; i < bytes; i++)
        folded[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
    folded[bytes] = '\0';
    return PGDBM_OK;
}
