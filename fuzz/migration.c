/* SPDX-License-Identifier: MIT */
/* A migration's text as far as it comes without a database. The parts lie inside of it; statements and places too; what
 * differs in comments and line ends only means the same; a difference is shown just when there is one, in the room that it has. */
#include "migrate/difference.h"
#include "migrate/header.h"
#include "migrate/script.h"
#include "migrate/text.h"
#include "sql/scan.h"

#include <pgdbm/error.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* The text with a comment and a line break before each token but the first, which ends the header, and CRLF as line end
 * everywhere. */
static void rewrite(const struct pgdbm__script_source *part, struct pgdbm__buffer *out)
{
    struct pgdbm__scanner scanner = {.text = part->text, .bytes = part->bytes};
    struct pgdbm__token token;
    size_t copied = 0;
    scanner.offset = pgdbm__text_bom(part->text, part->bytes);
    for (size_t n = 0;; n++) {
        pgdbm__scan_next(&scanner, &token);
        if (token.kind == PGDBM__TOKEN_END || token.kind >= PGDBM__TOKEN_OPEN_STRING)
            break;
        pgdbm__buffer_append(out, part->text + copied, token.offset - copied);
        /* Not before a string, which might continue the one before it then. */
        if (n > 0 && token.kind != PGDBM__TOKEN_STRING)
            pgdbm__buffer_text(out, "/* ' /* $$ */ */ -- \"\r\n");
        copied = token.offset;
    }
    pgdbm__buffer_append(out, part->text + copied, part->bytes - copied);
}

static void require_same_meaning(const char *text, size_t bytes, const struct pgdbm__script_source *up,
                                 const struct pgdbm__script_source *down)
{
    struct pgdbm__buffer other = {0};
    char a[PGDBM__CHECKSUM_BYTES];
    char b[PGDBM__CHECKSUM_BYTES];
    rewrite(up, &other);
    if (down->text != NULL) {
        pgdbm__buffer_append(&other, text + up->bytes, (size_t)(down->text - text) - up->bytes);
        rewrite(down, &other);
    }
    require(pgdbm__migration_semantic_checksum(text, bytes, a));
    require(pgdbm__migration_semantic_checksum(other.data != NULL ? other.data : "", other.length, b));
    require(strcmp(a, b) == 0);
    pgdbm__buffer_free(&other);
}

static void require_places(const struct pgdbm__script *script)
{
    size_t line = 1;
    for (size_t i = 0; i < script->n_statements; i++) {
        const struct pgdbm__script_statement *statement = &script->statements[i];
        require(statement->bytes > 0 && statement->sql[statement->bytes] == '\0');
        require(statement->line >= line && statement->column >= 1);
        struct pgdbm__script_place middle = pgdbm__script_place(script, statement, (int)(statement->bytes / 2));
        struct pgdbm__script_place end = pgdbm__script_place(script, statement, (int)statement->bytes + 1);
        require(middle.line >= statement->line && end.line >= middle.line);
        line = end.line;
        struct pgdbm__buffer out = {0};
        pgdbm__script_append_blocking(statement, &out);
        require(out.length <= statement->bytes && (out.length == statement->bytes) == !statement->concurrently);
        pgdbm__buffer_free(&out);
    }
}

static void require_difference(const char *text, size_t size)
{
    char room[512];
    size_t half = size / 2;
    size_t bytes = 128 + size % (sizeof room - 128);
    char *out = malloc(bytes);
    require(out != NULL);
    pgdbm__text_difference(text, half, text + half, size - half, out, bytes);
    char a[PGDBM__CHECKSUM_BYTES];
    char b[PGDBM__CHECKSUM_BYTES];
    require(pgdbm__migration_checksum(text, half, a) && pgdbm__migration_checksum(text + half, size - half, b));
    require((strcmp(a, b) == 0) == (out[0] == '\0'));
    require(pgdbm__text_first_bad(out, strlen(out)) == strlen(out));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Exactly as long, so that a byte too many is seen. */
    char *text = malloc(size > 0 ? size : 1);
    struct pgdbm__script_source up, down;
    pgdbm_error err;
    require(text != NULL);
    memcpy(text, data, size);
    require_difference(text, size);
    size_t good = pgdbm__text_first_bad(text, size);
    if (pgdbm__migration_divide("1_a.sql", text, good, &up, &down, &err) == PGDBM_OK) {
        require(up.text == text && up.bytes <= good);
        require(down.text == NULL || (down.text >= text + up.bytes && down.text + down.bytes == text + good));
        require_same_meaning(text, good, &up, &down);
        const struct pgdbm__script_source *parts[] = {&up, &down};
        for (size_t i = 0; i < 2; i++) {
            struct pgdbm__script script = {0};
            if (parts[i]->text != NULL && pgdbm__script_prepare(&script, parts[i], "app", &err) == PGDBM_OK)
                require_places(&script);
            pgdbm__script_free(&script);
        }
    }
    free(text);
    return 0;
}
