/* SPDX-License-Identifier: MIT */
/* A file that is written as a whole or stays as it was. One thread. */
#ifndef PGDBM_CLI_WHOLE_FILE_H
#define PGDBM_CLI_WHOLE_FILE_H

#include <stdbool.h>

struct pgdbm__cli_whole_file {
    int fd;
    char *path;      /* links followed */
    char *temporary; /* beside it; NULL: it is no regular file, but a device or a pipe that is written to as it is */
};

/* Opens what shall take the place of `path`. False after having said why. */
bool pgdbm__cli_whole_file_begin(struct pgdbm__cli_whole_file *file, const char *path);

/* Closes it and, when what was written is `wanted`, puts it into its place; else it is removed. False after having said what went
 * wrong. */
bool pgdbm__cli_whole_file_end(struct pgdbm__cli_whole_file *file, bool wanted);

#endif
