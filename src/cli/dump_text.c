/* SPDX-License-Identifier: MIT */
/* The lines that pg_dump writes around a structure. No state. */
#include "dump_text.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define BEGIN "\\restrict "
#define END "\\unrestrict "

/* The word of the line \restrict, which stands behind comments only: what comes later is of the server's. NULL: there is none. */
static char *first_word(char *text, const char *end)
{
    while (text < end && (*text == '\n' || (*text == '-' && end - text > 1 && text[1] == '-'))) {
        char *line_end = memchr(text, '\n', (size_t)(end - text));
        if (line_end == NULL)
            return NULL;
        text = line_end + 1;
    }
    size_t bytes = sizeof BEGIN - 1;
    return (size_t)(end - text) > bytes && memcmp(text, BEGIN, bytes) == 0 ? text + bytes : NULL;
}

/* The same word in the last line. */
static char *last_word(char *text, char *end, const char *word, size_t bytes)
{
    while (end > text && end[-1] == '\n')
        end--;
    const size_t all = 1 + sizeof END - 1 + bytes;
    char *line = (size_t)(end - text) > all ? end - all : text;
    bool same = *line == '\n' && memcmp(line + 1, END, sizeof END - 1) == 0 && memcmp(end - bytes, word, bytes) == 0;
    return same ? end - bytes : NULL;
}

bool pgdbm__cli_dump_settle(char *text, size_t bytes)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char name[2 * sizeof digest + 1];
    unsigned digest_bytes = 0;
    char *first = first_word(text, text + bytes);
    size_t word_bytes = 0;
    while (first != NULL && first + word_bytes < text + bytes && first[word_bytes] != '\n')
        word_bytes++;
    char *last = first != NULL ? last_word(text, text + bytes, first, word_bytes) : NULL;
    if (last == NULL)
        return true; /* a pg_dump from before these lines */
    memset(first, '0', word_bytes);
    memset(last, '0', word_bytes);
    if (EVP_Digest(text, bytes, digest, &digest_bytes, EVP_sha256(), NULL) != 1)
        return false;
    for (unsigned i = 0; i < digest_bytes; i++)
        snprintf(name + (size_t)2 * i, 3, "%02x", digest[i]);
    size_t kept = 2 * (size_t)digest_bytes < word_bytes ? 2 * (size_t)digest_bytes : word_bytes;
    memcpy(first, name, kept);
    memcpy(last, name, kept);
    return true;
}
