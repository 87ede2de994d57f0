/* SPDX-License-Identifier: MIT */
/* `pgdbm dev export-schema`: pg_dump of the structure of schemas, to standard output or into a file that is whole or as it was
 * before. The state is the process that runs, for the handler of signals. */
#include "client.h"
#include "dump_text.h"
#include "output.h"
#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_FIXED = 6 }; /* words around the schemas, the NULL at the end included */

/* Signals that would end this program, and leave what it has begun to write. */
static const int endings[] = {SIGINT, SIGTERM};
enum { N_ENDINGS = sizeof endings / sizeof endings[0] };

static const struct pgdbm__cli_option options[] = {
    CLI_OPTION_URL,
    {"module", "NAME", NULL, "The schema of this module (default: of all modules of pgdbm.conf)"},
    {"schema", "NAME", NULL, "This schema"},
    {"all", NULL, NULL, "The schemas of all modules"},
    {"output", "FILE", NULL, "Where to write (default: standard output)"},
};

static volatile pid_t running;
static volatile sig_atomic_t stopped;

static void pass_on(int signal_number)
{
    stopped = 1;
    if (running > 0)
        kill(running, signal_number);
}

/* From here on they end pg_dump, and then this program in order. */
static void catch_endings(struct sigaction before[N_ENDINGS])
{
    const struct sigaction action = {.sa_handler = pass_on};
    for (size_t i = 0; i < N_ENDINGS; i++)
        sigaction(endings[i], &action, &before[i]);
}

static void release_endings(const struct sigaction before[N_ENDINGS])
{
    for (size_t i = 0; i < N_ENDINGS; i++)
        sigaction(endings[i], &before[i], NULL);
}

static bool is_among(const char *const *names, size_t n_names, const char *name)
{
    for (size_t i = 0; i < n_names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Which schemas, each once, in the order of the modules. `*schemas` is the caller's; the names are not. */
static int choose(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                  const struct pgdbm__cli_target *target, const char ***schemas, size_t *n_schemas)
{
    const struct pgdbm__cli_project *project = &target->project;
    struct pgdbm__cli_chosen chosen = {0};
    bool all = pgdbm__cli_value(command, given, "all") != NULL;
    const char *module = pgdbm__cli_value(command, given, "module");
    const char *schema = pgdbm__cli_value(command, given, "schema");
    if ((module != NULL) + (schema != NULL) + all > 1) {
        pgdbm__cli_say_error("each of them says which schemas are meant",
                             "dev export-schema: --module, --schema and --all exclude each other");
        return CLI_USAGE;
    }
    if (all && project->n_modules == 0) {
        pgdbm__cli_say_error("modules are sections [modules.NAME] of pgdbm.conf",
                             "dev export-schema: --all, and there are no modules");
        return CLI_USAGE;
    }
    int code = module != NULL ? pgdbm__cli_choose_module(command, given, target, &chosen) : CLI_FINE;
    if (code != CLI_FINE)
        return code;
    *schemas = calloc(project->n_modules + 1, sizeof **schemas);
    if (*schemas == NULL) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return CLI_FAILED;
    }
    bool one = module != NULL || schema != NULL || project->n_modules == 0;
    for (size_t i = 0; i < (one ? 1 : project->n_modules); i++) {
        const char *name = module != NULL ? chosen.schema
                           : one          ? target->config.schema
                                          : pgdbm__cli_module_schema(command, given, target, &project->modules[i]);
        name = name != NULL ? name : "public";
        if (!is_among(*schemas, *n_schemas, name))
            (*schemas)[(*n_schemas)++] = name;
    }
    return CLI_FINE;
}

/* As a pattern that means this name and no other. */
static char *schema_word(const char *schema)
{
    char *word = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&word, &bytes);
    if (out == NULL)
        return NULL;
    fputs("--schema=\"", out);
    for (; *schema != '\0'; schema++) {
        if (*schema == '"')
            putc('"', out);
        putc(*schema, out);
    }
    putc('"', out);
    if (fclose(out) == 0)
        return word;
    free(word);
    return NULL;
}

