/* SPDX-License-Identifier: MIT */
/* What every public header needs: symbol visibility, the C++ guard, printf checking. */
#ifndef PGDBM_EXPORT_H
#define PGDBM_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define PGDBM_EXPORT __attribute__((visibility("default")))
#define PGDBM_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define PGDBM_EXPORT
#define PGDBM_PRINTF(format_index, first_argument)
#endif

#ifdef __cplusplus
#define PGDBM_BEGIN_DECLS extern "C" {
#define PGDBM_END_DECLS }
#else
#define PGDBM_BEGIN_DECLS
#define PGDBM_END_DECLS
#endif

/* The place in the caller's source, remembered for leases and pools so that diagnostics can name it. */
#define PGDBM_HERE __FILE__, __LINE__

#endif
