/* SPDX-License-Identifier: MIT */
/* Reading libpg_query's JSON. It is ten times as long as the SQL, so this is where the time goes: a constant, of which data
 * has many, is passed over and kept as a piece of JSON. No state; any thread. */
#include "check/tree.h"

#include <stdlib.h>
#include <string.h>

static bool same(const char *text, size_t bytes, const char *word)
{
    return strlen(word) == bytes && memcmp(text, word, bytes) == 0;
}

static uint8_t tag_of_list(const char *key, size_t bytes)
{
    static const char *const keys[] = {"funcname",  "names",      "typeName",    "name",           "objname",
                                       "defnames",  "domainname", "collname",    "useOp",          "operName",
                                       "collation", "opclass",    "opclassname", "opfamilyname",   "cfgname",
                                       "dictname",  "func_name",  "plhandler",   "conversion_name"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (same(key, bytes, keys[i]))
            return TAG_NAMES;
    return same(key, bytes, "objfuncargs") ? TAG_AGAIN : TAG_NONE;
}

static uint8_t tag_of(const char *key, size_t bytes)
{
    switch (bytes) {
    case 7:
        if (memcmp(key, "defname", 7) == 0)
            return TAG_DEFNAME;
        if (memcmp(key, "A_Const", 7) == 0)
            return TAG_CONSTANT;
        if (memcmp(key, "relname", 7) == 0)
            return TAG_RELNAME;
        return memcmp(key, "ctename", 7) == 0 ? TAG_CTENAME : TAG_NONE;
    case 8:
        return memcmp(key, "FuncCall", 8) == 0 ? TAG_FUNCTION_CALL : TAG_NONE;
    default:
        return TAG_NONE;
    }
}

/* A node at the end of the array; NULL without memory. */
static struct pgdbm__check_node *add_node(struct pgdbm__check_tree *tree)
{
    if (tree->n_nodes == tree->capacity) {
        if (tree->capacity > UINT32_MAX / 4)
            return NULL;
        uint32_t capacity = tree->capacity > 0 ? tree->capacity * 2 : 1024;
        struct pgdbm__check_node *nodes = realloc(tree->nodes, capacity * sizeof *nodes);
        if (nodes == NULL)
            return NULL;
        tree->nodes = nodes;
        tree->capacity = capacity;
    }
    return &tree->nodes[tree->n_nodes++];
}

/* Behind the string that begins at `at`, which is a quotation mark; NULL: it does not end. */
static const char *behind_string(const char *at, const char *end)
{
    const char *begin = at + 1;
    while ((at = memchr(begin, '"', (size_t)(end - begin))) != NULL) {
        const char *slash = at;
        while (slash > begin && slash[-1] == '\\')
            slash--;
        if ((at - slash) % 2 == 0)
            return at + 1;
        begin = at + 1;
    }
    return NULL;
}

/* Behind the object that begins at `at`; NULL: it does not end. */
static const char *behind_object(const char *at, const char *end)
{
    size_t depth = 0;
    while (at != NULL && at < end) {
        if (*at == '"') {
            at = behind_string(at, end);
            continue;
        }
        depth += *at == '{';
        depth -= *at == '}';
        at++;
        if (depth == 0)
            return at;
    }
    return NULL;
}

static const char *behind_word(const char *at, const char *end)
{
    while (at < end && *at != ',' && *at != '}' && *at != ']')
        at++;
    return at;
}

/* Reads a value into a new node. Returns where to go on, or NULL. */
static const char *read_value(struct pgdbm__check_tree *tree, const char *at, const char *end, const char *key,
                              size_t key_bytes, uint32_t *open)
{
    const char *next;
    uint8_t tag = *at == '[' ? tag_of_list(key, key_bytes) : tag_of(key, key_bytes);
    struct pgdbm__check_node *node = add_node(tree);
    if (node == NULL)
        return NULL;
    bool inner = (*at == '{' && tag != TAG_CONSTANT) || *at == '[';
    if (inner)
        next = at + 1;
    else if (*at == '{')
        next = behind_object(at, end);
    else
        next = *at == '"' ? behind_string(at, end) : behind_word(at, end);
    if (next == NULL || next == at || (size_t)(next - at) > UINT32_MAX)
        return NULL;
    bool quoted = *at == '"';
    *node = (struct pgdbm__check_node){.key = key,
                                       .key_bytes = (uint8_t)key_bytes,
                                       .tag = tag,
                                       .inner = inner,
                                       .parent = *open,
                                       .end = tree->n_nodes,
                                       .text = at + quoted,
                                       .text_bytes = inner ? 0 : (uint32_t)(next - at - 2 * quoted)};
    if (inner)
        *open = tree->n_nodes - 1;
    return next;
}

/* A key with its colon; NULL: there is none. */
static const char *read_key(const char *at, const char *end, const char **key, size_t *key_bytes)
{
    const char *behind = behind_string(at, end);
    if (behind == NULL || behind == end || *behind != ':' || behind - at - 2 > UINT8_MAX)
        return NULL;
    *key = at + 1;
    *key_bytes = (size_t)(behind - at - 2);
    return behind + 1;
}

bool pgdbm__check_tree_read(struct pgdbm__check_tree *tree, const char *json, size_t bytes)
{
    const char *at = json;
    const char *end = json + bytes;
    const char *key = "";
    size_t key_bytes = 0;
    uint32_t open = 0;
    tree->n_nodes = 0;
    if (bytes == 0 || *at != '{' || (at = read_value(tree, at, end, key, 0, &open)) == NULL)
        return false;
    while (at < end) {
        if (*at == ',') {
            at++;
            continue;
        }
        if (*at == '}' || *at == ']') {
            tree->nodes[open].end = tree->n_nodes;
            at++;
            if (open == 0)
                return at == end;
            open = tree->nodes[open].parent;
            continue;
        }
        bool in_object = *tree->nodes[open].text == '{';
        key_bytes = 0;
        if (in_object && (*at != '"' || (at = read_key(at, end, &key, &key_bytes)) == NULL || at == end))
            return false;
        if ((at = read_value(tree, at, end, key, key_bytes, &open)) == NULL)
            return false;
    }
    return false;
}

void pgdbm__check_tree_free(struct pgdbm__check_tree *tree)
{
    free(tree->nodes);
    *tree = (struct pgdbm__check_tree){0};
}

uint32_t pgdbm__check_tree_first(const struct pgdbm__check_tree *tree, uint32_t node)
{
    return node != 0 && tree->nodes[node].end > node + 1 ? node + 1 : 0;
}

uint32_t pgdbm__check_tree_next(const struct pgdbm__check_tree *tree, uint32_t node)
{
    uint32_t next = tree->nodes[node].end;
    return next < tree->nodes[tree->nodes[node].parent].end ? next : 0;
}

uint32_t pgdbm__check_tree_statements(const struct pgdbm__check_tree *tree)
{
    for (uint32_t child = 1; child < tree->n_nodes; child = tree->nodes[child].end)
        if (pgdbm__check_tree_key_is(tree, child, "stmts"))
            return pgdbm__check_tree_first(tree, child);
    return 0;
}

uint32_t pgdbm__check_tree_child(const struct pgdbm__check_tree *tree, uint32_t node, const char *key)
{
    size_t key_bytes = strlen(key);
    for (uint32_t child = pgdbm__check_tree_first(tree, node); child != 0; child = pgdbm__check_tree_next(tree, child))
        if (tree->nodes[child].key_bytes == key_bytes && memcmp(tree->nodes[child].key, key, key_bytes) == 0)
            return child;
    return 0;
}

bool pgdbm__check_tree_key_is(const struct pgdbm__check_tree *tree, uint32_t node, const char *key)
{
    return node != 0 && same(tree->nodes[node].key, tree->nodes[node].key_bytes, key);
}

bool pgdbm__check_tree_text_is(const struct pgdbm__check_tree *tree, uint32_t node, const char *text)
{
    return node != 0 && same(tree->nodes[node].text, tree->nodes[node].text_bytes, text);
}

bool pgdbm__check_tree_flag(const struct pgdbm__check_tree *tree, uint32_t node, const char *key)
{
    return pgdbm__check_tree_child_is(tree, node, key, "true");
}

bool pgdbm__check_tree_child_is(const struct pgdbm__check_tree *tree, uint32_t node, const char *key, const char *text)
{
    return pgdbm__check_tree_text_is(tree, pgdbm__check_tree_child(tree, node, key), text);
}

uint32_t pgdbm__check_tree_last_name(const struct pgdbm__check_tree *tree, uint32_t list)
{
    uint32_t last = 0;
    for (uint32_t item = pgdbm__check_tree_first(tree, list); item != 0; item = pgdbm__check_tree_next(tree, item))
        last = item;
    return pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, last, "String"), "sval");
}

