/* SPDX-License-Identifier: MIT */
/* The `pgdbm` program: finds the command, lets it run, makes sure that what it said has arrived. Uses libpgdbm's public
 * interface only. One thread of its own. */
#include "command.h"
#include "completion.h"
#include "fleet.h"
#include "interrupt.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <pgdbm/version.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

const struct pgdbm__cli_command *const pgdbm__cli_commands[] = {
    &pgdbm__cli_migrate_apply,    &pgdbm__cli_migrate_status,  &pgdbm__cli_migrate_rollback,
    &pgdbm__cli_migrate_baseline, &pgdbm__cli_migrate_repair,  &pgdbm__cli_migrate_verify,
    &pgdbm__cli_migrate_history,  &pgdbm__cli_migrate_check,   &pgdbm__cli_migrate_create,
    &pgdbm__cli_fleet_apply,      &pgdbm__cli_fleet_status,    &pgdbm__cli_fleet_sync,
    &pgdbm__cli_fleet_create,     &pgdbm__cli_fleet_drop,      &pgdbm__cli_fleet_drift,
    &pgdbm__cli_fleet_pause,      &pgdbm__cli_fleet_resume,    &pgdbm__cli_fleet_cancel,
    &pgdbm__cli_fleet_quarantine, &pgdbm__cli_fleet_release,   &pgdbm__cli_db_create,
    &pgdbm__cli_db_drop,          &pgdbm__cli_db_reset,        &pgdbm__cli_db_test_connection,
    &pgdbm__cli_db_info,          &pgdbm__cli_schema_list,     &pgdbm__cli_schema_create,
    &pgdbm__cli_schema_deps,      &pgdbm__cli_schema_clean,    &pgdbm__cli_dev_start,
    &pgdbm__cli_dev_stop,         &pgdbm__cli_dev_url,         &pgdbm__cli_dev_watch,
    &pgdbm__cli_dev_psql,         &pgdbm__cli_dev_reset,       &pgdbm__cli_dev_export_schema,
    &pgdbm__cli_test_sweep,       &pgdbm__cli_check,           &pgdbm__cli_choose,
    &pgdbm__cli_new_standalone,   &pgdbm__cli_new_shared_pool, &pgdbm__cli_new_dual_mode,
    &pgdbm__cli_completion_bash,  &pgdbm__cli_completion_zsh,  &pgdbm__cli_completion_fish,
};
const size_t pgdbm__cli_n_commands = sizeof pgdbm__cli_commands / sizeof pgdbm__cli_commands[0];

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++)
        if (same(pgdbm__cli_commands[i]->group, word))
            return true;
    return false;
}

/* Says that there is no such command, and which one was probably meant: a first word when `group` is NULL. */
static int unknown_command(const char *group, const char *word)
{
    const char *candidates[sizeof pgdbm__cli_commands / sizeof pgdbm__cli_commands[0] + 1] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++) {
        const struct pgdbm__cli_command *command = pgdbm__cli_commands[i];
        if (group == NULL)
            candidates[n++] = command->group != NULL ? command->group : command->name;
        else if (same(command->group, group))
            candidates[n++] = command->name;
    }
    const char *suggestion = pgdbm__cli_suggest(word, candidates);
    const char *space = group != NULL ? " " : "";
    group = group != NULL ? group : "";
    char hint[256];
    if (suggestion != NULL)
        snprintf(hint, sizeof hint, "did you mean pgdbm %s%s%s?", group, space, suggestion);
    else if (group[0] == '\0' && (same(word, "version") || same(word, "-v") || same(word, "-V")))
        snprintf(hint, sizeof hint, "pgdbm --version prints the version");
    else if (strncmp(word, "--", 2) == 0)
        snprintf(hint, sizeof hint, "a command's options stand behind it; pgdbm %s%s--help lists the commands", group,
                 space);
    else
        snprintf(hint, sizeof hint, "pgdbm %s%s--help lists the commands", group, space);
    pgdbm__cli_say_error(hint, "unknown command: %s%s%.*s", group, space, pgdbm__cli_showable(word), word);
    return CLI_USAGE;
}

