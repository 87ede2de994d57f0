/* SPDX-License-Identifier: MIT */
/* What a migration's text means, as a checksum: two texts have the same just when they differ in comments, white space and the
 * case of names and keywords only. No state, any thread. */
#include "migrate/text.h"

#include "base/buffer.h"
#include "migrate/header.h"
#include "sql/scan.h"

#include <string.h>

/* A token as it counts. A letter for its kind stands before it and a NUL, which no token has, behind it, so that no two rows of
 * tokens look alike. */
static void append_token(struct pgdbm__buffer *out, const char *text, const struct pgdbm__token *token)
{
    size_t before = out->length;
    pgdbm__buffer_append(out, &(char){(char)('a' + (int)token->kind)}, 1);
    pgdbm__buffer_append(out, text + token->offset, token->bytes);
    pgdbm__buffer_append(out, "", 1);
    if (token->kind != PGDBM__TOKEN_WORD || out->failed)
        return;
    for (char *at = out->data + before + 1; *at != '\0'; at++)
        if (*at >= 'A' && *at <= 'Z') /* as the server folds: letters beyond ASCII stay */
            *at = (char)(*at - 'A' + 'a');
}

/* The header in one spelling. */
static void append_header(struct pgdbm__buffer *out, const struct pgdbm__script_source *source)
{
    struct pgdbm__migration_header header = {0};
    /* One that is not understood is refused elsewhere. */
    if (pgdbm__migration_header_read(source, &header, NULL) == PGDBM_ERR_NOMEM)
        out->failed = true;
    pgdbm__buffer_format(out, "%c%d%c", header.no_transaction ? 'N' : 'T', header.lock_timeout_ms, '\0');
    for (size_t i = 0; i < header.n_requires; i++)
        pgdbm__buffer_format(out, "R%s%c%s%c", header.requires[i].module, '\0', header.requires[i].version, '\0');
    pgdbm__migration_header_free(&header);
}

static void append_part(struct pgdbm__buffer *out, const struct pgdbm__script_source *source)
{
    struct pgdbm__scanner scanner = {.text = source->text, .bytes = source->bytes};
    struct pgdbm__token token;
    scanner.offset = pgdbm__text_bom(source->text, source->bytes);
    append_header(out, source);
    for (pgdbm__scan_next(&scanner, &token); token.kind != PGDBM__TOKEN_END; pgdbm__scan_next(&scanner, &token))
        append_token(out, source->text, &token);
}

bool pgdbm__migration_semantic_checksum(const char *text, size_t bytes, char checksum[PGDBM__CHECKSUM_BYTES])
{
    struct pgdbm__script_source up, down;
    struct pgdbm__buffer meaning = {0};
    if (pgdbm__migration_divide("", text, bytes, &up, &down, NULL) != PGDBM_OK)
        down.text = NULL; /* refused elsewhere */
    append_part(&meaning, &up);
    if (down.text != NULL) {
        pgdbm__buffer_append(&meaning, "D", 1);
        append_part(&meaning, &down);
    }
    /* Which takes care of the line ends in strings, too. */
    bool ok = !meaning.failed && pgdbm__migration_checksum(meaning.data, meaning.length, checksum);
    pgdbm__buffer_free(&meaning);
    return ok;
}
