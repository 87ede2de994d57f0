/* SPDX-License-Identifier: MIT */
/* Showing rows that differ to a person, in little room: an error has 512 bytes for it. Pure. */
#include "base/error.h"
#include "sql/report.h"
#include "testkit/data.h"

#include <stdio.h>
#include <string.h>

#define CELL_BYTES 40
#define LINES 24
#define COLUMNS 24
#define WIDE 110 /* characters of a line that is still read at a glance */
#define LEAD 8   /* characters shown before a difference */

/* Whether the text as it is would be read as something else: NULL, nothing, a border. */
static bool needs_quotes(const char *cell)
{
    size_t bytes = strlen(cell);
    return bytes == 0 || cell[0] == '\'' || cell[0] == ' ' || cell[bytes - 1] == ' ' || strpbrk(cell, "|\n\r\t") ||
           strcmp(cell, "NULL") == 0;
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static const char *show_from(const char *cell, size_t offset, char *out, size_t out_bytes)
{
    char value[CELL_BYTES];
    if (cell == NULL)
        snprintf(out, out_bytes, "NULL");
    else {
        pgdbm__printable(cell + offset, strlen(cell + offset), value, sizeof value);
        const char *quote = needs_quotes(cell) ? "'" : "";
        snprintf(out, out_bytes, "%s%s%s%s", quote, offset > 0 ? "\xE2\x80\xA6" : "", value, quote);
    }
    return out;
}

const char *pgdbm__show_cell(const char *cell, const char *other, char *out, size_t out_bytes)
{
    char beside[2 * CELL_BYTES];
    show_from(cell, 0, out, out_bytes);
    if (cell == NULL || other == NULL || strcmp(cell, other) == 0 ||
        strcmp(out, show_from(other, 0, beside, sizeof beside)) != 0)
        return out;
    size_t differs = 0;
    while (cell[differs] != '\0' && cell[differs] == other[differs])
        differs++;
    size_t from = differs > LEAD ? differs - LEAD : 0;
    while (from > 0 && ((unsigned char)cell[from] & 0xC0) == 0x80)
        from--;
    return show_from(cell, from, out, out_bytes);
}

struct page {
    const char *const *names;
    size_t n_columns;
    const struct pgdbm__line *lines;
    size_t n_lines; /* shown */
    size_t n_chosen;
    size_t chosen[COLUMNS], widths[COLUMNS];
};

static const char *show_of(const struct page *page, size_t line, size_t column, char *out, size_t out_bytes)
{
    const struct pgdbm__line *at = &page->lines[line];
    return pgdbm__show_cell(at->cells[column], at->other != NULL ? at->other[column] : NULL, out, out_bytes);
}

static size_t width_of(const struct page *page, size_t column)
{
    char cell[2 * CELL_BYTES];
    size_t width = characters(page->names[column]);
    for (size_t i = 0; i < page->n_lines; i++) {
        size_t needs = characters(show_of(page, i, column, cell, sizeof cell));
        width = needs > width ? needs : width;
    }
    return width;
}

/* Whether the column tells a row from its other version. */
static bool differs(const struct page *page, size_t column)
{
    for (size_t i = 0; i < page->n_lines; i++)
        if (page->lines[i].other != NULL &&
            !pgdbm__same_text(page->lines[i].cells[column], page->lines[i].other[column]))
            return true;
    return false;
}

/* Chooses all columns, or the first and those that differ. Returns how wide that is. */
static size_t choose(struct page *page, bool all)
{
    size_t width = 0;
    page->n_chosen = 0;
    for (size_t i = 0; i < page->n_columns && page->n_chosen < COLUMNS; i++)
        if (all || i == 0 || differs(page, i)) {
            page->chosen[page->n_chosen] = i;
            page->widths[page->n_chosen] = width_of(page, i);
            width += page->widths[page->n_chosen++] + 3;
        }
    return width;
}

static void write_line(const struct page *page, size_t line, bool head, struct pgdbm__buffer *out)
{
    char cell[2 * CELL_BYTES];
    size_t n_written = page->n_chosen + (page->n_chosen < page->n_columns); /* and an ellipsis */
    pgdbm__buffer_format(out, "%c ", head ? ' ' : page->lines[line].sign);
    for (size_t i = 0; i < page->n_chosen; i++) {
        size_t column = page->chosen[i];
        const char *shown = head ? page->names[column] : show_of(page, line, column, cell, sizeof cell);
        pgdbm__buffer_format(out, "%s%s", i > 0 ? " | " : "", shown);
        for (size_t pad = characters(shown); i + 1 < n_written && pad < page->widths[i]; pad++)
            pgdbm__buffer_text(out, " ");
    }
    pgdbm__buffer_text(out, n_written > page->n_chosen ? " | \xE2\x80\xA6\n" : "\n");
}

static void write_page(struct page *page, size_t n_all, struct pgdbm__buffer *out)
{
    bool paired = false;
    for (size_t i = 0; i < page->n_lines; i++)
        paired = paired || page->lines[i].other != NULL;
    if ((choose(page, true) > WIDE || page->n_chosen < page->n_columns) && paired)
        choose(page, false);
    write_line(page, 0, true, out);
    for (size_t i = 0; i < page->n_lines; i++)
        write_line(page, i, false, out);
    if (page->n_lines < n_all)
        pgdbm__buffer_format(out, "\xE2\x80\xA6 and %zu more", n_all - page->n_lines);
    else if (out->length > 0)
        out->length--; /* the last line's end */
}

void pgdbm__show_lines(const char *const *names, size_t n_columns, const struct pgdbm__line *lines, size_t n_lines,
                       char *out, size_t out_bytes)
{
    struct page page = {.names = names, .n_columns = n_columns, .lines = lines};
    page.n_lines = n_lines < LINES ? n_lines : LINES;
    out[0] = '\0';
    for (bool fits = false; !fits && page.n_lines > 0; page.n_lines--) {
        struct pgdbm__buffer text = {0};
        write_page(&page, n_lines, &text);
        fits = !text.failed && (text.length < out_bytes || page.n_lines == 1);
        if (fits)
            pgdbm__copy_text(out, out_bytes, text.data, text.length);
        pgdbm__buffer_free(&text);
    }
}
