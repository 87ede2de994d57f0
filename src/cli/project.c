/* SPDX-License-Identifier: MIT */
/* Which file, and which of its environments. No state but the caller's. */
#include "project.h"

#include "command.h"
#include "output.h"
#include "sections.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than anybody writes by hand; what is larger is something else. */
enum { LARGEST_FILE = 1024 * 1024 };

static const char *const file_names[] = {"pgdbm.conf", "pgdbm.toml"};

static bool out_of_memory(void)
{
    pgdbm__cli_say_error(NULL, "out of memory");
    return false;
}

static const char *setting(const char *option, const char *variable)
{
    const char *value = option != NULL ? option : getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Looks into the folder `bytes` of `path` long; false: out of memory. */
static bool look_into(struct pgdbm__cli_project *project, const char *path, size_t bytes)
{
    for (size_t i = 0; i < sizeof file_names / sizeof file_names[0] && project->file == NULL; i++) {
        if (asprintf(&project->file, "%.*s/%s", (int)bytes, path, file_names[i]) < 0) {
            project->file = NULL;
            return out_of_memory();
        }
        /* One that cannot be read is one, a link that leads nowhere too: passing it over would work on another database. */
        struct stat found;
        if (lstat(project->file, &found) != 0) {
            free(project->file);
            project->file = NULL;
        }
    }
    return true;
}

static bool find_file(struct pgdbm__cli_project *project)
{
    const char *named = setting(pgdbm__cli_settings.config, "PGDBM_CONFIG");
    char *here = getcwd(NULL, 0);
    bool fine = here != NULL;
    if (!fine)
        pgdbm__cli_say_error("was it removed? Change into one that is there", "cannot tell the working directory: %s",
                             strerror(errno));
    if (fine && named != NULL) {
        project->file = named[0] == '/' ? strdup(named) : NULL;
        fine = project->file != NULL || asprintf(&project->file, "%s/%s", here, named) >= 0 || out_of_memory();
    }
    for (size_t bytes = fine ? strlen(here) : 0; fine && named == NULL && project->file == NULL; bytes--) {
        if (here[bytes] == '/' || here[bytes] == '\0')
            fine = look_into(project, here, bytes > 1 || here[0] != '/' ? bytes : 0);
        if (bytes == 0)
            break;
    }
    if (fine) {
        const char *slash = project->file != NULL ? strrchr(project->file, '/') : NULL;
        project->directory = slash == NULL            ? strdup(here)
                             : slash == project->file ? strdup("/")
                                                      : strndup(project->file, (size_t)(slash - project->file));
        fine = project->directory != NULL || out_of_memory();
    }
    free(here);
    return fine;
}

static bool no_such_environment(const struct pgdbm__cli_project *project, const char *name, bool asked)
{
    char hint[256] = "";
    if (project->file == NULL)
        snprintf(hint, sizeof hint, "environments are sections of pgdbm.conf, and there is none from here upwards");
    for (size_t i = 0; i < project->n_environments && strlen(hint) < sizeof hint - 80; i++)
        snprintf(hint + strlen(hint), sizeof hint - strlen(hint), "%s%s", i == 0 ? "there is: " : ", ",
                 project->environments[i].name);
    if (hint[0] == '\0')
        snprintf(hint, sizeof hint, "write a section [environments.%.60s]", name);
    if (!asked)
        return pgdbm__cli_ini_wrong(&project->default_env_place, hint, "default_env: no environment %.60s", name);
    pgdbm__cli_say_error(hint, "no environment %.60s%s%s", name, project->file != NULL ? " in " : "",
                         project->file != NULL ? project->file : "");
    return false;
}

/* What the values of an environment say of each other. */
static bool check_values(const struct pgdbm__cli_environment *environment)
{
    bool parts = environment->host != NULL || environment->port != NULL || environment->database != NULL ||
                 environment->user != NULL;
    if (environment->url != NULL && parts)
        return pgdbm__cli_ini_wrong(&environment->place, "keep one of the two ways",
                                    "[environments.%s] has both url and parts of an address", environment->name);
    if (environment->port != NULL && (atoi(environment->port) < 1 || atoi(environment->port) > 65535))
        return pgdbm__cli_ini_wrong(&environment->place, "ports are numbers from 1 to 65535",
                                    "[environments.%s] has no port %s", environment->name, environment->port);
    return true;
}

static bool check_pool(const struct pgdbm__cli_project *project)
{
    int least = project->min_connections != NULL ? atoi(project->min_connections) : 0;
    int most = project->max_connections != NULL ? atoi(project->max_connections) : least + 1;
    if (most >= 1 && least <= most)
        return true;
    pgdbm__cli_say_error("max_connections is 1 at least, and not below min_connections",
                         "%s: [shared_pool] has min_connections %d and max_connections %d", project->file, least, most);
    return false;
}

static bool choose_environment(struct pgdbm__cli_project *project)
{
    const char *asked = setting(pgdbm__cli_settings.environment, "PGDBM_ENV");
    const char *name = asked != NULL ? asked : project->default_env != NULL ? project->default_env : "dev";
    for (size_t i = 0; i < project->n_environments; i++)
        if (strcmp(project->environments[i].name, name) == 0) {
            project->environment = &project->environments[i];
            return pgdbm__cli_environment_expand(&project->environments[i]) && check_values(&project->environments[i]);
        }
    /* A file without environments leaves the database to DATABASE_URL. */
    if (asked == NULL && (project->n_environments == 0 || project->default_env == NULL))
        return true;
    return no_such_environment(project, name, asked != NULL);
}

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

/* The bytes of the file, and a line's end behind them, into `text`. Neither devices nor pipes: they may have no end, or nobody who
 * writes to them, and what is named in them would lie beside them. */
static bool take_bytes(const struct pgdbm__cli_project *project, char *text, size_t *bytes)
{
    static const char hint[] = "a configuration is a text file; it may be left out, or be named with --config";
    struct stat about;
    ssize_t got = 1;
    int file = open(project->file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool fine = file >= 0 && fstat(file, &about) == 0;
    bool regular = fine && S_ISREG(about.st_mode);
    while (regular && fine && got > 0 && *bytes <= LARGEST_FILE) {
        got = read(file, text + *bytes, LARGEST_FILE + 1 - *bytes);
        *bytes += got > 0 ? (size_t)got : 0;
        fine = got >= 0 || errno == EINTR;
        got = got < 0 ? 1 : got;
    }
    if (!fine)
        pgdbm__cli_say_error("the file must be readable, or be left out", "cannot read %s: %s", project->file,
                             strerror(errno));
    else if (!regular)
        pgdbm__cli_say_error(hint, "cannot read %s: it is %s", project->file, kind_of(about.st_mode));
    else if (*bytes > LARGEST_FILE)
        pgdbm__cli_say_error(hint, "cannot read %s: it is larger than 1 MB", project->file);
    if (file >= 0)
        close(file);
    text[*bytes] = '\n';
    return fine && regular && *bytes <= LARGEST_FILE;
}

static bool read_file(struct pgdbm__cli_project *project)
{
    size_t bytes = 0;
    bool read = false;
    char *text = malloc(LARGEST_FILE + 2);
    if (text == NULL)
        return out_of_memory();
    if (take_bytes(project, text, &bytes)) {
        FILE *file = fmemopen(text, bytes + 1, "r");
        read = file != NULL ? pgdbm__cli_sections_read(project, file) : out_of_memory();
        if (file != NULL)
            fclose(file);
    }
    free(text);
    return read && pgdbm__cli_modules_check(project) && check_pool(project);
}

int pgdbm__cli_project_read(struct pgdbm__cli_project *project)
{
    if (!find_file(project))
        return CLI_USAGE;
    if (project->file != NULL && !read_file(project))
        return CLI_USAGE;
    return choose_environment(project) ? CLI_FINE : CLI_USAGE;
}

void pgdbm__cli_project_free(struct pgdbm__cli_project *project)
{
    pgdbm__cli_sections_free(project);
    free(project->file);
    free(project->directory);
    *project = (struct pgdbm__cli_project){0};
}

bool pgdbm__cli_project_is_production(const struct pgdbm__cli_project *project)
{
    const char *name = project->environment != NULL ? project->environment->name : "";
    return strcmp(name, "prod") == 0 || strcmp(name, "production") == 0;
}
