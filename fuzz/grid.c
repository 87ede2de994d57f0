/* SPDX-License-Identifier: MIT */
/* Tables as text over any text: what is read can be written, and is then read as the same. */
#include "base/alloc.h"
#include "testkit/data.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = pgdbm__memdup(data, size);
    struct pgdbm__grid grid = {0}, again = {0};
    pgdbm_error err;
    if (pgdbm__grid_parse(&grid, text, &err) == PGDBM_OK) {
        char *written = pgdbm__grid_text(&grid);
        require(pgdbm__grid_parse(&again, written, &err) == PGDBM_OK);
        require(again.n_columns == grid.n_columns && again.n_rows == grid.n_rows);
        require(pgdbm__compare_rows(again.names, grid.names, grid.n_columns) == 0);
        for (size_t i = 0; i < grid.n_rows; i++)
            require(pgdbm__compare_rows(pgdbm__grid_row(&grid, i), pgdbm__grid_row(&again, i), grid.n_columns) == 0);
        pgdbm__free(written);
    } else
        require(strstr(err.message, "line ") != NULL);
    pgdbm__grid_free(&grid);
    pgdbm__grid_free(&again);
    pgdbm__free(text);
    return 0;
}
