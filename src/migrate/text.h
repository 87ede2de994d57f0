/* SPDX-License-Identifier: MIT */
/* The text of a migration as bytes: its checksums, and whether it is text at all. Pure functions. */
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

/* SHA-256 of what the text means: its tokens without comments and white space between them, names and keywords without
 * quotes in lower case, the directives of its header, and where its down part begins. Strings count byte by byte, but
 * for line ends, which are LF as above. Templates are not expanded. False when libcrypto fails or memory is short. */
bool pgdbm__migration_semantic_checksum(const char *text, size_t bytes, char checksum[PGDBM__CHECKSUM_BYTES]);

/* One step of the digest of a set: SHA-256 of "<digest>\n<filename>\n<checksum>\n", and the digest of nothing is "". In SQL:
 *     encode(sha256(convert_to(digest || E'\n' || filename || E'\n' || checksum || E'\n', 'UTF8')), 'hex')
 * False when libcrypto fails. */
bool pgdbm__migration_digest_step(char digest[PGDBM__CHECKSUM_BYTES], const char *filename, const char *checksum);

/* Narrows the span to what is inside of its outer white space, as Python's str.strip() does. */
void pgdbm__text_strip(const char **text, size_t *bytes);

/* Offset of the first byte that is NUL or not part of valid UTF-8; `bytes` when there is none. */
size_t pgdbm__text_first_bad(const char *text, size_t bytes);

/* Length of the UTF-8 byte order mark at the beginning, 0 or 3: the checksum has it, the server must not see it. */
size_t pgdbm__text_bom(const char *text, size_t bytes);

#endif
