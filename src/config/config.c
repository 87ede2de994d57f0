/* SPDX-License-Identifier: MIT */
/* Copying, completing and checking a configuration by the table. No state. */
#include "config/config.h"

#include "base/alloc.h"
#include "base/error.h"
#include "config/table.h"

#include <math.h>
#include <pgdbm/version.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void *field_at(pgdbm_config *config, const struct pgdbm__field *field)
{
    return (char *)config + field->offset;
}

static pgdbm_status bad_number(const struct pgdbm__field *field, double value, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_CONFIG, "%s is %.15g; it must be %s", field->shown.name, value, field->shown.range);
    pgdbm__error_hint(err, "leave it zero for the default (%s)", field->shown.default_value);
    return PGDBM_ERR_CONFIG;
}

static pgdbm_status complete_field(pgdbm_config *config, const struct pgdbm__field *field, pgdbm_error *err)
{
    if (field->kind == PGDBM__FIELD_INT) {
        int *value = field_at(config, field);
        if (*value == 0)
            *value = (int)field->fallback;
        else if ((*value < field->low || *value > field->high) && !(field->may_be_off && *value == -1))
            return bad_number(field, *value, err);
    } else if (field->kind == PGDBM__FIELD_DOUBLE) {
        double *value = field_at(config, field);
        if (*value == 0)
            *value = field->fallback;
        else if (!(*value >= field->low && *value <= field->high))
            return bad_number(field, *value, err);
    }
    return PGDBM_OK;
}

/* The caller's struct may be of another version: what both know is copied, and more than that must be zero. */
static pgdbm_status take_struct(const pgdbm_config *config, size_t config_bytes, pgdbm_config *out, pgdbm_error *err)
{
    *out = (pgdbm_config){0};
    memcpy(out, config, config_bytes < sizeof *out ? config_bytes : sizeof *out);
    for (size_t i = sizeof *out; i < config_bytes; i++)
        if (((const char *)config)[i] != 0) {
            pgdbm__fail(err, PGDBM_ERR_CONFIG,
                        "the configuration uses fields that this version of the library does not know");
            pgdbm__error_hint(
                err, "the program was compiled for a newer libpgdbm than the one that runs (" PGDBM_VERSION_STRING ")");
            return PGDBM_ERR_CONFIG;
        }
    return PGDBM_OK;
}

static pgdbm_status check_lists(const pgdbm_config *config, pgdbm_error *err)
{
    if ((config->n_server_settings > 0 && config->server_settings == NULL) ||
        (config->n_init_commands > 0 && config->init_commands == NULL))
        return pgdbm__fail(err, PGDBM_ERR_CONFIG, "a list of settings or commands has a count and no entries");
    for (size_t i = 0; i < config->n_server_settings; i++) {
        const char *name = config->server_settings[i].name;
        if (name == NULL || config->server_settings[i].value == NULL || name[0] == '\0' ||
            name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")] != '\0')
            return pgdbm__fail(err, PGDBM_ERR_CONFIG,
                               "server_settings[%zu] has no value, or a name that is none: \"%.60s\"", i,
                               name != NULL ? name : "");
    }
    for (size_t i = 0; i < config->n_init_commands; i++)
        if (config->init_commands[i] == NULL)
            return pgdbm__fail(err, PGDBM_ERR_CONFIG, "init_commands[%zu] is NULL", i);
    if ((unsigned)config->on_duplicate_pool > PGDBM_ALLOW)
        return pgdbm__fail(err, PGDBM_ERR_CONFIG,
                           "on_duplicate_pool is %d; it must be PGDBM_WARN, PGDBM_FORBID or PGDBM_ALLOW",
                           (int)config->on_duplicate_pool);
    return PGDBM_OK;
}

static pgdbm_status complete(const pgdbm_config *config, size_t config_bytes, pgdbm_config *out, pgdbm_error *err)
{
    pgdbm_status status = take_struct(config, config_bytes, out, err);
    for (size_t i = 0; status == PGDBM_OK && i < pgdbm__n_fields; i++)
        status = complete_field(out, &pgdbm__fields[i], err);
    if (status != PGDBM_OK)
        return status;
    if (out->min_connections < 0)
        out->min_connections = 0;
    if (out->min_connections > out->max_connections) {
        if (config->min_connections > 0)
            return pgdbm__fail(err, PGDBM_ERR_CONFIG, "min_connections (%d) is more than max_connections (%d)",
                               out->min_connections, out->max_connections);
        out->min_connections = out->max_connections;
    }
    return check_lists(out, err);
}

static pgdbm_status copy_strings(struct pgdbm__config *copy)
{
    bool short_of_memory = false;
    for (size_t i = 0; i < pgdbm__n_fields; i++)
        if (pgdbm__fields[i].kind == PGDBM__FIELD_TEXT) {
            const char **text = field_at(&copy->values, &pgdbm__fields[i]);
            const char *original = *text;
            *text = pgdbm__strdup(original);
            short_of_memory |= original != NULL && *text == NULL;
        }
    size_t n_settings = copy->values.n_server_settings;
    size_t n_commands = copy->values.n_init_commands;
    copy->settings = pgdbm__alloc_zero(n_settings, sizeof *copy->settings);
    copy->commands = pgdbm__alloc_zero(n_commands, sizeof *copy->commands);
    short_of_memory |= copy->settings == NULL || copy->commands == NULL;
    for (size_t i = 0; copy->settings != NULL && i < n_settings; i++) {
        copy->settings[i].name = pgdbm__strdup(copy->values.server_settings[i].name);
        copy->settings[i].value = pgdbm__strdup(copy->values.server_settings[i].value);
        short_of_memory |= copy->settings[i].name == NULL || copy->settings[i].value == NULL;
    }
    for (size_t i = 0; copy->commands != NULL && i < n_commands; i++) {
        copy->commands[i] = pgdbm__strdup(copy->values.init_commands[i]);
        short_of_memory |= copy->commands[i] == NULL;
    }
    copy->values.server_settings = copy->settings;
    copy->values.init_commands = (const char *const *)copy->commands;
    return short_of_memory ? PGDBM_ERR_NOMEM : PGDBM_OK;
}

pgdbm_status pgdbm__config_copy(const pgdbm_config *config, size_t config_bytes, struct pgdbm__config **copy,
                                pgdbm_error *err)
{
    *copy = NULL;
    if (config == NULL)
        return pgdbm__fail_null(err, "configuring", "config");
    pgdbm_config complete_values;
    pgdbm_status status = complete(config, config_bytes, &complete_values, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm__config *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "copying a configuration");
    made->values = complete_values;
    if (copy_strings(made) != PGDBM_OK) {
        pgdbm__config_free(made);
        return pgdbm__fail_nomem(err, "copying a configuration");
    }
    *copy = made;
    return PGDBM_OK;
}

void pgdbm__config_free(struct pgdbm__config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < pgdbm__n_fields; i++)
        if (pgdbm__fields[i].kind == PGDBM__FIELD_TEXT)
            pgdbm__free(*(char **)field_at(&config->values, &pgdbm__fields[i]));
    for (size_t i = 0; config->settings != NULL && i < config->values.n_server_settings; i++) {
        pgdbm__free((char *)config->settings[i].name);
        pgdbm__free((char *)config->settings[i].value);
    }
    for (size_t i = 0; config->commands != NULL && i < config->values.n_init_commands; i++)
        pgdbm__free(config->commands[i]);
    pgdbm__free(config->settings);
    pgdbm__free(config->commands);
    pgdbm__free(config);
}

