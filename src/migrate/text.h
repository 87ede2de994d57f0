/* SPDX-License-Identifier: MIT */
/* The text of a migration as bytes: its checksum, and whether it is text at all. Pure functions. */
#ifndef PGDBM_MIGRATE_TEXT_H
#define PGDBM_MIGRATE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* 64 hexadecimal digits and the NUL. */
#define PGDBM__CHECKSUM_BYTES 65

/* SHA-256 of the text with every line end as LF and outer white space stripped: the Python pgdbm's checksum, which
 * reads the file as UTF-8 with universal newlines and strips what Unicode calls white space. False when libcrypto
 * fails. */
bool pgdbm__migration_checksum(const char *text, size_t bytes, char checksum[PGDBM__CHECKSUM_BYTES]);

/* Offset of the first byte that is NUL or not part of valid UTF-8; `bytes` when there is none. */
size_t pgdbm__text_first_bad(const char *text, size_t bytes);

/* What the header (the comments and blank lines before the first statement) says about how to run the file. */
struct pgdbm__migration_header {
    bool no_transaction;
    const char *unknown; /* the first directive that is not known, NULL when all are; a span of the text */
    size_t unknown_bytes;
    size_t unknown_line;
};

/* Reads `-- pgdbm:...` lines. Never looks behind the first statement, nor into block comments. */
struct pgdbm__migration_header pgdbm__migration_header_read(const char *text, size_t bytes);

/* Length of the UTF-8 byte order mark at the beginning, 0 or 3: the checksum has it, the server must not see it. */
size_t pgdbm__text_bom(const char *text, size_t bytes);

#endif
