/* SPDX-License-Identifier: MIT */
/* The place of an error, found in its message, and its line, found in the file. The file may be another by now, and anything at
 * all: what is printed of it is short and does nothing to a terminal. No state. */
#include "sql_error.h"

#include "output.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_BYTES = 256,
    BEFORE = 60, /* characters of the line that are shown, before the place and from it on */
    BEHIND = 60,
};

struct place {
    char file[NAME_BYTES];
    unsigned long line, column; /* from 1; characters */
};

/* "FILE.sql:3:8: ..." and "migration FILE.sql, line 3, column 8: ...", as the library writes them. */
static bool find_place(const char *message, struct place *place)
{
    static const char word[] = "migration ";
    if (strncmp(message, word, sizeof word - 1) == 0)
        message += sizeof word - 1;
    for (const char *end = strstr(message, ".sql"); end != NULL; end = strstr(end + 1, ".sql")) {
        size_t bytes = (size_t)(end - message) + strlen(".sql");
        const char *rest = message + bytes;
        int read = 0;
        if (sscanf(rest, ":%9lu:%9lu:%n", &place->line, &place->column, &read) != 2 || read == 0) {
            read = 0;
            if (sscanf(rest, ", line %9lu, column %9lu:%n", &place->line, &place->column, &read) != 2 || read == 0)
                continue;
        }
        if (bytes >= sizeof place->file || place->line == 0 || place->column == 0)
            return false;
        memcpy(place->file, message, bytes);
        place->file[bytes] = '\0';
        return strchr(place->file, '/') == NULL;
    }
    return false;
}

static FILE *open_file(const char *directory, const char *name)
{
    char *path = NULL;
    struct stat status;
    FILE *file = NULL;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return NULL;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    free(path);
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        file = fdopen(fd, "r");
    if (file == NULL && fd >= 0)
        close(fd);
    return file;
}

static bool skip_lines(FILE *file, unsigned long lines)
{
    int c = 0;
    while (lines > 0 && (c = getc(file)) != EOF)
        lines -= c == '\n';
    return lines == 0;
}

static bool continues(int c)
{
    return (c & 0xC0) == 0x80;
}

/* What of the line is near the place: the text into `out`, how many characters stand before it into `*before`. False: the line is
 * not as long. */
static bool print_line(FILE *file, unsigned long column, FILE *out, unsigned long *before)
{
    enum { MOST_BYTES = 4 }; /* of a character */
    char text[(BEFORE + BEHIND) * MOST_BYTES];
    size_t bytes = 0;
    unsigned long at = 0; /* the character, from 1 */
    unsigned long first = column > BEFORE ? column - BEFORE : 1;
    unsigned long end = column + BEHIND;
    int c;
    while ((c = getc(file)) != EOF && c != '\n' && c != '\r') {
        at += !continues(c);
        if (at == end)
            break;
        if (at >= first && bytes < sizeof text)
            text[bytes++] = (char)(c == '\t' ? ' ' : c);
    }
    *before = column - first + (first > 1 ? 3 : 0);
    fputs(first > 1 ? "..." : "", out);
    pgdbm__cli_put_text(out, text, bytes, false);
    fputs(at == end ? "..." : "", out);
    return at + 1 >= column; /* one behind its end: where something is missing */
}

/* "  3 | SELECT nothing" and a mark below; the caller's. NULL: there is no such place. */
static char *excerpt(const struct place *place, const char *directory)
{
    char *text = NULL;
    size_t bytes = 0;
    unsigned long before = 0;
    FILE *file = open_file(directory, place->file);
    FILE *out = file != NULL ? open_memstream(&text, &bytes) : NULL;
    bool found = out != NULL && skip_lines(file, place->line - 1);
    if (found) {
        int margin = fprintf(out, "  %lu | ", place->line);
        found = print_line(file, place->column, out, &before);
        fprintf(out, "\n%*s| %*s%s^%s\n", margin - 2, "", (int)before, "", pgdbm__cli_style_on(stderr, CLI_RED),
                pgdbm__cli_style_off(stderr));
    }
    if (out != NULL)
        found = fclose(out) == 0 && found;
    if (file != NULL)
        fclose(file);
    if (!found) {
        free(text);
        text = NULL;
    }
    return text;
}

void pgdbm__cli_say_sql_error(const pgdbm_error *err, const char *directory)
{
    struct place place = {0};
    char *text = directory != NULL && find_place(err->message, &place) ? excerpt(&place, directory) : NULL;
    pgdbm__cli_say_error_with(err, text);
    free(text);
}