pgdbm_status pgdbm_config_check_sized(const pgdbm_config *config, size_t config_bytes, pgdbm_error *err)
{
    pgdbm_config complete_values;
    if (config == NULL)
        return pgdbm__fail_null(err, "pgdbm_config_check", "config");
    return complete(config, config_bytes, &complete_values, err);
}

static pgdbm_status from_environment(pgdbm_config *config, const struct pgdbm__field *field, const char *text,
                                     pgdbm_error *err)
{
    char *end = NULL;
    double number = field->kind == PGDBM__FIELD_INT ? (double)strtol(text, &end, 10) : strtod(text, &end);
    bool is_number = end != text && *end == '\0';
    bool on = strcmp(text, "on") == 0 || strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
    bool off = strcmp(text, "off") == 0 || strcmp(text, "0") == 0 || strcmp(text, "false") == 0;
    bool in_range = (number >= field->low && number <= field->high) || (field->may_be_off && number == -1);
    if (field->kind == PGDBM__FIELD_TEXT && *(const char **)field_at(config, field) == NULL)
        *(const char **)field_at(config, field) = text;
    else if (field->kind == PGDBM__FIELD_INT && is_number && in_range) {
        if (*(int *)field_at(config, field) == 0)
            *(int *)field_at(config, field) = (int)number;
    } else if (field->kind == PGDBM__FIELD_DOUBLE && is_number && in_range) {
        if (*(double *)field_at(config, field) == 0)
            *(double *)field_at(config, field) = number;
    } else if (field->kind == PGDBM__FIELD_BOOL && (on || off))
        *(bool *)field_at(config, field) |= on;
    else if (field->kind != PGDBM__FIELD_TEXT)
        return pgdbm__fail(err, PGDBM_ERR_CONFIG, "the environment variable %s is \"%.60s\"; it must be %s",
                           field->shown.environment, text, field->shown.range);
    return PGDBM_OK;
}

pgdbm_status pgdbm_config_from_environment_sized(pgdbm_config *config, size_t config_bytes, pgdbm_error *err)
{
    if (config == NULL)
        return pgdbm__fail_null(err, "pgdbm_config_from_environment", "config");
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < pgdbm__n_fields; i++) {
        const struct pgdbm__field *field = &pgdbm__fields[i];
        const char *text = field->shown.environment[0] != '\0' ? getenv(field->shown.environment) : NULL;
        if (text != NULL && text[0] != '\0' && field->offset < config_bytes)
            status = from_environment(config, field, text, err);
    }
    return status;
}

/* What users see of the table, in an array they can walk. Written once. */
static pgdbm_config_field shown[64];
static pthread_once_t shown_once = PTHREAD_ONCE_INIT;

static void fill_shown(void)
{
    for (size_t i = 0; i < pgdbm__n_fields; i++)
        shown[i] = pgdbm__fields[i].shown;
}

const pgdbm_config_field *pgdbm_config_fields(size_t *n_fields)
{
    if (n_fields != NULL)
        *n_fields = pgdbm__n_fields;
    pthread_once(&shown_once, fill_shown);
    return shown;
}
