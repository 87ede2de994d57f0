/* SPDX-License-Identifier: MIT */
/* C and C++ in tokens: as much of the two languages as it takes to find calls, literals and initialisers. Reads any bytes. No
 * state but the caller's. */
#ifndef PGDBM_CHECK_LEXER_H
#define PGDBM_CHECK_LEXER_H

#include "check/check.h"

enum pgdbm__token_kind {
    TOKEN_NAME = 1, /* keywords, too */
    TOKEN_STRING,   /* with its prefix and quotes; raw ones of C++, too */
    TOKEN_NUMBER,   /* and characters in quotes */
    TOKEN_SIGN,     /* one character; -> is two */
    TOKEN_DIRECTIVE /* #define NAME ... up to the end of its line, continued ones in full */
};

struct pgdbm__token {
    enum pgdbm__token_kind kind;
    size_t offset, bytes;
    struct pgdbm__check_place place;
};

/* A file's tokens, comments left out. Zero-initialise. */
struct pgdbm__tokens {
    const char *text; /* borrowed */
    size_t bytes;
    struct pgdbm__token *tokens;
    size_t n_tokens, capacity;
};

/* The tokens of text[from, to), whose first byte stands at `place`. False: no memory. */
bool pgdbm__lex(struct pgdbm__tokens *tokens, const char *text, size_t from, size_t to,
                struct pgdbm__check_place place);
/* Gives back the room that is not needed. */
void pgdbm__tokens_trim(struct pgdbm__tokens *tokens);
void pgdbm__tokens_free(struct pgdbm__tokens *tokens);

/* Whether a token is this word or sign. Places behind the end are none. */
bool pgdbm__token_is(const struct pgdbm__tokens *tokens, size_t at, const char *word);

/* A literal's content: escapes are undone, and pieces say where its bytes stand. */
struct pgdbm__literal {
    char *text;
    size_t bytes, capacity;
    struct pgdbm__check_piece *pieces;
    size_t n_pieces, piece_capacity;
    bool plain; /* it can be read as UTF-8: neither L"..." nor u"..." nor U"..." */
};

/* Adds a string's content behind what is there. False: no memory. */
bool pgdbm__literal_add(struct pgdbm__literal *literal, const struct pgdbm__tokens *tokens, size_t at);
void pgdbm__literal_free(struct pgdbm__literal *literal);

#endif
