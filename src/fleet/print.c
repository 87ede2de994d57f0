/* SPDX-License-Identifier: MIT */
/* A report as text: for people, as JSON, and in Prometheus's text format. Pure functions, any thread. */
#include "base/buffer.h"
#include "sql/report.h"

#include <pgdbm/fleet.h>

#include <string.h>

/* The table for people. */

enum { COLUMNS = 6, CELL_BYTES = 128 };

struct row {
    char cells[COLUMNS][CELL_BYTES];
};

static const char *const headings[COLUMNS] = {"schema", "state", "head", "pending", "attempts", "error"};

static void set_cell(char cell[CELL_BYTES], const char *text)
{
    if (text != NULL)
        pgdbm__printable(text, strlen(text), cell, CELL_BYTES);
}

static void set_number(char cell[CELL_BYTES], size_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    set_cell(cell, digits + at);
}

static void fill_row(const pgdbm_target *target, struct row *row)
{
    *row = (struct row){{{0}}};
    set_cell(row->cells[0], target->schema);
    set_cell(row->cells[1], pgdbm_target_state_name(target->state));
    set_cell(row->cells[2], target->head);
    set_number(row->cells[3], target->n_pending);
    set_number(row->cells[4], target->attempts > 0 ? (size_t)target->attempts : 0);
    set_cell(row->cells[5], target->error);
}

/* Columns on a terminal: characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void print_row(struct pgdbm__buffer *out, const size_t widths[COLUMNS], const struct row *row)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        const char *cell = row != NULL ? row->cells[i] : headings[i];
        pgdbm__buffer_text(out, cell);
        for (size_t width = width_of(cell); i + 1 < COLUMNS && width < widths[i] + 2; width++)
            pgdbm__buffer_text(out, " ");
    }
    while (!out->failed && out->length > 0 && out->data[out->length - 1] == ' ')
        out->length--;
    pgdbm__buffer_text(out, "\n");
}

static void print_text(const pgdbm_fleet_report *report, struct pgdbm__buffer *out)
{
    size_t widths[COLUMNS] = {0};
    struct row row;
    const char *separator = ": ";
    pgdbm__buffer_format(out, "module %s, newest file %s, %zu tenants", report->module,
                         report->head[0] != '\0' ? report->head : "none", report->n_all);
    for (int state = 0; state <= PGDBM_TARGET_UNKNOWN; state++)
        if (report->counts[state] > 0) {
            pgdbm__buffer_format(out, "%s%zu %s", separator, report->counts[state],
                                 pgdbm_target_state_name((pgdbm_target_state)state));
            separator = ", ";
        }
    pgdbm__buffer_text(out, "\n");
    if (report->n_targets == 0)
        return;
    for (size_t i = 0; i < COLUMNS; i++)
        widths[i] = width_of(headings[i]);
    for (size_t target = 0; target < report->n_targets; target++) {
        fill_row(&report->targets[target], &row);
        for (size_t i = 0; i < COLUMNS; i++)
            widths[i] = width_of(row.cells[i]) > widths[i] ? width_of(row.cells[i]) : widths[i];
    }
    print_row(out, widths, NULL);
    for (size_t target = 0; target < report->n_targets; target++) {
        fill_row(&report->targets[target], &row);
        print_row(out, widths, &row);
    }
}

/* JSON. */

static void print_string(struct pgdbm__buffer *out, const char *text)
{
    if (text == NULL) {
        pgdbm__buffer_text(out, "null");
        return;
    }
    pgdbm__buffer_text(out, "\"");
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            pgdbm__buffer_format(out, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            pgdbm__buffer_format(out, "\\u%04x", byte);
        else
            pgdbm__buffer_append(out, text, 1);
    }
    pgdbm__buffer_text(out, "\"");
}

static void print_member(struct pgdbm__buffer *out, const char *name, const char *text)
{
    pgdbm__buffer_format(out, "\"%s\": ", name);
    print_string(out, text);
    pgdbm__buffer_text(out, ", ");
}

/* Whole microseconds: %f would ask the locale for its decimal point. */
static void print_milliseconds(struct pgdbm__buffer *out, double duration_ms)
{
    unsigned long long microseconds =
        duration_ms > 0 && duration_ms < 1e15 ? (unsigned long long)(duration_ms * 1000 + 0.5) : 0;
    pgdbm__buffer_format(out, "%llu.%03llu", microseconds / 1000, microseconds % 1000);
}

