/* SPDX-License-Identifier: MIT */
/* docs/check.md beside the table of rules: each is explained in the same words, its first example breaks it and nothing else,
 * its second breaks nothing. */
#include "check/findings.h"
#include "check/rules_c.h"
#include "check/rules_sql.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *document;

static int read_document(void **state)
{
    (void)state;
    FILE *file = fopen(PGDBM_TESTS_SOURCE "/docs/check.md", "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long bytes = ftell(file);
    assert_true(bytes > 0);
    rewind(file);
    document = calloc(1, (size_t)bytes + 1);
    assert_non_null(document);
    assert_int_equal(fread(document, 1, (size_t)bytes, file), bytes);
    fclose(file);
    return 0;
}

static int free_document(void **state)
{
    (void)state;
    free(document);
    return 0;
}

/* A rule's section, to be freed. */
static char *section_of(const char *id)
{
    char heading[128];
    snprintf(heading, sizeof heading, "\n### %s\n", id);
    const char *begin = strstr(document, heading);
    if (begin == NULL)
        fail_msg("docs/check.md does not explain %s", id);
    begin += strlen(heading);
    const char *end = strstr(begin, "\n##");
    char *section = end != NULL ? strndup(begin, (size_t)(end - begin)) : strdup(begin);
    assert_non_null(section);
    return section;
}

/* Makes each run of white space one blank. */
static void join_lines(char *text)
{
    char *out = text;
    for (const char *at = text; *at != '\0'; at++)
        if (!isspace((unsigned char)*at))
            *out++ = *at;
        else if (out > text && out[-1] != ' ')
            *out++ = ' ';
    *out = '\0';
}

static void expect_words(const char *section, const char *id, const char *words)
{
    if (strstr(section, words) == NULL)
        fail_msg("docs/check.md does not say of %s: %s", id, words);
}

static void each_rule_is_explained_in_the_words_of_the_program(void **state)
{
    (void)state;
    for (size_t i = 0; i < pgdbm__check_n_sql_rules + pgdbm__check_n_c_rules; i++) {
        const struct pgdbm__check_rule *rule = i < pgdbm__check_n_sql_rules
                                                   ? pgdbm__check_sql_rules[i]
                                                   : pgdbm__check_c_rules[i - pgdbm__check_n_sql_rules];
        const char *level = rule->severity == CHECK_ERROR ? "error" : "warning";
        char words[512];
        char *section = section_of(rule->id);
        join_lines(section);
        snprintf(words, sizeof words, "**%s**: %s.", level, rule->summary);
        expect_words(section, rule->id, words);
        expect_words(section, rule->id, rule->why);
        expect_words(section, rule->id, rule->fix);
        snprintf(words, sizeof words, "\n| [`%s`](#%s) | %s | %s |\n", rule->id, rule->id, level, rule->summary);
        expect_words(document, rule->id, words);
        free(section);
    }
}

/* The example of this number, to be freed. */
static char *example_of(const char *section, int number)
{
    static const char opening[] = "```sql\n";
    const char *begin = section;
    for (int i = 0; i <= number; i++) {
        begin = strstr(begin, opening);
        assert_non_null(begin);
        begin += sizeof opening - 1;
    }
    const char *end = strstr(begin, "```");
    assert_non_null(end);
    char *example = strndup(begin, (size_t)(end - begin));
    assert_non_null(example);
    return example;
}

static char *findings_of(const char *text)
{
    struct pgdbm__check_run *run = findings_begin();
    struct pgdbm__check_sql sql = {.file = "001_a.sql", .text = text, .bytes = strlen(text), .migration = true};
    assert_true(pgdbm__check_read_sql(run, &sql));
    return findings_end(run);
}

/* Whether there are findings, all of this rule. */
static bool all_are(char *findings, const char *id)
{
    char *rest = findings;
    for (char *line; (line = strtok_r(rest, "\n", &rest)) != NULL;) {
        const char *rule = strchr(line, ' ');
        if (rule == NULL || strncmp(rule + 1, id, strlen(id)) != 0 || rule[1 + strlen(id)] != ':')
            return false;
    }
    return rest != findings;
}

static void the_examples_break_their_rule_and_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < pgdbm__check_n_sql_rules; i++) {
        const char *id = pgdbm__check_sql_rules[i]->id;
        char *section = section_of(id);
        char *bad = example_of(section, 0), *good = example_of(section, 1);
        char *found = findings_of(bad);
        char *shown = strdup(found);
        if (!all_are(found, id))
            fail_msg("the example of %s has: %s", id, shown);
        free(found);
        found = findings_of(good);
        if (found[0] != '\0')
            fail_msg("the way out of %s has: %s", id, found);
        free(found);
        free(shown);
        free(bad);
        free(good);
        free(section);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_is_explained_in_the_words_of_the_program),
        cmocka_unit_test(the_examples_break_their_rule_and_nothing),
    };
    return cmocka_run_group_tests(tests, read_document, free_document);
}
