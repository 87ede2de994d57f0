/* SPDX-License-Identifier: MIT */
/* Lines, sections and values of a configuration file. No state but the reading's. */
#include "inifile.h"
#include "output.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Longer names inih would cut without a word. */
enum { LONGEST_NAME = 48 };

/* A reading. inih asks for a line and calls back for what it finds there before it asks for the next, so that the line's value
 * can wait here for its key. */
struct reading {
    FILE *file;
    struct pgdbm__cli_ini_place place;
    pgdbm__cli_ini_handler handler;
    void *context;
    char *line; /* of getline */
    size_t line_bytes;
    const char *value; /* of the line at hand, in `line` */
    bool failed;
};

bool pgdbm__cli_ini_wrong(const struct pgdbm__cli_ini_place *place, const char *hint, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    pgdbm__cli_say_error(hint, "%s:%zu: %s", place->file, place->line, message);
    return false;
}

static const char *skip_space(const char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    return text;
}

static bool is_end(const char *text)
{
    text = skip_space(text);
    return *text == '\0' || *text == '#' || *text == ';';
}

static bool is_name(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_' && text[i] != '-' && text[i] != '.')
            return false;
    return bytes > 0 && bytes <= LONGEST_NAME;
}

/* `[name]`, and nothing behind it but a comment. Like all that is wrong here it is not repeated: a line that is not what it should
 * be may be a password. */
static bool check_section(const struct pgdbm__cli_ini_place *place, const char *line)
{
    const char *end = strchr(line, ']');
    if (line[1] == '[')
        return pgdbm__cli_ini_wrong(place, "write one [section] for each", "arrays of tables are not read");
    if (end == NULL || !is_end(end + 1))
        return pgdbm__cli_ini_wrong(place, "a section is written [name]", "malformed section");
    if (!is_name(line + 1, (size_t)(end - line) - 1))
        return pgdbm__cli_ini_wrong(place, "names have letters, digits, _ and -, 48 at most",
                                    "malformed name of a section");
    return true;
}

/* Answers in JSON could not have it otherwise. */
static bool is_utf8(const char *text)
{
    json_t *probe = json_string(text);
    json_decref(probe);
    return probe != NULL;
}

/* The next line in a form that inih understands: `[section]`, `key = value` with a stand-in for the value, or nothing. */
static char *next_line(char *buffer, int bytes, void *stream)
{
    struct reading *reading = stream;
    ssize_t length = reading->failed ? -1 : getline(&reading->line, &reading->line_bytes, reading->file);
    if (length < 0)
        return NULL;
    reading->place.line++;
    if (memchr(reading->line, '\0', (size_t)length) != NULL) {
        reading->failed = !pgdbm__cli_ini_wrong(&reading->place, "it must be a text file", "a NUL byte");
        return NULL;
    }
    reading->line[strcspn(reading->line, "\n")] = '\0';
    size_t end = strcspn(reading->line, "\r");
    if (reading->line[end] != '\0' && reading->line[end + 1] != '\0') {
        reading->failed = !pgdbm__cli_ini_wrong(&reading->place, "end lines with LF or CR LF", "a CR inside of a line");
        return NULL;
    }
    reading->line[end] = '\0';
    const char *line = skip_space(reading->line);
    if (reading->place.line == 1 && strncmp(line, "\xEF\xBB\xBF", 3) == 0)
        line = skip_space(line + 3);
    const char *equals = strchr(line, '=');
    buffer[0] = '\0';
    if (!is_end(line) && !is_utf8(line)) {
        reading->failed = !pgdbm__cli_ini_wrong(&reading->place, "save the file as UTF-8", "text that is not UTF-8");
        return NULL;
    }
    if (*line == '[') {
        reading->failed = !check_section(&reading->place, line);
        if (!reading->failed) {
            snprintf(buffer, (size_t)bytes, "%.*s", (int)(strchr(line, ']') - line) + 1, line);
            /* Sections without a key are of interest too, and inih does not tell of them. */
            buffer[strlen(buffer) - 1] = '\0';
            reading->failed = !reading->handler(reading->context, buffer + 1, NULL, NULL, &reading->place);
            strcat(buffer, "]");
        }
    } else if (!is_end(line)) {
        size_t name_bytes = equals != NULL ? (size_t)(equals - line) : 0;
        while (name_bytes > 0 && isspace((unsigned char)line[name_bytes - 1]))
            name_bytes--;
        if (equals == NULL)
            reading->failed = !pgdbm__cli_ini_wrong(&reading->place, "a line is key = value, [section] or # comment",
                                                    "malformed line");
        else if (!is_name(line, name_bytes) || memchr(line, '.', name_bytes) != NULL)
            reading->failed = !pgdbm__cli_ini_wrong(
                &reading->place, "keys have letters, digits, _ and -, 48 at most, no quotes and no dots",
                "malformed key");
        else
            snprintf(buffer, (size_t)bytes, "%.*s = v", (int)name_bytes, line);
        reading->value = equals != NULL ? skip_space(equals + 1) : NULL;
    }
    return reading->failed ? NULL : buffer;
}

/* The escapes of a TOML string; the character, or -1. */
static int escaped(char letter)
{
    static const char letters[] = "btnfr\"\\", meanings[] = "\b\t\n\f\r\"\\";
    const char *found = letter != '\0' ? strchr(letters, letter) : NULL;
    return found != NULL ? meanings[found - letters] : -1;
}

