/* SPDX-License-Identifier: MIT */
/* The manual page pgdbm(1), from the tables that also parse and help. No state. */
#include "command.h"

#include <pgdbm/version.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Text that roff prints as it is: no escapes, and no requests at the beginning of a line. */
static void print_text(const char *text)
{
    bool begins = true;
    for (; *text != '\0'; text++) {
        if (begins && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        begins = *text == '\n';
        switch (*text) {
        case '\\':
            fputs("\\e", stdout);
            break;
        case '-':
            fputs("\\-", stdout);
            break;
        case '`':
            fputs("\\(ga", stdout);
            break;
        case '\'':
            fputs("\\(aq", stdout);
            break;
        case '^':
            fputs("\\(ha", stdout);
            break;
        case '~':
            fputs("\\(ti", stdout);
            break;
        default:
            putchar(*text);
        }
    }
}

static void print_bold(const char *text)
{
    printf("\\fB");
    print_text(text);
    printf("\\fR");
}

/* A paragraph that hangs from its name. */
static void print_item(const char *name, const char *value, const char *meaning)
{
    puts(".TP");
    print_bold(name);
    if (value != NULL) {
        printf(" \\fI");
        print_text(value);
        printf("\\fR");
    }
    putchar('\n');
    print_text(meaning);
    putchar('\n');
}

/* `n` of them, or up to one without a name. */
static void print_options(const struct pgdbm__cli_option *options, size_t n)
{
    for (size_t i = 0; i < n && options[i].name != NULL; i++) {
        char name[64];
        snprintf(name, sizeof name, "--%s", options[i].name);
        print_item(name, options[i].value, options[i].meaning);
    }
}

static void print_notes(const char *heading, const struct pgdbm__cli_note *notes)
{
    printf(".SH %s\n", heading);
    for (; notes->name != NULL; notes++)
        print_item(notes->name, NULL, notes->meaning);
}

static void print_example(const char *example)
{
    printf(".PP\n.nf\n.RS\n");
    print_text(example);
    printf("\n.RE\n.fi\n");
}

static void print_command(const struct pgdbm__cli_command *command)
{
    char name[64];
    printf(".SS ");
    print_text(pgdbm__cli_full_name(command, name, sizeof name));
    if (command->argument != NULL) {
        print_text(command->passes_on ? " [-- " : " ");
        print_text(command->argument);
        print_text(command->passes_on ? "]" : "");
    }
    putchar('\n');
    print_text(command->summary);
    printf(".\n.PP\n");
    print_text(command->description);
    putchar('\n');
    print_options(command->options, command->n_options);
    print_example(command->example);
}

static const struct pgdbm__cli_note files[] = {
    {"pgdbm.conf, pgdbm.toml", "The project: its databases by environment and its modules; looked for here and above. "
                               "docs/cli.md lists what may stand there."},
    {"migrations/*.sql", "A module's migrations, where the project's file says no other directory."},
    {".pgdbm/", "The private server of the directory, made by `pgdbm dev start`."},
    {0}};

void pgdbm__cli_print_manual(void)
{
    printf(".\\\" Written by `pgdbm __manual`.\n.TH PGDBM 1 \"\" \"pgdbm %s\" \"User Commands\"\n.SH NAME\npgdbm \\- ",
           pgdbm_version());
    print_text(pgdbm__cli_summary);
    printf("\n.SH SYNOPSIS\n\\fBpgdbm\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n"
           "Migrates the schemas of PostgreSQL databases, one or thousands, and helps to develop and test with them.\n"
           "Answers go to standard output; errors, questions, remarks and progress go to standard error.\n"
           "Passwords are never printed.\n.SH OPTIONS\nThese go with every command, before its name or behind it.\n");
    print_options(pgdbm__cli_common_options, SIZE_MAX);
    print_item("--version", NULL, "The version");
    print_item("--help", NULL, "Help, of the program or of a command");
    printf(".SH COMMANDS\n");
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++)
        print_command(pgdbm__cli_commands[i]);
    print_notes("\"EXIT STATUS\"", pgdbm__cli_exit_codes);
    print_notes("ENVIRONMENT", pgdbm__cli_variables);
    print_notes("FILES", files);
    printf(".SH EXAMPLES\n");
    print_example(pgdbm__cli_example);
}
