/* SPDX-License-Identifier: MIT */
/* The text of a migration as bytes. No state, any thread. */
#include "migrate/text.h"

#include "sql/report.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Reads one character of UTF-8 (RFC 3629: no overlong forms, no surrogates). Returns its length, 0 when invalid. */
static size_t read_character(const char *text, size_t bytes, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)text[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0;
    if (length == 0 || length > bytes)
        return 0;
    uint32_t value = length == 1 ? lead : lead & (0x7FU >> length);
    for (size_t i = 1; i < length; i++) {
        unsigned char next = (unsigned char)text[i];
        if ((next & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (next & 0x3F);
    }
    if (length > 1 && (value < least[length] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)))
        return 0;
    *character = value;
    return length;
}

size_t pgdbm__text_first_bad(const char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        uint32_t character;
        size_t length = read_character(text + at, bytes - at, &character);
        if (length == 0 || character == 0)
            return at;
        at += length;
    }
    return bytes;
}

/* What Python's str.strip() takes away. */
static bool is_white_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Narrows the span to what is inside of its outer white space. */
static void strip(const char **text, size_t *bytes)
{
    const char *at = *text;
    const char *end = at + *bytes;
    while (at < end) {
        uint32_t character;
        size_t length = read_character(at, (size_t)(end - at), &character);
        if (length == 0 || !is_white_space(character))
            break;
        at += length;
    }
    while (end > at) {
        const char *last = end - 1;
        while (last > at && ((unsigned char)*last & 0xC0) == 0x80)
            last--;
        uint32_t character;
        if (read_character(last, (size_t)(end - last), &character) == 0 || !is_white_space(character))
            break;
        end = last;
    }
    *text = at;
    *bytes = (size_t)(end - at);
}

/* Hashes the span with CRLF and lone CR as LF, run after run between the CRs. */
static bool digest_lines(EVP_MD_CTX *digest, const char *text, size_t bytes)
{
    const char *end = text + bytes;
    bool ok = true;
    while (ok && text < end) {
        const char *cr = memchr(text, '\r', (size_t)(end - text));
        const char *stop = cr != NULL ? cr : end;
        ok = EVP_DigestUpdate(digest, text, (size_t)(stop - text)) == 1;
        text = stop;
        if (ok && cr != NULL) {
            ok = EVP_DigestUpdate(digest, "\n", 1) == 1;
            text += text + 1 < end && text[1] == '\n' ? 2 : 1;
        }
    }
    return ok;
}

bool pgdbm__migration_checksum(const char *text, size_t bytes, char checksum[PGDBM__CHECKSUM_BYTES])
{
    static const char hexadecimal[] = "0123456789abcdef";
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int hash_bytes = 0;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    strip(&text, &bytes);
    bool ok = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
              digest_lines(digest, text, bytes) && EVP_DigestFinal_ex(digest, hash, &hash_bytes) == 1 &&
              hash_bytes * 2 + 1 == PGDBM__CHECKSUM_BYTES;
    EVP_MD_CTX_free(digest);
    checksum[0] = '\0';
    if (!ok)
        return false;
    for (size_t i = 0; i < hash_bytes; i++) {
        checksum[2 * i] = hexadecimal[hash[i] >> 4];
        checksum[2 * i + 1] = hexadecimal[hash[i] & 15];
    }
    checksum[2 * (size_t)hash_bytes] = '\0';
    return true;
}

size_t pgdbm__text_bom(const char *text, size_t bytes)
{
    return bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

/* From behind the opening of a block comment to behind its end; they nest. */
static const char *skip_block_comment(const char *at, const char *end)
{
    size_t depth = 1;
    while (at < end && depth > 0) {
        bool opens = end - at >= 2 && at[0] == '/' && at[1] == '*';
        bool closes = end - at >= 2 && at[0] == '*' && at[1] == '/';
        depth += opens ? 1 : 0;
        depth -= closes ? 1 : 0;
        at += opens || closes ? 2 : 1;
    }
    return at;
}

/* `at` is behind the two dashes, `end` at the end of the line. */
static void read_directive(struct pgdbm__migration_header *header, const char *text, const char *at, const char *end)
{
    static const char prefix[] = "pgdbm:";
    static const char no_transaction[] = "no-transaction";
    at = skip_blanks(at, end);
    while (end > at && is_blank(end[-1]))
        end--;
    if ((size_t)(end - at) < sizeof prefix - 1 || strncasecmp(at, prefix, sizeof prefix - 1) != 0)
        return;
    const char *name = at + sizeof prefix - 1;
    size_t name_bytes = (size_t)(end - name);
    if (name_bytes == sizeof no_transaction - 1 && strncasecmp(name, no_transaction, name_bytes) == 0)
        header->no_transaction = true;
    else if (header->unknown == NULL) {
        header->unknown = at;
        header->unknown_bytes = (size_t)(end - at);
        header->unknown_line = pgdbm__place_of(text, (size_t)(end - text), (size_t)(at - text)).line;
    }
}

struct pgdbm__migration_header pgdbm__migration_header_read(const char *text, size_t bytes)
{
    struct pgdbm__migration_header header = {0};
    const char *end = text + bytes;
    const char *at = text + pgdbm__text_bom(text, bytes);
    for (;;) {
        at = skip_blanks(at, end);
        if (end - at < 2)
            return header;
        if (at[0] == '-' && at[1] == '-') {
            const char *line_end = at;
            while (line_end < end && *line_end != '\n' && *line_end != '\r')
                line_end++;
            read_directive(&header, text, at + 2, line_end);
            at = line_end;
        } else if (at[0] == '/' && at[1] == '*')
            at = skip_block_comment(at + 2, end);
        else
            return header;
    }
}
