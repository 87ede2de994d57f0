/* SPDX-License-Identifier: MIT */
/* inet, cidr and macaddr. The binary form of an address is its family (one of the server's numbers, not the system's), the
 * bits of its network, whether it is a cidr, how many bytes follow, and those. */
#include "types/number.h"
#include "types/scalar.h"
#include "types/text.h"

#include <arpa/inet.h>

#define SERVER_INET 2
#define SERVER_INET6 3
#define HEADER_BYTES 4

static size_t address_bytes(const pgdbm_inet *inet)
{
    return inet->family == 4 ? 4 : 16;
}

/* Whether all bits behind those of the network are zero. */
static bool is_network(const pgdbm_inet *inet)
{
    for (size_t bit = inet->bits; bit < address_bytes(inet) * 8; bit++)
        if ((inet->bytes[bit / 8] >> (7 - bit % 8) & 1) != 0)
            return false;
    return true;
}

bool pgdbm__inet_valid(const pgdbm_inet *inet)
{
    return (inet->family == 4 || inet->family == 6) && inet->bits <= address_bytes(inet) * 8 &&
           (!inet->is_cidr || is_network(inet));
}

static char *write_ipv4(char *at, const uint8_t bytes[4])
{
    for (int i = 0; i < 4; i++) {
        at = pgdbm__write_number(at, bytes[i]);
        *at++ = '.';
    }
    return at - 1;
}

/* The first of the longest runs of zero words, if it has two at least. */
static int longest_zeros(const uint8_t bytes[16], int *length)
{
    int best = 8;
    *length = 1;
    for (int i = 0; i < 8;) {
        int end = i;
        while (end < 8 && pgdbm__get_uint16(bytes + 2 * end) == 0)
            end++;
        if (end - i > *length) {
            best = i;
            *length = end - i;
        }
        i = end + 1;
    }
    return best;
}

/* '::' stands for a run of zeros. The last four bytes are written as IPv4 when only zeros, or zeros and ffff, are before
 * them. */
static char *write_ipv6(char *at, const uint8_t bytes[16])
{
    int length;
    int zeros = longest_zeros(bytes, &length);
    bool mixed = zeros == 0 && (length == 6 || (length == 5 && pgdbm__get_uint16(bytes + 10) == 0xffff));
    for (int i = 0; i < 8; i++) {
        if (i == zeros) {
            at = pgdbm__write_word(at, i + length == 8 ? "::" : ":");
            i += length - 1;
            continue;
        }
        if (i > 0)
            *at++ = ':';
        if (mixed && i == 6)
            return write_ipv4(at, bytes + 12);
        uint16_t word = pgdbm__get_uint16(bytes + 2 * i);
        int shift = word > 0xfff ? 12 : word > 0xff ? 8 : word > 0xf ? 4 : 0;
        for (; shift >= 0; shift -= 4)
            *at++ = "0123456789abcdef"[word >> shift & 15];
    }
    return at;
}

size_t pgdbm__inet_text(const pgdbm_inet *inet, bool as_cidr, char text[PGDBM__VALUE_TEXT_BYTES])
{
    if (!pgdbm__inet_valid(inet))
        return 0;
    char *at = inet->family == 4 ? write_ipv4(text, inet->bytes) : write_ipv6(text, inet->bytes);
    if (as_cidr || inet->bits < address_bytes(inet) * 8) {
        *at++ = '/';
        at = pgdbm__write_number(at, inet->bits);
    }
    return (size_t)(at - text);
}

