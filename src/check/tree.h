/* SPDX-License-Identifier: MIT */
/* The parse tree as libpg_query writes it (JSON without white space), read into one array in the order of the text: a node's
 * descendants are the nodes between it and its `end`, so that a walk is a loop and depth costs nothing. Nodes point into the
 * JSON. No node is 0 but the root, which is nobody's child: 0 stands for "there is none". */
#ifndef PGDBM_CHECK_TREE_H
#define PGDBM_CHECK_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nodes that are looked for wherever they stand. */
enum pgdbm__check_tag {
    TAG_NONE = 0,
    TAG_RELNAME,
    TAG_CTENAME,
    TAG_FUNCTION_CALL,
    TAG_CONSTANT,
    TAG_NAMES,   /* a list of strings, app and total of app.total, of whatever kind */
    TAG_DEFNAME, /* of an option */
    TAG_AGAIN    /* says once more what stood before it */
};

struct pgdbm__check_node {
    const char *key;  /* in an object */
    const char *text; /* a string without its quotes, a number, a word; a constant: its JSON */
    uint32_t text_bytes;
    uint32_t end;    /* behind the last descendant */
    uint32_t parent; /* of the root: itself */
    uint8_t key_bytes;
    uint8_t tag;
    bool inner; /* an object or an array */
};

struct pgdbm__check_tree {
    struct pgdbm__check_node *nodes;
    uint32_t n_nodes, capacity;
};

/* Replaces what the tree held. False: no memory, or not what libpg_query writes. */
bool pgdbm__check_tree_read(struct pgdbm__check_tree *tree, const char *json, size_t bytes);
void pgdbm__check_tree_free(struct pgdbm__check_tree *tree);

/* The first statement: an object with "stmt", "stmt_location" and "stmt_len". 0: there is none. */
uint32_t pgdbm__check_tree_statements(const struct pgdbm__check_tree *tree);

/* The child with this key, or 0; of 0, 0. */
uint32_t pgdbm__check_tree_child(const struct pgdbm__check_tree *tree, uint32_t node, const char *key);

/* The first child, or 0; of 0, 0. What stands in a list is an object with one child, whose key is the kind. */
uint32_t pgdbm__check_tree_first(const struct pgdbm__check_tree *tree, uint32_t node);

/* The next child of the same parent, or 0. */
uint32_t pgdbm__check_tree_next(const struct pgdbm__check_tree *tree, uint32_t node);

bool pgdbm__check_tree_key_is(const struct pgdbm__check_tree *tree, uint32_t node, const char *key);
bool pgdbm__check_tree_text_is(const struct pgdbm__check_tree *tree, uint32_t node, const char *text);

/* Whether a child is there and this text. */
bool pgdbm__check_tree_child_is(const struct pgdbm__check_tree *tree, uint32_t node, const char *key, const char *text);

/* The last string of a list of names, int4 of pg_catalog.int4; 0: it has none. */
uint32_t pgdbm__check_tree_last_name(const struct pgdbm__check_tree *tree, uint32_t list);

/* Whether a child is there and `true`. */
bool pgdbm__check_tree_flag(const struct pgdbm__check_tree *tree, uint32_t node, const char *key);

/* A child's number; 0 when there is none, as the JSON leaves zeros out. */
size_t pgdbm__check_tree_number(const struct pgdbm__check_tree *tree, uint32_t node, const char *key);

/* Copies a string with its escapes undone, cut to what fits in. Returns `out`, "" for node 0. */
const char *pgdbm__check_tree_string(const struct pgdbm__check_tree *tree, uint32_t node, char *out, size_t out_bytes);

/* The same of a constant: a string or a number, in digits. */
const char *pgdbm__check_tree_constant(const struct pgdbm__check_tree *tree, uint32_t node, char *out,
                                       size_t out_bytes);

#endif
