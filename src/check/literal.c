/* SPDX-License-Identifier: MIT */
/* What a string literal's bytes are, and where each stands. Pure. */
#include "check/lexer.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A literal while it is read. */
struct reading {
    struct pgdbm__literal *literal;
    const char *at, *end;
    struct pgdbm__check_place place;
    bool new_piece; /* the next byte does not follow on the one before */
};

static bool add(struct reading *reading, unsigned char byte)
{
    struct pgdbm__literal *literal = reading->literal;
    if (literal->bytes == literal->capacity) {
        size_t capacity = literal->capacity == 0 ? 256 : 2 * literal->capacity;
        char *longer = realloc(literal->text, capacity);
        if (longer == NULL)
            return false;
        literal->text = longer;
        literal->capacity = capacity;
    }
    if (reading->new_piece && literal->n_pieces == literal->piece_capacity) {
        size_t capacity = literal->piece_capacity == 0 ? 16 : 2 * literal->piece_capacity;
        struct pgdbm__check_piece *longer = realloc(literal->pieces, capacity * sizeof *longer);
        if (longer == NULL)
            return false;
        literal->pieces = longer;
        literal->piece_capacity = capacity;
    }
    if (reading->new_piece)
        literal->pieces[literal->n_pieces++] =
            (struct pgdbm__check_piece){.offset = literal->bytes, .place = reading->place};
    reading->new_piece = false;
    literal->text[literal->bytes++] = (char)byte;
    return true;
}

static void step(struct reading *reading)
{
    if (*reading->at++ == '\n') {
        reading->place.line++;
        reading->place.column = 1;
    } else
        reading->place.column++;
}

/* \x41, \101, \u00e4: `base` digits, `most` of them. */
static uint32_t read_digits(struct reading *reading, unsigned base, size_t most)
{
    uint32_t value = 0;
    for (size_t i = 0; i < most && reading->at < reading->end; i++) {
        int letter = tolower((unsigned char)*reading->at);
        unsigned digit = isdigit(letter) ? (unsigned)(letter - '0') : (unsigned)(letter - 'a') + 10;
        if (!isalnum(letter) || digit >= base)
            break;
        value = (value * base + digit) & 0x1FFFFF;
        step(reading);
    }
    return value;
}

static bool add_character(struct reading *reading, uint32_t code)
{
    if (code < 0x80)
        return add(reading, (unsigned char)code);
    unsigned more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
    bool added = add(reading, (unsigned char)(first[more] | (code >> (6 * more))));
    while (added && more-- > 0)
        added = add(reading, (unsigned char)(0x80 | ((code >> (6 * more)) & 0x3F)));
    return added;
}

/* The byte or character that an escape means, behind its backslash. */
static uint32_t read_escape(struct reading *reading)
{
    static const char letters[] = "abfnrtv", meanings[] = "\a\b\f\n\r\t\v";
    char letter = *reading->at;
    if (letter >= '0' && letter <= '7')
        return read_digits(reading, 8, 3) & 0xFF;
    step(reading);
    if (letter == 'x')
        return read_digits(reading, 16, SIZE_MAX) & 0xFF;
    if (letter == 'u' || letter == 'U')
        return read_digits(reading, 16, letter == 'u' ? 4 : 8);
    const char *simple = letter != '\0' ? strchr(letters, letter) : NULL;
    return simple != NULL ? (unsigned char)meanings[simple - letters] : (unsigned char)letter;
}

/* An escape, at its backslash: what is said of the byte that it means points there. */
static bool add_escaped(struct reading *reading)
{
    struct pgdbm__check_place backslash = reading->place;
    step(reading);
    reading->new_piece = true;
    if (reading->at < reading->end && (*reading->at == '\r' || *reading->at == '\n')) { /* the line goes on */
        while (reading->at < reading->end && *reading->at == '\r')
            step(reading);
        if (reading->at < reading->end)
            step(reading);
        return true;
    }
    if (reading->at >= reading->end)
        return true;
    bool character = *reading->at == 'u' || *reading->at == 'U';
    uint32_t value = read_escape(reading);
    struct pgdbm__check_place behind = reading->place;
    reading->place = backslash;
    bool added = character ? add_character(reading, value) : add(reading, (unsigned char)value);
    reading->place = behind;
    reading->new_piece = true;
    return added;
}

bool pgdbm__literal_add(struct pgdbm__literal *literal, const struct pgdbm__tokens *tokens, size_t at)
{
    const struct pgdbm__token *token = &tokens->tokens[at];
    const char *begin = tokens->text + token->offset;
    struct reading reading = {
        .literal = literal, .at = begin, .end = begin + token->bytes, .place = token->place, .new_piece = true};
    bool raw = false;
    if (literal->bytes == 0 && literal->n_pieces == 0)
        literal->plain = true;
    for (; reading.at < reading.end && *reading.at != '"'; step(&reading)) {
        raw = raw || *reading.at == 'R';
        literal->plain =
            literal->plain && (*reading.at == 'R' || *reading.at == '8' ||
                               (*reading.at == 'u' && reading.at + 1 < reading.end && reading.at[1] == '8'));
    }
    size_t delimiter = 1;
    if (raw)
        while (reading.at + delimiter < reading.end && reading.at[delimiter] != '(')
            delimiter++;
    size_t opening = raw ? delimiter + 1 : 1;
    for (size_t i = 0; i < opening && reading.at < reading.end; i++)
        step(&reading);
    /* A string that ends with its line has no closing quote. */
    size_t closing = reading.end > reading.at && reading.end[-1] == '"' ? (raw ? delimiter + 1 : 1) : 0;
    reading.end -= closing <= (size_t)(reading.end - reading.at) ? closing : 0;
    bool added = true;
    while (added && reading.at < reading.end) {
        if (!raw && *reading.at == '\\') {
            added = add_escaped(&reading);
            continue;
        }
        added = add(&reading, (unsigned char)*reading.at);
        step(&reading);
    }
    return added;
}

void pgdbm__literal_free(struct pgdbm__literal *literal)
{
    free(literal->text);
    free(literal->pieces);
    *literal = (struct pgdbm__literal){0};
}
