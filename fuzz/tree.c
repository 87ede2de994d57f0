/* SPDX-License-Identifier: MIT */
/* The reader of libpg_query's JSON over any bytes: nodes lie inside, in order, each within its parent. */
#include "check/tree.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_node(const struct pgdbm__check_tree *tree, uint32_t i, const char *json, size_t bytes)
{
    const struct pgdbm__check_node *node = &tree->nodes[i];
    if (node->text < json || node->text + node->text_bytes > json + bytes)
        abort();
    if (node->end <= i || node->end > tree->n_nodes || (i > 0 && node->end > tree->nodes[node->parent].end))
        abort();
    if (i > 0 && (node->parent >= i || !tree->nodes[node->parent].inner))
        abort();
    char text[16];
    (void)pgdbm__check_tree_string(tree, i, text, sizeof text);
    (void)pgdbm__check_tree_constant(tree, i, text, sizeof text);
    (void)pgdbm__check_tree_number(tree, i, "location");
    uint32_t children = 0;
    for (uint32_t child = pgdbm__check_tree_first(tree, i); child != 0; child = pgdbm__check_tree_next(tree, child))
        if (tree->nodes[child].parent != i || ++children > tree->n_nodes)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgdbm__check_tree tree = {0};
    char *json = malloc(size > 0 ? size : 1); /* exactly: not a byte behind it is read */
    if (json == NULL)
        return 0;
    if (size > 0)
        memcpy(json, data, size);
    if (pgdbm__check_tree_read(&tree, json, size)) {
        for (uint32_t i = 0; i < tree.n_nodes; i++)
            check_node(&tree, i, json, size);
        (void)pgdbm__check_tree_statements(&tree);
    }
    pgdbm__check_tree_free(&tree);
    free(json);
    return 0;
}
