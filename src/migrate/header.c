/* SPDX-License-Identifier: MIT */
/* Directives and the down line. What counts as a comment is for the scanner to say, so that nothing inside of a string, a
 * dollar-quoted body or a block comment is ever taken for one. No state, any thread. */
#include "migrate/header.h"

#include "base/alloc.h"
#include "base/error.h"
#include "migrate/name.h"
#include "migrate/text.h"
#include "sql/report.h"
#include "sql/scan.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static const char directives[] = "there are -- pgdbm:no-transaction, -- pgdbm:lock-timeout 2s (ms, s, min, or off) and "
                                 "-- pgdbm:requires users >= 12 before "
                                 "the first statement, and -- pgdbm:down alone on its line";

/* A piece of a line. */
struct span {
    const char *at, *end;
};

/* What lies between two tokens: white space and comments. */
struct gap {
    const char *text;
    size_t at, end;
    size_t comment;       /* where the last directive's comment begins */
    size_t line_at, line; /* the line of an offset that was passed */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f' || c == '\v';
}

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

static struct span trimmed(struct span span)
{
    while (span.at < span.end && is_blank(*span.at))
        span.at++;
    while (span.end > span.at && is_blank(span.end[-1]))
        span.end--;
    return span;
}

static bool takes(struct span *span, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(span->end - span->at) < length || strncasecmp(span->at, word, length) != 0)
        return false;
    span->at += length;
    return true;
}

/* Whether the directive is this one; then the span is what stands behind its name. */
static bool is_directive(struct span *span, const char *name)
{
    struct span rest = *span;
    if (!takes(&rest, name) || (rest.at < rest.end && !is_blank(*rest.at)))
        return false;
    *span = trimmed(rest);
    return true;
}

/* From behind the opening of a block comment to behind its end; they nest, and the gap has the end. */
static void pass_block_comment(struct gap *gap)
{
    size_t depth = 0;
    do {
        char next = gap->at + 1 < gap->end ? gap->text[gap->at + 1] : '\0';
        bool opens = gap->text[gap->at] == '/' && next == '*';
        bool closes = gap->text[gap->at] == '*' && next == '/';
        depth += opens ? 1 : 0;
        depth -= closes ? 1 : 0;
        gap->at += opens || closes ? 2 : 1;
    } while (depth > 0 && gap->at < gap->end);
}

/* The next comment of the form `-- pgdbm:...`: what stands behind the colon. The gap is at the end of its line. */
static bool next_directive(struct gap *gap, struct span *directive)
{
    while (gap->at < gap->end) {
        char c = gap->text[gap->at];
        if (c == '/')
            pass_block_comment(gap);
        else if (c != '-')
            gap->at++;
        else {
            const char *begin = gap->text + gap->at + 2;
            gap->comment = gap->at;
            while (gap->at < gap->end && !is_line_end(gap->text[gap->at]))
                gap->at++;
            *directive = trimmed((struct span){begin, gap->text + gap->at});
            if (takes(directive, "pgdbm:"))
                return true;
        }
    }
    return false;
}

/* The line of the gap's place. */
static size_t line_of(struct gap *gap)
{
    for (; gap->line_at < gap->at; gap->line_at++)
        if (gap->text[gap->line_at] == '\n' || (gap->text[gap->line_at] == '\r' && gap->text[gap->line_at + 1] != '\n'))
            gap->line++;
    return gap->line;
}

static pgdbm_status refuse(const char *filename, size_t line, struct span directive, const char *fault,
                           pgdbm_error *err)
{
    char shown[96];
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s, line %zu: \"pgdbm:%s\" %s", filename, line,
                pgdbm__printable(directive.at, (size_t)(directive.end - directive.at), shown, sizeof shown), fault);
    pgdbm__error_hint(err, "%s", directives);
    return PGDBM_ERR_MIGRATION;
}

/* 2s, 500ms, 1min, off; 0 when it is none of these. */
static int read_duration(struct span text)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}};
    int64_t value = 0;
    if (is_directive(&text, "off"))
        return text.at == text.end ? -1 : 0;
    for (; text.at < text.end && *text.at >= '0' && *text.at <= '9' && value <= INT_MAX; text.at++)
        value = value * 10 + (*text.at - '0');
    text = trimmed(text);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if ((size_t)(text.end - text.at) == strlen(units[i].unit) &&
            memcmp(text.at, units[i].unit, strlen(units[i].unit)) == 0)
            return value <= INT_MAX / units[i].ms ? (int)(value * units[i].ms) : 0;
    return 0;
}

static bool is_version(struct span text)
{
    bool digit = text.at < text.end && *text.at != '_';
    for (; digit && text.at < text.end; text.at++)
        digit = (*text.at >= '0' && *text.at <= '9') || *text.at == '_';
    return digit;
}

/* "users >= 12" */
static bool read_requirement(struct span text, struct span *module, struct span *version)
{
    const char *sign = text.at;
    while (text.end - sign >= 2 && memcmp(sign, ">=", 2) != 0)
        sign++;
    if (text.end - sign < 2)
        return false;
    *module = trimmed((struct span){text.at, sign});
    *version = trimmed((struct span){sign + 2, text.end});
    for (const char *at = module->at; at < module->end; at++)
        if (is_blank(*at))
            return false;
    return module->at < module->end && module->end - module->at <= PGDBM__MODULE_LIMIT && is_version(*version);
}

