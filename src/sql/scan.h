/* SPDX-License-Identifier: MIT */
/* SQL as PostgreSQL's own scanner cuts it (its documentation, 4.1, with standard_conforming_strings on, which every
 * session of pgdbm has). White space and comments lie between tokens and are passed over. Linear: a byte is looked at
 * twice at most. */
#ifndef PGDBM_SQL_SCAN_H
#define PGDBM_SQL_SCAN_H

#include <stdbool.h>
#include <stddef.h>

enum pgdbm__token_kind {
    PGDBM__TOKEN_END = 0,    /* of the text; offset is its length */
    PGDBM__TOKEN_WORD,       /* a keyword or a name without quotes */
    PGDBM__TOKEN_IDENTIFIER, /* "name" or U&"name" */
    PGDBM__TOKEN_STRING,     /* '', E'', U&'', B'', X'', N'', with what continues it on further lines; $tag$...$tag$ */
    PGDBM__TOKEN_NUMBER,
    PGDBM__TOKEN_PARAMETER, /* $1 */
    PGDBM__TOKEN_OPERATOR,
    PGDBM__TOKEN_SYMBOL, /* , ; ( ) [ ] . : the pairs :: := and .., or a byte that begins nothing */

    /* These begin where the construct does and reach to the end of the text, because nothing closes it. */
    PGDBM__TOKEN_OPEN_STRING,
    PGDBM__TOKEN_OPEN_IDENTIFIER,
    PGDBM__TOKEN_OPEN_DOLLAR,
    PGDBM__TOKEN_OPEN_COMMENT
};

struct pgdbm__token {
    enum pgdbm__token_kind kind;
    size_t offset;
    size_t bytes;
};

/* Begin with offset 0; the text is borrowed. */
struct pgdbm__scanner {
    const char *text;
    size_t bytes;
    size_t offset;
    /* Of the run of arithmetic characters that the last operator was cut from: where it ends, and behind its last
     * character that is not + or -. Remembered, because a long run of signs would otherwise be read again for each of
     * them. */
    size_t run_end, run_kept;
};

/* The next token; PGDBM__TOKEN_END again and again at the end. */
void pgdbm__scan_next(struct pgdbm__scanner *scanner, struct pgdbm__token *token);

/* Where a statement ends, without semicolons and comments behind it. */
size_t pgdbm__scan_end(const char *sql, size_t bytes);

/* Whether a token is this word (written in lower case) without quotes, in any case. */
bool pgdbm__token_is_word(const char *text, const struct pgdbm__token *token, const char *word);

/* Whether a token is this one character. */
bool pgdbm__token_is_symbol(const char *text, const struct pgdbm__token *token, char symbol);

#endif
