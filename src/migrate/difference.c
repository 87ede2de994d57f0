/* SPDX-License-Identifier: MIT */
/* The first difference of two texts. No state, any thread. */
#include "migrate/difference.h"

#include "migrate/text.h"
#include "sql/report.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    LOOK_AHEAD = 32, /* lines of either text among which they are looked for that both have again */
    SHOWN = 88,      /* bytes of a line, with its sign */
    LEAST = 24,      /* bytes that a line needs, shortened */
    KEPT = 24        /* bytes that are shown of what two long lines have in common before they differ */
};

struct line {
    const char *at;
    size_t bytes;
};

/* Lines ahead of a place in a text. */
struct ahead {
    struct line lines[LOOK_AHEAD];
    size_t n;
    bool all; /* the text ends behind them */
};

struct output {
    char *text;
    size_t bytes, used;
};

/* Takes the next line off the text; false at its end. */
static bool take_line(struct line *rest, struct line *line)
{
    if (rest->bytes == 0)
        return false;
    *line = (struct line){rest->at, 0};
    while (line->bytes < rest->bytes && line->at[line->bytes] != '\n' && line->at[line->bytes] != '\r')
        line->bytes++;
    size_t taken = line->bytes;
    if (taken < rest->bytes)
        taken += rest->at[taken] == '\r' && taken + 1 < rest->bytes && rest->at[taken + 1] == '\n' ? 2 : 1;
    rest->at += taken;
    rest->bytes -= taken;
    return true;
}

static bool alike(const struct line *a, const struct line *b)
{
    return a->bytes == b->bytes && memcmp(a->at, b->at, a->bytes) == 0;
}

static void look_ahead(struct line rest, struct ahead *ahead)
{
    while (ahead->n < LOOK_AHEAD && take_line(&rest, &ahead->lines[ahead->n]))
        ahead->n++;
    ahead->all = rest.bytes == 0;
}

/* How many lines of each text differ until both go on alike; all that are known, when they do not within sight. */
static void find_end(const struct ahead *before, const struct ahead *now, size_t *removed, size_t *added)
{
    for (size_t sum = 1; sum < before->n + now->n; sum++)
        for (size_t i = sum < now->n ? 0 : sum - now->n + 1; i <= sum && i < before->n; i++)
            if (sum - i < now->n && before->lines[i].bytes > 0 && alike(&before->lines[i], &now->lines[sum - i])) {
                *removed = i;
                *added = sum - i;
                return;
            }
    *removed = before->n;
    *added = now->n;
}

static void append(struct output *output, char sign, struct line line, size_t limit)
{
    if (limit > output->bytes - output->used)
        limit = output->bytes - output->used;
    if (limit < LEAST)
        return;
    char *out = output->text + output->used;
    out[0] = sign;
    out[1] = ' ';
    pgdbm__printable(line.at, line.bytes, out + 2, limit - 3);
    output->used += strlen(out);
    output->text[output->used++] = '\n';
    output->text[output->used] = '\0';
}

/* Lines of one side, in at most `room` bytes. */
static void append_lines(struct output *output, char sign, const struct line *lines, size_t n, bool more, size_t room)
{
    static const struct line ellipsis = {"\xE2\x80\xA6", 3};
    size_t end = output->used + room;
    for (size_t i = 0; i < n; i++) {
        bool last = i + 1 == n && !more;
        size_t left = end > output->used ? end - output->used : 0;
        if (left < LEAST + (last ? 0 : LEAST)) {
            append(output, sign, ellipsis, LEAST);
            return;
        }
        append(output, sign, lines[i], left - (last ? 0 : LEAST) < SHOWN ? left - (last ? 0 : LEAST) : SHOWN);
    }
    if (more && n > 0)
        append(output, sign, ellipsis, LEAST);
}

/* Where two long lines differ only behind what would be shown of them, leaves out most of what they have in common. */
static void leave_out_beginning(struct line *a, struct line *b)
{
    size_t same = 0;
    while (same < a->bytes && same < b->bytes && a->at[same] == b->at[same])
        same++;
    if (same < SHOWN / 2)
        return;
    size_t begin = same - KEPT;
    while (begin > 0 && ((unsigned char)a->at[begin] & 0xC0) == 0x80)
        begin--;
    *a = (struct line){a->at + begin, a->bytes - begin};
    *b = (struct line){b->at + begin, b->bytes - begin};
}

const char *pgdbm__text_difference(const char *before, size_t before_bytes, const char *now, size_t now_bytes,
                                   char *out, size_t out_bytes)
{
    struct output output = {out, out_bytes, 0};
    struct line old = {before, before_bytes};
    struct line new = {now, now_bytes};
    struct line a, b, common = {0};
    struct ahead removed = {0}, added = {0};
    size_t n_removed, n_added, same = 0;
    out[0] = '\0';
    pgdbm__text_strip(&old.at, &old.bytes);
    pgdbm__text_strip(&new.at, &new.bytes);
    size_t line = pgdbm__place_of(now, now_bytes, (size_t)(new.at - now)).line;
    struct line old_rest = old, new_rest = new;
    while (take_line(&old_rest, &a) && take_line(&new_rest, &b) && alike(&a, &b)) {
        old = old_rest;
        new = new_rest;
        common = a;
        same++;
    }
    look_ahead(old, &removed);
    look_ahead(new, &added);
    if (removed.n == 0 && added.n == 0)
        return out;
    find_end(&removed, &added, &n_removed, &n_added);
    const struct line *next = n_added < added.n ? &added.lines[n_added] : NULL;
    struct line after = next != NULL ? *next : (struct line){0};
    output.used = (size_t)snprintf(out, out_bytes, "line %zu:\n", line + same);
    if (same > 0)
        append(&output, ' ', common, SHOWN);
    if (n_removed > 0 && n_added > 0)
        leave_out_beginning(&removed.lines[0], &added.lines[0]);
    size_t room = output.bytes - output.used;
    append_lines(&output, '-', removed.lines, n_removed, n_removed == removed.n && !removed.all,
                 n_added > 0 ? room / 2 : room);
    append_lines(&output, '+', added.lines, n_added, n_added == added.n && !added.all, output.bytes - output.used);
    if (next != NULL)
        append(&output, ' ', after, SHOWN);
    out[output.used - 1] = '\0';
    return out;
}