static bool add_requirement(struct pgdbm__migration_header *header, struct span module, struct span version,
                            size_t line)
{
    /* A power of two is the capacity. */
    if ((header->n_requires & (header->n_requires - 1)) == 0) {
        size_t capacity = header->n_requires > 0 ? header->n_requires * 2 : 1;
        struct pgdbm__migration_requirement *requires =
            capacity > SIZE_MAX / sizeof *requires ? NULL
                                                   : pgdbm__realloc(header->requires, capacity * sizeof *requires);
        if (requires == NULL)
            return false;
        header->requires = requires;
    }
    struct pgdbm__migration_requirement *added = &header->requires[header->n_requires++];
    added->module = pgdbm__memdup(module.at, (size_t)(module.end - module.at));
    added->version = pgdbm__memdup(version.at, (size_t)(version.end - version.at));
    added->line = line;
    return added->module != NULL && added->version != NULL;
}

/* Takes one directive in; what is wrong with it, or NULL. */
static const char *read_directive(struct pgdbm__migration_header *header, struct span directive, size_t line,
                                  bool *no_memory)
{
    struct span module, version;
    if (is_directive(&directive, "no-transaction")) {
        header->no_transaction = true;
        return directive.at < directive.end ? "has something behind it" : NULL;
    }
    if (is_directive(&directive, "lock-timeout")) {
        if (header->lock_timeout_ms != 0)
            return "is there twice";
        header->lock_timeout_ms = read_duration(directive);
        return header->lock_timeout_ms == 0 ? "is no time that is understood" : NULL;
    }
    if (is_directive(&directive, "requires")) {
        if (!read_requirement(directive, &module, &version))
            return "is no requirement that is understood";
        *no_memory = !add_requirement(header, module, version, line);
        return NULL;
    }
    return "is no directive that is known";
}

pgdbm_status pgdbm__migration_header_read(const struct pgdbm__script_source *source,
                                          struct pgdbm__migration_header *header, pgdbm_error *err)
{
    struct pgdbm__scanner scanner = {.text = source->text, .bytes = source->bytes};
    struct pgdbm__token first;
    struct span directive;
    scanner.offset = pgdbm__text_bom(source->text, source->bytes);
    struct gap gap = {
        .text = source->text, .at = scanner.offset, .line = source->first_line > 0 ? source->first_line : 1};
    pgdbm__scan_next(&scanner, &first);
    gap.end = first.offset;
    while (next_directive(&gap, &directive)) {
        bool no_memory = false;
        size_t line = line_of(&gap);
        const char *fault = read_directive(header, directive, line, &no_memory);
        if (no_memory)
            return pgdbm__fail_nomem(err, "reading a migration");
        if (fault == NULL && source->down && (header->no_transaction || header->n_requires > 0))
            fault = "has no place in a down part, which is always one transaction";
        if (fault != NULL)
            return refuse(source->filename, line, directive, fault, err);
    }
    return PGDBM_OK;
}

void pgdbm__migration_header_free(struct pgdbm__migration_header *header)
{
    for (size_t i = 0; i < header->n_requires; i++) {
        pgdbm__free(header->requires[i].module);
        pgdbm__free(header->requires[i].version);
    }
    pgdbm__free(header->requires);
    *header = (struct pgdbm__migration_header){0};
}

/* Where the line of the comment begins, if nothing but white space stands before it there. */
static bool is_alone(const struct gap *gap, size_t bom, size_t *begin)
{
    *begin = gap->comment;
    while (*begin > bom && is_blank(gap->text[*begin - 1]))
        (*begin)--;
    return *begin == bom || is_line_end(gap->text[*begin - 1]);
}

/* Divides at the line that begins at `begin`, and at whose end the gap is. */
static void divide_at(struct pgdbm__script_source *up, struct pgdbm__script_source *down, size_t begin, struct gap *gap)
{
    size_t end = gap->at;
    size_t bytes = up->bytes;
    if (end < bytes)
        end += gap->text[end] == '\r' && end + 1 < bytes && gap->text[end + 1] == '\n' ? 2 : 1;
    down->text = up->text + end;
    down->bytes = bytes - end;
    down->first_line = line_of(gap) + 1;
    up->bytes = begin;
}

pgdbm_status pgdbm__migration_divide(const char *filename, const char *text, size_t bytes,
                                     struct pgdbm__script_source *up, struct pgdbm__script_source *down,
                                     pgdbm_error *err)
{
    size_t bom = pgdbm__text_bom(text, bytes);
    struct pgdbm__scanner scanner = {.text = text, .bytes = bytes, .offset = bom};
    struct gap gap = {.text = text, .at = bom, .line = 1};
    struct pgdbm__token token;
    *up = (struct pgdbm__script_source){.filename = filename, .text = text, .bytes = bytes, .first_line = 1};
    *down = (struct pgdbm__script_source){.filename = filename, .down = true};
    do {
        struct span directive;
        size_t begin;
        pgdbm__scan_next(&scanner, &token);
        gap.end = token.offset;
        while (next_directive(&gap, &directive)) {
            struct span rest = directive;
            if (!is_directive(&rest, "down"))
                continue;
            if (rest.at < rest.end)
                return refuse(filename, line_of(&gap), directive, "has something behind it", err);
            if (down->text != NULL)
                return refuse(filename, line_of(&gap), directive, "is there twice", err);
            if (!is_alone(&gap, bom, &begin))
                return refuse(filename, line_of(&gap), directive, "does not stand alone on its line", err);
            divide_at(up, down, begin, &gap);
        }
        gap.at = token.offset + token.bytes;
    } while (token.kind != PGDBM__TOKEN_END && token.kind < PGDBM__TOKEN_OPEN_STRING);
    return PGDBM_OK;
}
