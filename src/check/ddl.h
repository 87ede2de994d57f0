/* SPDX-License-Identifier: MIT */
/* What the rules on migrations share. */
#ifndef PGDBM_CHECK_DDL_H
#define PGDBM_CHECK_DDL_H

#include "check/text.h"

/* A table that is altered: its name, and what is said about it. */
struct pgdbm__check_alter {
    struct pgdbm__check_text *text;
    const struct pgdbm__check_statement *statement;
    const char *table;
    size_t from; /* where the names of the subcommands that come have not been met yet */
};

/* columns.c: ADD COLUMN; `column` is the ColumnDef. */
void pgdbm__check_add_column(const struct pgdbm__check_alter *alter, uint32_t column);
/* columns.c: ALTER COLUMN ... TYPE; `command` is the AlterTableCmd. */
void pgdbm__check_column_type(const struct pgdbm__check_alter *alter, uint32_t command);

/* Where a node with a location stands, or the statement. */
size_t pgdbm__check_offset_of(const struct pgdbm__check_statement *statement, uint32_t node);

#endif
