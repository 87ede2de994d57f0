/* SPDX-License-Identifier: MIT */
/* The text of a migration as bytes. No state, any thread. */
#include "migrate/text.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

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

void pgdbm__text_strip(const char **text, size_t *bytes)
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

/* Ends the digest and writes it out; `ok`: as far as it went, all went well. */
static bool finish(EVP_MD_CTX *digest, bool ok, char checksum[PGDBM__CHECKSUM_BYTES])
{
    static const char hexadecimal[] = "0123456789abcdef";
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int hash_bytes = 0;
    ok = ok && EVP_DigestFinal_ex(digest, hash, &hash_bytes) == 1 && hash_bytes * 2 + 1 == PGDBM__CHECKSUM_BYTES;
    EVP_MD_CTX_free(digest);
    checksum[0] = '\0';
    for (size_t i = 0; ok && i < hash_bytes; i++) {
        checksum[2 * i] = hexadecimal[hash[i] >> 4];
        checksum[2 * i + 1] = hexadecimal[hash[i] & 15];
        checksum[2 * i + 2] = '\0';
    }
    return ok;
}

static EVP_MD_CTX *begin(void)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1)
        return digest;
    EVP_MD_CTX_free(digest);
    return NULL;
}

bool pgdbm__migration_checksum(const char *text, size_t bytes, char checksum[PGDBM__CHECKSUM_BYTES])
{
    EVP_MD_CTX *digest = begin();
    pgdbm__text_strip(&text, &bytes);
    return finish(digest, digest != NULL && digest_lines(digest, text, bytes), checksum);
}

bool pgdbm__migration_digest_step(char chain[PGDBM__CHECKSUM_BYTES], const char *filename, const char *checksum)
{
    EVP_MD_CTX *digest = begin();
    const char *const parts[] = {chain, filename, checksum};
    bool ok = digest != NULL;
    for (size_t i = 0; ok && i < sizeof parts / sizeof *parts; i++)
        ok = EVP_DigestUpdate(digest, parts[i], strlen(parts[i])) == 1 && EVP_DigestUpdate(digest, "\n", 1) == 1;
    return finish(digest, ok, chain);
}

size_t pgdbm__text_bom(const char *text, size_t bytes)
{
    return bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}