size_t pgdbm__check_tree_number(const struct pgdbm__check_tree *tree, uint32_t node, const char *key)
{
    uint32_t child = pgdbm__check_tree_child(tree, node, key);
    size_t number = 0;
    for (uint32_t i = 0; child != 0 && i < tree->nodes[child].text_bytes && i < 18; i++) {
        char digit = tree->nodes[child].text[i];
        if (digit < '0' || digit > '9')
            break;
        number = number * 10 + (size_t)(digit - '0');
    }
    return number;
}

/* The character of a \u escape, which libpg_query writes for control characters and a few signs. */
static char unescape_hex(const char *digits)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        char digit = digits[i];
        unsigned nibble =
            digit >= '0' && digit <= '9' ? (unsigned)(digit - '0') : (unsigned)((digit | 0x20) - 'a' + 10);
        value = value * 16 + (nibble & 0xF);
    }
    return value < 0x80 ? (char)value : '?';
}

static const char *unescape(const char *text, size_t bytes, char *out, size_t out_bytes)
{
    size_t written = 0;
    for (size_t i = 0; i < bytes && written + 1 < out_bytes; i++) {
        char c = text[i];
        if (c == '\\' && i + 1 < bytes) {
            c = text[++i];
            if (c == 'u' && bytes - i > 4) {
                c = unescape_hex(text + i + 1);
                i += 4;
            } else if (c == 'n' || c == 'r' || c == 't' || c == 'b' || c == 'f')
                c = ' ';
        }
        out[written++] = c;
    }
    out[written] = '\0';
    return out;
}

