/* SPDX-License-Identifier: MIT */
/* The tokenizer. No state but the caller's scanner; any thread. */
#include "sql/scan.h"

#include <stdint.h>
#include <string.h>

/* What a byte may be. A table, because every byte of every statement passes here, and because <ctype.h> would change its
 * answers with the locale. */
enum {
    SPACE = 1,
    WORD_START = 2, /* letters, underscore, and every byte of a multi-byte character */
    DIGIT = 4,
    HEX_LETTER = 8,
    OPERATOR = 16
};

static const uint8_t classes[256] = {
    [' '] = SPACE,
    ['\t'] = SPACE,
    ['\n'] = SPACE,
    ['\v'] = SPACE,
    ['\f'] = SPACE,
    ['\r'] = SPACE,
    ['_'] = WORD_START,
    ['0' ... '9'] = DIGIT,
    ['a' ... 'f'] = WORD_START | HEX_LETTER,
    ['g' ... 'z'] = WORD_START,
    ['A' ... 'F'] = WORD_START | HEX_LETTER,
    ['G' ... 'Z'] = WORD_START,
    [0x80 ... 0xFF] = WORD_START,
    ['~'] = OPERATOR,
    ['!'] = OPERATOR,
    ['@'] = OPERATOR,
    ['#'] = OPERATOR,
    ['^'] = OPERATOR,
    ['&'] = OPERATOR,
    ['|'] = OPERATOR,
    ['`'] = OPERATOR,
    ['?'] = OPERATOR,
    ['+'] = OPERATOR,
    ['-'] = OPERATOR,
    ['*'] = OPERATOR,
    ['/'] = OPERATOR,
    ['%'] = OPERATOR,
    ['<'] = OPERATOR,
    ['>'] = OPERATOR,
    ['='] = OPERATOR,
};