static void print_target(struct pgdbm__buffer *out, const pgdbm_target *target)
{
    pgdbm__buffer_text(out, "    {");
    print_member(out, "schema", target->schema);
    print_member(out, "state", pgdbm_target_state_name(target->state));
    print_member(out, "head", target->head);
    pgdbm__buffer_format(out, "\"pending\": %zu, \"attempts\": %d, ", target->n_pending, target->attempts);
    print_member(out, "error", target->error);
    print_member(out, "sqlstate", target->sqlstate[0] != '\0' ? target->sqlstate : NULL);
    print_member(out, "failed_at", target->failed_at);
    print_member(out, "updated_at", target->updated_at);
    pgdbm__buffer_text(out, "\"duration_ms\": ");
    print_milliseconds(out, target->duration_ms);
    pgdbm__buffer_text(out, "}");
}

static void print_json(const pgdbm_fleet_report *report, struct pgdbm__buffer *out)
{
    pgdbm__buffer_text(out, "{\n  ");
    print_member(out, "module", report->module);
    print_member(out, "head", report->head);
    pgdbm__buffer_format(out, "\"tenants\": %zu,\n  \"counts\": {", report->n_all);
    for (int state = 0; state <= PGDBM_TARGET_UNKNOWN; state++)
        pgdbm__buffer_format(out, "%s\"%s\": %zu", state > 0 ? ", " : "",
                             pgdbm_target_state_name((pgdbm_target_state)state), report->counts[state]);
    pgdbm__buffer_text(out, "},\n  \"targets\": [");
    for (size_t i = 0; i < report->n_targets; i++) {
        pgdbm__buffer_text(out, i > 0 ? ",\n" : "\n");
        print_target(out, &report->targets[i]);
    }
    pgdbm__buffer_text(out, report->n_targets > 0 ? "\n  ]\n}\n" : "]\n}\n");
}

/* Prometheus. */

/* A label's value: backslash, quote and line feed are escaped, everything else stands as it is. */
static void print_label(struct pgdbm__buffer *out, const char *name, const char *text)
{
    pgdbm__buffer_format(out, "%s=\"", name);
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            pgdbm__buffer_text(out, "\\n");
        else {
            if (*text == '"' || *text == '\\')
                pgdbm__buffer_text(out, "\\");
            pgdbm__buffer_append(out, text, 1);
        }
    }
    pgdbm__buffer_text(out, "\"");
}

/* Counts only: a series for each tenant would be ten thousand of them. */
static void print_prometheus(const pgdbm_fleet_report *report, struct pgdbm__buffer *out)
{
    pgdbm__buffer_text(out, "# HELP pgdbm_fleet_targets Tenants of a module, by the state of their migrations.\n"
                            "# TYPE pgdbm_fleet_targets gauge\n");
    for (int state = 0; state <= PGDBM_TARGET_UNKNOWN; state++) {
        pgdbm__buffer_text(out, "pgdbm_fleet_targets{");
        print_label(out, "module", report->module);
        pgdbm__buffer_text(out, ",");
        print_label(out, "state", pgdbm_target_state_name((pgdbm_target_state)state));
        pgdbm__buffer_format(out, "} %zu\n", report->counts[state]);
    }
    pgdbm__buffer_text(out, "# HELP pgdbm_fleet_info The newest file that the program has.\n"
                            "# TYPE pgdbm_fleet_info gauge\npgdbm_fleet_info{");
    print_label(out, "module", report->module);
    pgdbm__buffer_text(out, ",");
    print_label(out, "head", report->head);
    pgdbm__buffer_text(out, "} 1\n");
}

char *pgdbm_fleet_report_print(const pgdbm_fleet_report *report, pgdbm_fleet_format format)
{
    struct pgdbm__buffer out = {0};
    if (report == NULL)
        return NULL;
    if (format == PGDBM_FLEET_JSON)
        print_json(report, &out);
    else if (format == PGDBM_FLEET_PROMETHEUS)
        print_prometheus(report, &out);
    else
        print_text(report, &out);
    char *text = pgdbm__buffer_take(&out);
    if (text == NULL)
        pgdbm__buffer_free(&out);
    return text;
}