/* A string in quotes at *at, undone into `item` (as long as the line), *at behind it. */
static bool read_quoted(const struct pgdbm__cli_ini_place *place, const char **at, char *item)
{
    const char quote = **at;
    const char *text = *at + 1;
    if (text[0] == quote && text[1] == quote)
        return pgdbm__cli_ini_wrong(place, "write it on one line, in single quotes", "multi-line strings are not read");
    for (; *text != quote; text++) {
        int letter = (unsigned char)*text;
        if (letter == '\0')
            return pgdbm__cli_ini_wrong(place, "strings end on their line", "a string without its end");
        if (quote == '"' && letter == '\\') {
            letter = escaped(*++text);
            if (letter < 0)
                return pgdbm__cli_ini_wrong(place, "known are \\\\ \\\" \\t \\n \\r \\b \\f; or use single quotes",
                                            "unknown escape in a string");
        }
        *item++ = (char)letter;
    }
    *item = '\0';
    *at = text + 1;
    return true;
}

/* Text without quotes, up to one of `ends` or a comment, without the space at its end. */
static void read_bare(const char **at, const char *ends, char *item)
{
    const char *text = *at;
    size_t bytes = 0;
    while (text[bytes] != '\0' && strchr(ends, text[bytes]) == NULL &&
           !(bytes > 0 && isspace((unsigned char)text[bytes - 1]) && is_end(text + bytes)))
        bytes++;
    *at += bytes;
    while (bytes > 0 && isspace((unsigned char)text[bytes - 1]))
        bytes--;
    memcpy(item, text, bytes);
    item[bytes] = '\0';
}

/* Items up to `end` (']'; or the line's end), divided by commas, one after the other into `text`. */
static bool read_items(const struct pgdbm__cli_ini_place *place, const char *at, char *text, const char **items,
                       struct pgdbm__cli_ini_value *value)
{
    for (;;) {
        at = skip_space(at);
        if (*at == ']')
            break;
        if (is_end(at))
            return pgdbm__cli_ini_wrong(place, "write the whole list on one line", "a list without its end");
        if (*at == '[' || *at == '{')
            return pgdbm__cli_ini_wrong(place, "lists hold words and strings", "lists in lists are not read");
        if (*at == '"' || *at == '\'') {
            if (!read_quoted(place, &at, text))
                return false;
        } else
            read_bare(&at, ",]", text);
        items[value->n_items++] = text;
        text += strlen(text) + 1;
        at = skip_space(at);
        if (*at == ',')
            at++;
        else if (*at != ']' && !is_end(at))
            return pgdbm__cli_ini_wrong(place, "divide by commas", "malformed list");
    }
    if (!is_end(at + 1))
        return pgdbm__cli_ini_wrong(place, NULL, "something behind a list");
    return true;
}

static bool read_value(const struct pgdbm__cli_ini_place *place, const char *at, char *text, const char **items,
                       struct pgdbm__cli_ini_value *value)
{
    if (*at == '[') {
        value->list = true;
        return read_items(place, at + 1, text, items, value);
    }
    if (*at == '{')
        return pgdbm__cli_ini_wrong(place, "write a [section] instead", "inline tables are not read");
    value->n_items = 1;
    items[0] = text;
    if (*at == '"' || *at == '\'') {
        value->quoted = true;
        if (!read_quoted(place, &at, text))
            return false;
    } else if (is_end(at))
        return pgdbm__cli_ini_wrong(place, "write \"\" for an empty one, or leave the line out",
                                    "a key without a value");
    else
        read_bare(&at, "", text);
    if (!is_end(at))
        return pgdbm__cli_ini_wrong(place, "quotes inside of a string are written \\\"", "something behind a value");
    return true;
}

/* For inih: a key of the line at hand, whose value is in the reading. Nonzero: go on. */
static int take_key(void *user, const char *section, const char *name, const char *stand_in)
{
    struct reading *reading = user;
    (void)stand_in;
    if (reading->failed)
        return 0;
    size_t bytes = strlen(reading->value) + 1;
    /* Each item takes two bytes of the line at least: itself or its quotes, and the comma. */
    char *text = malloc(2 * bytes);
    const char **items = calloc(bytes, sizeof *items);
    struct pgdbm__cli_ini_value value = {.items = items};
    if (text == NULL || items == NULL) {
        pgdbm__cli_say_error(NULL, "out of memory");
        reading->failed = true;
    } else
        reading->failed = !read_value(&reading->place, reading->value, text, items, &value) ||
                          !reading->handler(reading->context, section, name, &value, &reading->place);
    free(text);
    free(items);
    return !reading->failed;
}

bool pgdbm__cli_ini_read(FILE *file, const char *path, pgdbm__cli_ini_handler handler, void *context)
{
    struct reading reading = {.file = file, .place.file = path, .handler = handler, .context = context};
    errno = 0;
    int line = ini_parse_stream(next_line, &reading, take_key, &reading);
    /* Not at its end: half of a file would be another project. */
    if (!reading.failed && !feof(file)) {
        pgdbm__cli_say_error("is it a file, and is there memory for its longest line?", "cannot read %s: %s", path,
                             strerror(errno));
        reading.failed = true;
    }
    /* Everything that inih would stumble over was refused before it. */
    if (!reading.failed && line != 0)
        reading.failed = !pgdbm__cli_ini_wrong(&reading.place, NULL, "malformed line");
    free(reading.line);
    return !reading.failed;
}
