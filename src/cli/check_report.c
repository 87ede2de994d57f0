/* SPDX-License-Identifier: MIT */
/* Findings printed: text with the line and a caret, JSON, SARIF. No state. */
#include "check_report.h"

#include "command.h"
#include "output.h"

#include <pgdbm/version.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 100, LONGEST_LINE = 160, MOST_REMARKS = 10 };

size_t pgdbm__cli_check_count(const struct pgdbm__check_run *run)
{
    size_t n = 0;
    for (size_t i = 0; i < run->n_findings; i++)
        n += run->findings[i].suppressed_because == NULL;
    return n;
}

static size_t count_not_checked(const struct pgdbm__check_run *run)
{
    size_t n = run->n_remarks;
    for (size_t i = 0; i < run->n_files; i++)
        n += run->files[i].not_checked;
    return n;
}

static const char *severity_name(const struct pgdbm__check_rule *rule)
{
    return rule->severity == CHECK_ERROR ? "error" : "warning";
}

/* The file that was shown last, read again: findings are few, and files may be many. */
struct shown {
    const char *path;
    char *text;
    size_t bytes;
    const char *line; /* where line number `number` begins */
    size_t number;
};

static void show_file(struct shown *shown, const char *path)
{
    const char *why = NULL;
    if (shown->path == path)
        return;
    free(shown->text);
    *shown = (struct shown){.path = path, .number = 1};
    shown->text = pgdbm__check_file_text(path, &shown->bytes, &why);
    shown->line = shown->text;
}

/* The line at `place` and its length; NULL: it is not there any more. */
static const char *line_at(struct shown *shown, const char *path, struct pgdbm__check_place place, size_t *bytes)
{
    show_file(shown, path);
    if (shown->text == NULL)
        return NULL;
    const char *end = shown->text + shown->bytes;
    if (place.line < shown->number) {
        shown->line = shown->text;
        shown->number = 1;
    }
    for (; shown->number < place.line; shown->number++) {
        const char *stop = memchr(shown->line, '\n', (size_t)(end - shown->line));
        if (stop == NULL)
            return NULL;
        shown->line = stop + 1;
    }
    const char *stop = memchr(shown->line, '\n', (size_t)(end - shown->line));
    *bytes = (size_t)((stop != NULL ? stop : end) - shown->line);
    return shown->line;
}

/* The line with a caret below the place. Control characters, which a terminal would obey, are shown as blanks. */
static void print_line(struct shown *shown, const struct pgdbm__check_finding *finding)
{
    size_t bytes = 0;
    const char *line = line_at(shown, finding->file, finding->place, &bytes);
    size_t caret = finding->place.column - 1;
    if (line == NULL || caret > bytes || caret >= LONGEST_LINE)
        return;
    bytes = bytes < LONGEST_LINE ? bytes : LONGEST_LINE;
    fputs("    ", stdout);
    char shown_line[LONGEST_LINE];
    for (size_t i = 0; i < bytes; i++) /* a tab as wide as the blank above the caret */
        shown_line[i] = line[i] == '\t' || line[i] == '\r' ? ' ' : line[i];
    pgdbm__cli_put_text(stdout, shown_line, bytes, false);
    fputs("\n    ", stdout);
    for (size_t i = 0; i < caret; i++)
        if (((unsigned char)line[i] & 0xC0) != 0x80)
            putchar(' ');
    printf("%s^%s\n", pgdbm__cli_style_on(stdout, CLI_GREEN), pgdbm__cli_style_off(stdout));
}

static void print_place(const char *file, struct pgdbm__check_place place)
{
    fputs(pgdbm__cli_style_on(stdout, CLI_BOLD), stdout);
    pgdbm__cli_put_text(stdout, file, strlen(file), false);
    printf(":%zu:%zu:%s ", place.line, place.column, pgdbm__cli_style_off(stdout));
}

static void print_finding(struct shown *shown, const struct pgdbm__check_finding *finding)
{
    const struct pgdbm__check_rule *rule = finding->rule;
    print_place(finding->file, finding->place);
    printf("%s%s:%s ", pgdbm__cli_style_on(stdout, rule->severity == CHECK_ERROR ? CLI_RED : CLI_YELLOW),
           severity_name(rule), pgdbm__cli_style_off(stdout));
    pgdbm__cli_put_text(stdout, finding->message, strlen(finding->message), false);
    printf(" [%s]\n", rule->id);
    print_line(shown, finding);
    char text[1024];
    snprintf(text, sizeof text, "why: %s", rule->why);
    pgdbm__cli_print_wrapped(text, 4, WIDTH);
    snprintf(text, sizeof text, "fix: %s", rule->fix);
    pgdbm__cli_print_wrapped(text, 4, WIDTH);
    putchar('\n');
}