/* Starts it with its output going to `fd`; with the signals this process had, whatever it has now. The error number. */
static int start(const char *program, char **words, int fd, const sigset_t *mask, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed != 0)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (failed == 0) {
        posix_spawnattr_setsigdefault(&attributes, &defaults);
        posix_spawnattr_setsigmask(&attributes, mask);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
        failed = posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
        if (failed == 0)
            failed = posix_spawn(child, program, &actions, &attributes, words, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* Everything that comes, into memory: a structure is small, and nothing of one that failed shall be written. The error number. */
static int take(int from, FILE *into)
{
    char bytes[65536];
    ssize_t got = 0;
    while ((got = read(from, bytes, sizeof bytes)) != 0) {
        if (got < 0 && errno != EINTR)
            return errno;
        if (got > 0 && fwrite(bytes, 1, (size_t)got, into) != (size_t)got)
            return ENOMEM;
    }
    return 0;
}

/* pg_dump itself would not notice a full disk at its end. The error number. */
static int write_all(int to, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(to, text, bytes);
        if (written < 0 && errno != EINTR)
            return errno;
        text += written > 0 ? written : 0;
        bytes -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

/* Starts it, takes its output and waits. The error number, `*taken` that of the output. */
static int start_and_wait(const char *program, char **words, FILE *into, int *status, int *taken)
{
    sigset_t ending;
    sigset_t mask;
    pid_t child = 0;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    sigemptyset(&ending);
    for (size_t i = 0; i < N_ENDINGS; i++)
        sigaddset(&ending, endings[i]);
    sigprocmask(SIG_BLOCK, &ending, &mask); /* until there is somebody to pass them on to */
    int failed = stopped ? EINTR : start(program, words, ends[1], &mask, &child);
    close(ends[1]);
    running = failed == 0 ? child : 0;
    sigprocmask(SIG_SETMASK, &mask, NULL);
    *taken = failed == 0 ? take(ends[0], into) : 0;
    close(ends[0]);
    while (failed == 0 && waitpid(child, status, 0) < 0 && errno == EINTR)
        continue;
    running = 0;
    return failed;
}

/* Runs it into memory; its output is the caller's, also of one that failed. */
static int run(const char *program, char **words, char **text, size_t *bytes)
{
    int status = 0;
    int taken = 0;
    FILE *into = open_memstream(text, bytes);
    if (into == NULL) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return CLI_FAILED;
    }
    fflush(stdout);
    int failed = start_and_wait(program, words, into, &status, &taken);
    taken = fclose(into) != 0 ? ENOMEM : taken;
    if (stopped)
        return CLI_INTERRUPTED;
    if (failed != 0 || taken != 0) {
        pgdbm__cli_say_error(NULL, "cannot %s %s: %s", failed != 0 ? "run" : "take the output of", program,
                             strerror(failed != 0 ? failed : taken));
        return CLI_FAILED;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return CLI_FINE;
    pgdbm__cli_say_error(
        "where the server's version is the matter, PGDBM_POSTGRES_BIN says in which folder another one is",
        "%s failed (%s %d)", program, WIFSIGNALED(status) ? "signal" : "exit code",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return CLI_FAILED;
}

static int write_structure(int fd, char *text, size_t bytes)
{
    signal(SIGXFSZ, SIG_IGN); /* a limit is an error like a full disk, and leaves nothing behind */
    int failed = pgdbm__cli_dump_settle(text, bytes) ? write_all(fd, text, bytes) : ENOMEM;
    if (failed == 0 || failed == EPIPE)
        return CLI_FINE; /* nobody listens any more: nothing is wrong */
    pgdbm__cli_say_error(NULL, "could not write the structure: %s", strerror(failed));
    return CLI_FAILED;
}

static int dump(const char *program, char *argument, const char *const *schemas, size_t n_schemas, const char *output)
{
    static char name[] = "pg_dump", structure[] = "--schema-only", owner[] = "--no-owner",
                privileges[] = "--no-privileges";
    struct pgdbm__cli_whole_file file = {.fd = STDOUT_FILENO};
    struct sigaction before[N_ENDINGS];
    int code = CLI_FAILED;
    char *text = NULL;
    size_t bytes = 0;
    char **words = calloc(n_schemas + N_FIXED, sizeof *words);
    size_t n = 0;
    catch_endings(before);
    bool fine = words != NULL;
    for (size_t i = 0; fine && i < n_schemas; i++)
        fine = (words[N_FIXED - 1 + i] = schema_word(schemas[i])) != NULL;
    if (!fine) {
        pgdbm__cli_say_error(NULL, "out of memory");
        goto done;
    }
    words[n++] = name;
    words[n++] = structure;
    words[n++] = owner;
    words[n++] = privileges;
    words[n++] = argument;
    if (output != NULL && !pgdbm__cli_whole_file_begin(&file, output))
        goto done;
    code = run(program, words, &text, &bytes);
    if (file.temporary == NULL) /* a reader who is slow may be waited for, and there is nothing to be left in order */
        release_endings(before);
    if (code == CLI_FINE && !stopped)
        code = write_structure(file.fd, text, bytes);
    if (stopped)
        code = CLI_INTERRUPTED;
    if (output != NULL && !pgdbm__cli_whole_file_end(&file, code == CLI_FINE))
        code = CLI_FAILED;
    if (code == CLI_FINE && output != NULL)
        pgdbm__cli_remark("the structure of %zu %s is in %s", n_schemas, n_schemas == 1 ? "schema" : "schemas", output);
done:
    release_endings(before);
    for (size_t i = 0; words != NULL && i < n_schemas; i++)
        free(words[N_FIXED - 1 + i]);
    free(words);
    free(text);
    return code;
}

static int export_schema(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct pgdbm__cli_target target = {0};
    const char **schemas = NULL;
    size_t n_schemas = 0;
    char *program = NULL;
    char *argument = NULL;
    int code = pgdbm__cli_target_read(command, given, &target);
    if (code == CLI_FINE)
        code = choose(command, given, &target, &schemas, &n_schemas);
    if (code != CLI_FINE)
        goto done;
    code = CLI_FAILED;
    program = pgdbm__cli_client_find("pg_dump");
    if (program == NULL)
        goto done;
    code = pgdbm__cli_client_reach(&target, schemas, n_schemas);
    if (code != CLI_FINE)
        goto done;
    argument = pgdbm__cli_client_argument(&target, NULL);
    code = argument == NULL ? CLI_FAILED
                            : dump(program, argument, schemas, n_schemas, pgdbm__cli_value(command, given, "output"));
done:
    free(argument);
    free(program);
    free(schemas);
    pgdbm__cli_target_free(&target);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_dev_export_schema = {
    .group = "dev",
    .name = "export-schema",
    .summary = "Write the structure of modules' schemas as SQL",
    .description =
        "What pg_dump makes of it: tables, types, functions and so on, without data, owners and privileges. The "
        "histories of migrations are among the tables, without rows: where the file was loaded, `pgdbm migrate "
        "baseline` records what it stands for. The same structure makes the same bytes. A file is replaced when all of "
        "it is written, else it stays as it "
        "was.",
    .example = "pgdbm dev export-schema --all --output structure.sql\n"
               "pgdbm dev export-schema --module users | less",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = export_schema,
};
