/* SPDX-License-Identifier: MIT */
/* Template expansion over any text: without placeholders nothing changes, and what was refused leaves nothing behind.
 */
#include "sql/template.h"
#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const schemas[] = {NULL, "app"};
    for (size_t i = 0; i < 2; i++) {
        struct pgdbm__buffer out = {0};
        pgdbm_error err;
        pgdbm_status status = pgdbm__template_expand((const char *)data, size, schemas[i], &out, &err);
        if (status != PGDBM_OK && (out.length != 0 || err.message[0] == '\0'))
            abort();
        if (!pgdbm__template_needed((const char *)data, size) &&
            (status != PGDBM_OK || out.length != size || (size > 0 && memcmp(out.data, data, size) != 0)))
            abort();
        pgdbm__buffer_free(&out);
    }
    return 0;
}
