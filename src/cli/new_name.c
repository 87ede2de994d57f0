/* SPDX-License-Identifier: MIT */
/* Which names `pgdbm new` takes, and the identifier that is made of one. Pure, but for what is said. */
#include "new.h"

#include "output.h"

#include <ctype.h>
#include <string.h>

/* Names that would compile to something else, or be in the way of somebody: they are prefixes of functions, names of a schema,
 * of targets, of a library. */
static const char *const reserved_of_sql[] = {
    "all",        "analyse",  "analyze",
    "and",        "any",      "array",
    "as",         "asc",      "between",
    "both",       "case",     "cast",
    "check",      "collate",  "column",
    "create",     "cross",    "default",
    "deferrable", "desc",     "do",
    "else",       "end",      "except",
    "false",      "fetch",    "for",
    "foreign",    "freeze",   "from",
    "full",       "grant",    "group",
    "having",     "ilike",    "in",
    "initially",  "inner",    "into",
    "is",         "isnull",   "join",
    "lateral",    "leading",  "left",
    "like",       "limit",    "natural",
    "not",        "notnull",  "null",
    "offset",     "on",       "only",
    "or",         "order",    "outer",
    "primary",    "right",    "references",
    "select",     "similar",  "some",
    "symmetric",  "table",    "then",
    "to",         "trailing", "true",
    "union",      "unique",   "user",
    "using",      "variadic", "verbose",
    "when",       "where",    "window",
    "with",       "public",   "information_schema",
    NULL,
};
static const char *const reserved_of_c[] = {
    "auto",   "break",  "char",     "class",     "const",    "continue", "delete",  "double",   "enum",
    "extern", "float",  "goto",     "if",        "inline",   "int",      "long",    "main",     "namespace",
    "new",    "public", "private",  "protected", "register", "restrict", "return",  "short",    "signed",
    "sizeof", "static", "struct",   "switch",    "template", "this",     "typedef", "typename", "unsigned",
    "union",  "void",   "volatile", "while",     NULL,
};
static const char *const reserved_of_build[] = {
    "c",          "clean", "cmocka",  "crypto",        "dl",
    "edit_cache", "help",  "install", "ldap",          "libpq",
    "m",          "mq",    "none",    "package",       "package_source",
    "postgres",   "pq",    "pthread", "rebuild_cache", "rt",
    "sem",        "shm",   "ssl",     "test",          "uninstall",
    NULL,
};

static bool is_among(const char *word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

static const char *whose(const char *word)
{
    if (is_among(word, reserved_of_sql))
        return "SQL";
    if (is_among(word, reserved_of_c))
        return "C";
    if (is_among(word, reserved_of_build))
        return "the build";
    if (strncmp(word, "pg_", 3) == 0)
        return "PostgreSQL";
    return strncmp(word, "pgdbm", 5) == 0 ? "pgdbm" : NULL;
}

static bool refuse(const char *hint, const char *given, const char *why)
{
    pgdbm__cli_say_error(hint, "new: %.60s cannot be a project's name: %s", given, why);
    return false;
}

bool pgdbm__cli_new_identifier(const char *given, char identifier[CLI_NEW_NAME_BYTES])
{
    static const char letters[] = "letters, digits, - and _, a letter first: my-service";
    size_t bytes = strlen(given);
    if (strchr(given, '/') != NULL)
        return refuse("--dir says where it goes: pgdbm new standalone my-service --dir path/to/my-service", given,
                      "it is a path");
    if (!isalpha((unsigned char)given[0]))
        return refuse(letters, given, "it does not begin with a letter");
    if (bytes >= CLI_NEW_NAME_BYTES)
        return refuse("40 letters at most: the schema is called so, and tables and indexes have to be added", given,
                      "it is too long");
    for (size_t i = 0; i <= bytes; i++) {
        unsigned char c = (unsigned char)given[i];
        if (c != '\0' && c != '-' && c != '_' && (c > 127 || !isalnum(c)))
            return refuse(letters, given, "it has other characters");
        identifier[i] = c == '-' ? '_' : (char)tolower(c);
    }
    const char *owner = whose(identifier);
    if (owner == NULL)
        return true;
    char hint[128];
    snprintf(hint, sizeof hint, "add a word: %s-service", strncmp(identifier, "pg", 2) == 0 ? "my" : given);
    pgdbm__cli_say_error(hint, "new: %.60s cannot be a project's name: it means something to %s", given, owner);
    return false;
}
