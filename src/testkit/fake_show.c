/* SPDX-License-Identifier: MIT */
/* Bytes and messages in the words of an error. No state. */
#include "testkit/fake.h"

#include <stdio.h>
#include <string.h>

/* The longest piece that a byte becomes, the dots, and the terminator. */
#define ROOM (sizeof "\\xNN..." - 1 + 1)

void pgdbm__fake_show(const void *data, size_t bytes, char *text, size_t text_bytes)
{
    const unsigned char *from = data;
    size_t length = 0;
    size_t i = 0;
    for (; i < bytes && length + ROOM <= text_bytes; i++) {
        const char *format = from[i] == '\\' ? "\\\\" : from[i] == '\n' ? "\\n" : from[i] == '\r' ? "\\r" : NULL;
        if (format != NULL)
            length += (size_t)snprintf(text + length, text_bytes - length, "%s", format);
        else if (from[i] >= ' ' && from[i] < 0x7f)
            text[length++] = (char)from[i];
        else if (from[i] == 0)
            length += (size_t)snprintf(text + length, text_bytes - length, "\\0");
        else
            length += (size_t)snprintf(text + length, text_bytes - length, "\\x%02x", from[i]);
    }
    snprintf(text + length, text_bytes - length, "%s", i < bytes ? "..." : "");
}

void pgdbm__fake_name(char type, char text[32])
{
    static const struct {
        char type;
        const char *name;
    } names[] = {{'B', "Bind"},         {'C', "Close"},          {'D', "Describe"}, {'E', "Execute"},
                 {'F', "FunctionCall"}, {'H', "Flush"},          {'P', "Parse"},    {'Q', "Query"},
                 {'S', "Sync"},         {'X', "Terminate"},      {'c', "CopyDone"}, {'d', "CopyData"},
                 {'f', "CopyFail"},     {'p', "PasswordMessage"}};
    char shown[16];
    const char *name = "no such message";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].type == type)
            name = names[i].name;
    }
    pgdbm__fake_show(&type, 1, shown, sizeof shown);
    snprintf(text, 32, "%.8s (%.16s)", shown, name);
}