static void print_remarks(const struct pgdbm__check_run *run)
{
    for (size_t i = 0; i < run->n_remarks && i < MOST_REMARKS; i++) {
        print_place(run->remarks[i].file, run->remarks[i].place);
        printf("not checked: %s\n", run->remarks[i].why);
    }
    if (run->n_remarks > MOST_REMARKS)
        printf("and %zu more, with --json all of them\n", run->n_remarks - MOST_REMARKS);
}

bool pgdbm__cli_check_print_text(const struct pgdbm__check_run *run)
{
    struct shown shown = {0};
    size_t n = pgdbm__cli_check_count(run);
    size_t not_seen = count_not_checked(run) - run->n_remarks;
    for (size_t i = 0; i < run->n_findings; i++)
        if (run->findings[i].suppressed_because == NULL)
            print_finding(&shown, &run->findings[i]);
    free(shown.text);
    if (pgdbm__cli_settings.quiet)
        return true;
    print_remarks(run);
    printf("%zu %s, %zu %s", run->n_files, run->n_files == 1 ? "file" : "files", n, n == 1 ? "finding" : "findings");
    if (run->n_findings > n)
        printf(", %zu suppressed", run->n_findings - n);
    if (not_seen > 0)
        printf(", %zu %s of SQL not checked (put together where it cannot be seen)", not_seen,
               not_seen == 1 ? "text" : "texts");
    if (run->n_remarks > 0)
        printf(", %zu %s not checked (%s)", run->n_remarks, run->n_remarks == 1 ? "statement" : "statements",
               run->remarks[0].why);
    putchar('\n');
    return true;
}

static json_t *json_rule(const struct pgdbm__check_rule *rule)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "rule", rule->id, "severity", severity_name(rule), "summary",
                     rule->summary, "why", rule->why, "fix", rule->fix);
}

bool pgdbm__cli_check_list_rules(bool json)
{
    const struct pgdbm__check_rule *rule;
    json_t *rules = json ? json_array() : NULL;
    for (size_t i = 0; (rule = pgdbm__check_rule_at(i)) != NULL; i++) {
        char text[1024];
        if (json) {
            json_array_append_new(rules, json_rule(rule));
            continue;
        }
        printf("%s%s%s: %s\n", pgdbm__cli_style_on(stdout, CLI_BOLD), rule->id, pgdbm__cli_style_off(stdout),
               rule->summary);
        snprintf(text, sizeof text, "why: %s\nfix: %s", rule->why, rule->fix);
        pgdbm__cli_print_wrapped(text, 4, WIDTH);
    }
    return !json || pgdbm__cli_print_json(rules);
}

static json_t *json_remarks(const struct pgdbm__check_run *run)
{
    json_t *remarks = json_array();
    for (size_t i = 0; i < run->n_remarks; i++)
        json_array_append_new(remarks,
                              json_pack("{s:o, s:I, s:I, s:s}", "file", pgdbm__cli_json_text(run->remarks[i].file),
                                        "line", (json_int_t)run->remarks[i].place.line, "column",
                                        (json_int_t)run->remarks[i].place.column, "why", run->remarks[i].why));
    return remarks;
}

bool pgdbm__cli_check_print_json(const struct pgdbm__check_run *run)
{
    json_t *findings = json_array(), *unreadable = json_array();
    size_t n = pgdbm__cli_check_count(run);
    for (size_t i = 0; i < run->n_findings; i++) {
        const struct pgdbm__check_finding *finding = &run->findings[i];
        json_t *one = json_rule(finding->rule);
        json_object_set_new(one, "file", pgdbm__cli_json_text(finding->file));
        json_object_set_new(one, "line", json_integer((json_int_t)finding->place.line));
        json_object_set_new(one, "column", json_integer((json_int_t)finding->place.column));
        json_object_set_new(one, "message", pgdbm__cli_json_text(finding->message));
        json_object_set_new(one, "suppressed_because", pgdbm__cli_json_text(finding->suppressed_because));
        json_array_append_new(findings, one);
    }
    for (size_t i = 0; i < run->n_files; i++)
        if (run->files[i].unreadable)
            json_array_append_new(unreadable, json_pack("{s:o, s:s}", "file", pgdbm__cli_json_text(run->files[i].path),
                                                        "why", run->files[i].why));
    return pgdbm__cli_print_json(
        json_pack("{s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o}", "files", (json_int_t)run->n_files, "counted",
                  (json_int_t)n, "suppressed", (json_int_t)(run->n_findings - n), "not_checked",
                  (json_int_t)count_not_checked(run), "sql_rules", (int)pgdbm__check_has_parser(), "findings", findings,
                  "unreadable", unreadable, "not_checked_at", json_remarks(run)));
}