const char *pgdbm__check_tree_string(const struct pgdbm__check_tree *tree, uint32_t node, char *out, size_t out_bytes)
{
    if (node == 0)
        out[0] = '\0';
    else
        unescape(tree->nodes[node].text, tree->nodes[node].text_bytes, out, out_bytes);
    return out;
}

const char *pgdbm__check_tree_constant(const struct pgdbm__check_tree *tree, uint32_t node, char *out, size_t out_bytes)
{
    static const struct {
        const char *begin;
        char end;
        bool number;
    } forms[] = {{"{\"sval\":{\"sval\":\"", '"', false},
                 {"{\"fval\":{\"fval\":\"", '"', true},
                 {"{\"ival\":{\"ival\":", '}', true},
                 {"{\"ival\":{}", '\0', true}};
    out[0] = '\0';
    if (node == 0 || tree->nodes[node].tag != TAG_CONSTANT)
        return out;
    const char *json = tree->nodes[node].text;
    size_t bytes = tree->nodes[node].text_bytes;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        size_t prefix = strlen(forms[i].begin);
        if (bytes < prefix || memcmp(json, forms[i].begin, prefix) != 0)
            continue;
        if (forms[i].end == '\0')
            return unescape("0", 1, out, out_bytes);
        const char *begin = json + prefix;
        const char *end =
            forms[i].end == '"' ? behind_string(begin - 1, json + bytes) : behind_word(begin, json + bytes);
        if (end != NULL)
            unescape(begin, (size_t)(end - begin) - (forms[i].end == '"'), out, out_bytes);
        return out;
    }
    return out;
}
