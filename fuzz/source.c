/* SPDX-License-Identifier: MIT */
/* Any file as C: it is read; tokens lie inside of it, in order; a literal's bytes stand in its own token. */
#include "check/lexer.h"
#include "check/run.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* The place of the byte at `at`. */
static struct pgdbm__check_place place_of(const char *text, size_t at)
{
    struct pgdbm__check_place place = {1, 1};
    for (size_t i = 0; i < at; i++) {
        place.column = text[i] == '\n' ? 1 : place.column + 1;
        place.line += text[i] == '\n';
    }
    return place;
}

static bool is_before(struct pgdbm__check_place a, struct pgdbm__check_place b)
{
    return a.line < b.line || (a.line == b.line && a.column < b.column);
}

static void require_literal(const struct pgdbm__tokens *tokens, size_t at)
{
    const struct pgdbm__token *token = &tokens->tokens[at];
    struct pgdbm__check_place begin = token->place, end = place_of(tokens->text, token->offset + token->bytes);
    struct pgdbm__literal literal = {0};
    require(pgdbm__literal_add(&literal, tokens, at));
    require(literal.bytes <= token->bytes);
    for (size_t i = 0; i < literal.n_pieces; i++) {
        require(literal.pieces[i].offset < literal.bytes && (i > 0 || literal.pieces[i].offset == 0));
        require(!is_before(literal.pieces[i].place, begin) && is_before(literal.pieces[i].place, end));
    }
    pgdbm__literal_free(&literal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const struct pgdbm__check_place begin = {1, 1};
    struct pgdbm__tokens tokens = {0};
    size_t end = 0;
    require(pgdbm__lex(&tokens, text, 0, size, begin));
    for (size_t i = 0; i < tokens.n_tokens; i++) {
        const struct pgdbm__token *token = &tokens.tokens[i];
        struct pgdbm__check_place place = place_of(text, token->offset);
        require(token->bytes > 0 && token->offset >= end && token->offset + token->bytes <= size);
        require(place.line == token->place.line && place.column == token->place.column);
        end = token->offset + token->bytes;
        if (token->kind == TOKEN_STRING)
            require_literal(&tokens, i);
    }
    pgdbm__tokens_free(&tokens);

    char path[] = "file.c";
    struct pgdbm__check_file file = {.path = path};
    struct pgdbm__check_run *run = pgdbm__check_run_create();
    struct pgdbm__check_names *names = pgdbm__check_names_create();
    require(run != NULL && names != NULL);
    require(pgdbm__check_find_suppressions(run, &file, text, size));
    require(pgdbm__check_read_source(run, &file, text, size, names));
    for (size_t i = 0; i < run->n_findings; i++)
        require(!is_before(place_of(text, size), run->findings[i].place));
    for (size_t i = 0; i < file.n_suppressions; i++)
        free(file.suppressions[i].reason);
    free(file.suppressions);
    pgdbm__check_names_free(names);
    pgdbm__check_run_free(run);
    return 0;
}