/* SARIF counts characters, not bytes. */
static size_t column_in_characters(struct shown *shown, const char *file, struct pgdbm__check_place place)
{
    size_t bytes = 0;
    size_t column = 1;
    const char *line = line_at(shown, file, place, &bytes);
    if (line == NULL)
        return place.column;
    for (size_t i = 0; i + 1 < place.column && i < bytes; i++)
        column += ((unsigned char)line[i] & 0xC0) != 0x80;
    return column;
}

/* A path as part of a URI: what is neither a letter nor plain is %XX. */
static json_t *json_uri(const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    char *text = malloc(3 * strlen(path) + 1);
    size_t length = 0;
    for (const char *at = path; text != NULL && *at != '\0'; at++)
        length += strchr(plain, *at) != NULL ? (size_t)snprintf(text + length, 2, "%c", *at)
                                             : (size_t)snprintf(text + length, 4, "%%%02X", (unsigned char)*at);
    json_t *uri = text != NULL ? json_stringn(text, length) : NULL;
    free(text);
    return uri;
}

static json_t *sarif_location(struct shown *shown, const char *file, struct pgdbm__check_place place)
{
    json_t *region = json_pack("{s:I, s:I}", "startLine", (json_int_t)place.line, "startColumn",
                               (json_int_t)column_in_characters(shown, file, place));
    return json_pack("{s:{s:{s:o}, s:o}}", "physicalLocation", "artifactLocation", "uri", json_uri(file), "region",
                     region);
}

static json_t *sarif_result(struct shown *shown, const struct pgdbm__check_finding *finding)
{
    json_t *location = sarif_location(shown, finding->file, finding->place);
    json_t *result =
        json_pack("{s:s, s:s, s:{s:o}, s:[o]}", "ruleId", finding->rule->id, "level", severity_name(finding->rule),
                  "message", "text", pgdbm__cli_json_text(finding->message), "locations", location);
    if (result != NULL && finding->suppressed_because != NULL)
        json_object_set_new(result, "suppressions",
                            json_pack("[{s:s, s:o}]", "kind", "inSource", "justification",
                                      pgdbm__cli_json_text(finding->suppressed_because)));
    return result;
}

static json_t *sarif_remark(struct shown *shown, const struct pgdbm__check_remark *remark)
{
    char message[128];
    snprintf(message, sizeof message, "not checked: %s", remark->why);
    return json_pack("{s:s, s:{s:s}, s:[o]}", "level", "note", "message", "text", message, "locations",
                     sarif_location(shown, remark->file, remark->place));
}

static json_t *sarif_rules(void)
{
    const struct pgdbm__check_rule *rule;
    json_t *rules = json_array();
    for (size_t i = 0; (rule = pgdbm__check_rule_at(i)) != NULL; i++)
        json_array_append_new(rules,
                              json_pack("{s:s, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}", "id", rule->id, "shortDescription",
                                        "text", rule->summary, "fullDescription", "text", rule->why, "help", "text",
                                        rule->fix, "defaultConfiguration", "level", severity_name(rule)));
    return rules;
}

bool pgdbm__cli_check_print_sarif(const struct pgdbm__check_run *run)
{
    struct shown shown = {0};
    json_t *results = json_array(), *notes = json_array();
    for (size_t i = 0; i < run->n_findings; i++)
        json_array_append_new(results, sarif_result(&shown, &run->findings[i]));
    for (size_t i = 0; i < run->n_files; i++)
        if (run->files[i].unreadable)
            json_array_append_new(notes, json_pack("{s:s, s:{s:s}, s:[{s:{s:{s:o}}}]}", "level", "error", "message",
                                                   "text", run->files[i].why, "locations", "physicalLocation",
                                                   "artifactLocation", "uri", json_uri(run->files[i].path)));
    bool successful = json_array_size(notes) == 0;
    for (size_t i = 0; i < run->n_remarks; i++)
        json_array_append_new(notes, sarif_remark(&shown, &run->remarks[i]));
    free(shown.text);
    if (!pgdbm__check_has_parser())
        json_array_append_new(notes, json_pack("{s:s, s:{s:s}}", "level", "warning", "message", "text",
                                               "this build has no parser of SQL: the rules on SQL are off"));
    json_t *invocation =
        json_pack("{s:b, s:o}", "executionSuccessful", (int)successful, "toolExecutionNotifications", notes);
    json_t *driver = json_pack("{s:s, s:s, s:o}", "name", "pgdbm", "version", pgdbm_version(), "rules", sarif_rules());
    return pgdbm__cli_print_json(json_pack("{s:s, s:s, s:[{s:{s:o}, s:s, s:[o], s:o}]}", "$schema",
                                           "https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0", "runs",
                                           "tool", "driver", driver, "columnKind", "unicodeCodePoints", "invocations",
                                           invocation, "results", results));
}