/* The command that the words name and how many of them did, or NULL. */
static const struct pgdbm__cli_command *find_command(int argc, char **argv, int *words)
{
    for (size_t i = 0; i < pgdbm__cli_n_commands; i++) {
        const struct pgdbm__cli_command *command = pgdbm__cli_commands[i];
        *words = command->group != NULL ? 2 : 1;
        if (argc >= *words && same(command->name, argv[*words - 1]) &&
            (command->group == NULL || same(command->group, argv[0])))
            return command;
    }
    return NULL;
}

static int help_about(int argc, char **argv)
{
    int words = 0;
    const struct pgdbm__cli_command *command = find_command(argc, argv, &words);
    if (argc == 0)
        pgdbm__cli_help_program();
    else if (command != NULL)
        pgdbm__cli_help_command(command);
    else if (!is_group(argv[0]))
        return unknown_command(NULL, argv[0]);
    else if (argc > 1)
        return unknown_command(argv[0], argv[1]);
    else
        pgdbm__cli_help_group(argv[0]);
    return CLI_FINE;
}

static bool asks_for_help(const char *word)
{
    return same(word, "--help") || same(word, "-h");
}

static int run_command(const struct pgdbm__cli_command *command, int argc, char **argv)
{
    struct pgdbm__cli_given given;
    bool help = false;
    int code = pgdbm__cli_parse(command, argc, argv, &given, &help);
    if (help)
        pgdbm__cli_help_command(command);
    return help || code != CLI_FINE ? code : pgdbm__cli_interrupt_end(command->run(command, &given));
}

static int dispatch(int argc, char **argv)
{
    int words = 0;
    const struct pgdbm__cli_command *command = find_command(argc, argv, &words);
    if (command != NULL)
        return run_command(command, argc - words, argv + words);
    if (argc == 0) {
        pgdbm__cli_say_error("pgdbm --help lists the commands", "no command given");
        return CLI_USAGE;
    }
    if (same(argv[0], "help") || asks_for_help(argv[0])) {
        bool again = argc > 1 && asks_for_help(argv[1]);
        return help_about(again ? 0 : argc - 1, argv + 1);
    }
    if (same(argv[0], "--version")) {
        printf("pgdbm %s\n", pgdbm_version());
        return CLI_FINE;
    }
    /* Two words that nobody types: what the scripts of shells ask for, and what the build asks for. */
    if (same(argv[0], "__complete"))
        return pgdbm__cli_complete_names(argc - 1, argv + 1);
    if (same(argv[0], "__manual")) {
        pgdbm__cli_print_manual();
        return CLI_FINE;
    }
    if (!is_group(argv[0]))
        return unknown_command(NULL, argv[0]);
    if (argc == 1) {
        char hint[64];
        snprintf(hint, sizeof hint, "pgdbm %s --help lists them", argv[0]);
        pgdbm__cli_say_error(hint, "%s: which command?", argv[0]);
        return CLI_USAGE;
    }
    return asks_for_help(argv[1]) ? help_about(1, argv) : unknown_command(argv[0], argv[1]);
}

/* A standard stream that the caller closed would lend its number to the next file opened, a connection for example, and
 * what is printed would go there. Opened for reading only, so that printing to it fails and is noticed. */
static void fill_standard_streams(void)
{
    int opened = open("/dev/null", O_RDONLY);
    while (opened >= 0 && opened <= STDERR_FILENO)
        opened = open("/dev/null", O_RDONLY);
    if (opened >= 0)
        close(opened);
}

static bool reader_has_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

/* What was printed has to arrive. When nobody listens any more, nothing is wrong with the work and there is nobody to
 * tell; a full disk is an error. */
static int finish(int code)
{
    bool lost = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) != 0)
        lost = true;
    int why = errno;
    if (!lost || why == EPIPE || reader_has_gone())
        return code;
    pgdbm__cli_say_error(NULL, "could not write the answer: %s", why != 0 ? strerror(why) : "write error");
    return code == CLI_FINE || code == CLI_PENDING ? CLI_FAILED : code; /* what was found is not told */
}

int main(int argc, char **argv)
{
    fill_standard_streams();
    /* A reader that goes away (`pgdbm … | head`) must not kill a command half-way. */
    signal(SIGPIPE, SIG_IGN);
    int at = 1;
    int code = CLI_FINE;
    while (code == CLI_FINE && at < argc && pgdbm__cli_take_setting(argc, argv, &at, &code))
        continue;
    return finish(code != CLI_FINE ? code : dispatch(argc - at, argv + at));
}
