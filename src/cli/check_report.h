/* SPDX-License-Identifier: MIT */
/* Findings, for people and for programs. One thread. */
#ifndef PGDBM_CLI_CHECK_REPORT_H
#define PGDBM_CLI_CHECK_REPORT_H

#include "check/run.h"

/* The findings that count: those that nothing suppresses. */
size_t pgdbm__cli_check_count(const struct pgdbm__check_run *run);

/* Each prints the whole run to standard output. False after having said that memory ran out. */
bool pgdbm__cli_check_print_text(const struct pgdbm__check_run *run);
bool pgdbm__cli_check_print_json(const struct pgdbm__check_run *run);
bool pgdbm__cli_check_print_sarif(const struct pgdbm__check_run *run); /* SARIF 2.1.0, OASIS */
bool pgdbm__cli_check_list_rules(bool json);

#endif