/* Addresses in full only: what '10.1' or '10/8' mean is for the server to say. */
bool pgdbm__inet_scan(const char *text, size_t bytes, pgdbm_inet *inet)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = bytes > 0 ? memchr(text, '/', bytes) : NULL;
    size_t length = slash != NULL ? (size_t)(slash - text) : bytes;
    if (length >= sizeof address || memchr(text, '\0', bytes) != NULL)
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    *inet = (pgdbm_inet){.family = memchr(address, ':', length) != NULL ? 6 : 4};
    inet->bits = (uint8_t)(address_bytes(inet) * 8);
    if (inet_pton(inet->family == 4 ? AF_INET : AF_INET6, address, inet->bytes) != 1)
        return false;
    if (slash != NULL) {
        struct pgdbm__text rest = {slash + 1, text + bytes};
        uint64_t bits;
        size_t digits = pgdbm__text_number(&rest, &bits);
        if (digits == 0 || (digits > 1 && slash[1] == '0') || rest.at != rest.end || bits > inet->bits)
            return false;
        inet->bits = (uint8_t)bits;
    }
    return true;
}

const char *pgdbm__inet_read(const char *data, size_t bytes, pgdbm_inet *inet)
{
    static const char malformed[] = "the server sent a malformed value";
    if (bytes < HEADER_BYTES)
        return malformed;
    const unsigned char *header = (const unsigned char *)data;
    *inet = (pgdbm_inet){.family = header[0] == SERVER_INET ? 4 : 6, .bits = header[1], .is_cidr = header[2] != 0};
    if ((header[0] != SERVER_INET && header[0] != SERVER_INET6) || header[2] > 1 || header[3] != address_bytes(inet) ||
        bytes - HEADER_BYTES != address_bytes(inet))
        return malformed;
    memcpy(inet->bytes, data + HEADER_BYTES, address_bytes(inet));
    return pgdbm__inet_valid(inet) ? NULL : malformed;
}

void pgdbm__inet_append(const pgdbm_inet *inet, bool as_cidr, struct pgdbm__buffer *out)
{
    size_t bytes = address_bytes(inet);
    const char header[HEADER_BYTES] = {inet->family == 4 ? SERVER_INET : SERVER_INET6, (char)inet->bits, as_cidr,
                                       (char)bytes};
    pgdbm__buffer_append(out, header, sizeof header);
    pgdbm__buffer_append(out, inet->bytes, bytes);
}

static bool print_address(const char *data, size_t bytes, bool as_cidr, struct pgdbm__buffer *out)
{
    char text[PGDBM__VALUE_TEXT_BYTES];
    pgdbm_inet inet;
    if (pgdbm__inet_read(data, bytes, &inet) != NULL)
        return false;
    inet.is_cidr = as_cidr; /* the server does not look at what was sent, either */
    size_t length = pgdbm__inet_text(&inet, as_cidr, text);
    pgdbm__buffer_append(out, text, length);
    return length > 0;
}

PGDBM__PRINT(inet)
{
    return print_address(data, bytes, false, out);
}

PGDBM__PRINT(cidr)
{
    return print_address(data, bytes, true, out);
}

PGDBM__PARSE(inet)
{
    pgdbm_inet inet;
    if (!pgdbm__inet_scan(text, bytes, &inet))
        return false;
    pgdbm__inet_append(&inet, false, out);
    return true;
}

/* Without bits the server guesses them. */
PGDBM__PARSE(cidr)
{
    pgdbm_inet inet;
    if (!pgdbm__inet_scan(text, bytes, &inet) || memchr(text, '/', bytes) == NULL || !is_network(&inet))
        return false;
    pgdbm__inet_append(&inet, true, out);
    return true;
}

PGDBM__PRINT(macaddr)
{
    char text[6 * 3];
    if (bytes != 6)
        return false;
    for (size_t i = 0; i < 6; i++)
        *pgdbm__hex_write(text + 3 * i, data + i, 1) = ':';
    pgdbm__buffer_append(out, text, sizeof text - 1);
    return true;
}

PGDBM__PARSE(macaddr)
{
    char data[6];
    if (bytes != sizeof data * 3 - 1)
        return false;
    for (size_t i = 0; i < sizeof data; i++)
        if (!pgdbm__hex_read(text + 3 * i, &data[i]) || (i < 5 && text[3 * i + 2] != ':'))
            return false;
    pgdbm__buffer_append(out, data, sizeof data);
    return true;
}
