/* SPDX-License-Identifier: MIT */
/* Questions and answers. No state. */
#include "confirm.h"

#include "address.h"
#include "output.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Reads one line without its end. False at the end of input. */
static bool read_line(char *line, int bytes)
{
    fflush(stdout);
    fflush(stderr);
    if (fgets(line, bytes, stdin) == NULL)
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    return true;
}

/* The name protects against the wrong shell window and the wrong --env, which --yes in a script does not. */
static int confirm_production(const struct pgdbm__cli_target *target, const char *database, const char *what)
{
    char line[256];
    pgdbm__cli_print_line(stderr, "%s, in the environment %s.", what, target->project.environment->name);
    fputs("Type the database's name to go on: ", stderr);
    if (!read_line(line, sizeof line)) {
        fputc('\n', stderr);
        pgdbm__cli_say_error("in production it is read from standard input, with --yes too",
                             "the database's name was not typed; nothing was done");
        return CLI_USAGE;
    }
    if (strcmp(line, database) == 0)
        return CLI_FINE;
    pgdbm__cli_say_error(NULL, "that is not the name of the database; nothing was done");
    return CLI_FAILED;
}

int pgdbm__cli_confirm_can_ask(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                               const struct pgdbm__cli_target *target, const char *what)
{
    char name[64];
    if (pgdbm__cli_project_is_production(&target->project) || pgdbm__cli_value(command, given, "yes") != NULL ||
        isatty(STDIN_FILENO))
        return CLI_FINE;
    pgdbm__cli_say_error("say --yes if that is meant", "%s: %s", pgdbm__cli_full_name(command, name, sizeof name),
                         what);
    return CLI_USAGE;
}

int pgdbm__cli_confirm(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                       const struct pgdbm__cli_target *target, const char *database, const char *what)
{
    char line[64];
    struct pgdbm__cli_address address = {0};
    if (pgdbm__cli_project_is_production(&target->project)) {
        int code = CLI_FAILED;
        if (database != NULL || pgdbm__cli_address_read(&target->config, NULL, &address))
            code = confirm_production(target, database != NULL ? database : address.database, what);
        pgdbm__cli_address_free(&address);
        return code;
    }
    if (pgdbm__cli_value(command, given, "yes") != NULL)
        return CLI_FINE;
    if (pgdbm__cli_confirm_can_ask(command, given, target, what) != CLI_FINE)
        return CLI_USAGE;
    pgdbm__cli_put_text(stderr, what, strlen(what), false);
    fputs(". Go on? [yes|no] ", stderr);
    if (read_line(line, sizeof line) && (strcasecmp(line, "yes") == 0 || strcasecmp(line, "y") == 0))
        return CLI_FINE;
    pgdbm__cli_say_error(NULL, "nothing was done");
    return CLI_FAILED;
}

int pgdbm__cli_refuse_production(const struct pgdbm__cli_command *command, const struct pgdbm__cli_target *target)
{
    char name[64];
    if (!pgdbm__cli_project_is_production(&target->project))
        return CLI_FINE;
    pgdbm__cli_say_error("it is for development; pgdbm migrate is for production", "%s: refused in the environment %s",
                         pgdbm__cli_full_name(command, name, sizeof name), target->project.environment->name);
    return CLI_USAGE;
}
