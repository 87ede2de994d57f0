/* SPDX-License-Identifier: MIT */
/* cmocka with the headers it wants before itself. */
#ifndef PGDBM_TESTS_SQL_SUITE_H
#define PGDBM_TESTS_SQL_SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#endif
