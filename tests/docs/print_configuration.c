/* SPDX-License-Identifier: MIT */
/* Prints the table of docs/configuration.md from the one that parses and checks the fields. */
#include <pgdbm/config.h>
#include <stdio.h>

int main(void)
{
    size_t n_fields = 0;
    const pgdbm_config_field *fields = pgdbm_config_fields(&n_fields);
    printf("| field | type | default | range | environment | meaning |\n|---|---|---|---|---|---|\n");
    for (const pgdbm_config_field *field = fields; field < fields + n_fields; field++) {
        const char *quote = field->environment[0] != '\0' ? "`" : "";
        printf("| `%s` | %s | %s | %s | %s%s%s | %s |\n", field->name, field->type, field->default_value, field->range,
               quote, field->environment, quote, field->meaning);
    }
    return 0;
}
