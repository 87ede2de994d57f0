/* SPDX-License-Identifier: MIT */
/* `pgdbm migrate create NAME`: a new file with the next number. The directory is locked meanwhile, so that two who create at
 * the same time get two numbers. */
#include "command.h"
#include "database.h"
#include "output.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DIRECTORY, MODULE, TIMESTAMP, JSON, N_OPTIONS };

static const struct pgdbm__cli_option options[N_OPTIONS] = {
    [DIRECTORY] = CLI_OPTION_DIRECTORY,
    [MODULE] = {"module", "NAME", NULL, "The project's module that gets it"},
    [TIMESTAMP] = {"timestamp", NULL, NULL, "Number by date and time, in a directory that has no files yet"},
    [JSON] = CLI_OPTION_JSON,
};

/* Numbers of more digits are taken for a date and a time. */
enum { SEQUENCE_DIGITS = 6, NUMBER_BYTES = 32, NAME_BYTES = 128, LONGEST_NUMBER = 18 };

/* What the directory has. */
struct numbering {
    bool any;
    bool timestamps;     /* the highest number is one */
    bool parted;         /* it is written 20251225_120000 */
    bool version_letter; /* it is written V1__name.sql */
    int digits;          /* as many as it is written with */
    long long highest;
};

/* "_name.sql" or "__name.sql" behind the number; else the file is none of ours. */
static bool is_rest(const char *rest, bool version_letter)
{
    size_t bytes = strlen(rest);
    return rest[0] == '_' && (!version_letter || rest[1] == '_') && bytes > 5 && strcmp(rest + bytes - 4, ".sql") == 0;
}

static void note_file(struct numbering *numbering, const char *filename)
{
    bool version_letter = filename[0] == 'V';
    const char *number = filename + version_letter;
    char digits[NUMBER_BYTES] = "";
    size_t n = strspn(number, "0123456789");
    size_t length = n;
    /* 20251225_120000_name.sql is one number, not a day's. */
    bool parted = n == 8 && number[8] == '_' && strspn(number + 9, "0123456789") == 6 && number[15] == '_';
    if (parted)
        length = 15;
    if (n == 0 || n > LONGEST_NUMBER || !is_rest(number + length, version_letter))
        return;
    snprintf(digits, sizeof digits, "%.*s%.*s", (int)n, number, parted ? 6 : 0, number + n + 1);
    long long value = strtoll(digits, NULL, 10);
    if (numbering->any && value <= numbering->highest)
        return;
    *numbering = (struct numbering){
        .any = true,
        .timestamps = strlen(digits) > SEQUENCE_DIGITS,
        .parted = parted,
        .version_letter = version_letter,
        .digits = (int)strlen(digits),
        .highest = value,
    };
}

static bool read_directory(int directory, struct numbering *numbering)
{
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
    if (entries == NULL) {
        if (copy >= 0)
            close(copy);
        return false;
    }
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries))
        note_file(numbering, entry->d_name);
    closedir(entries);
    return true;
}

static long long moment_number(time_t moment)
{
    struct tm utc;
    char text[NUMBER_BYTES];
    gmtime_r(&moment, &utc);
    strftime(text, sizeof text, "%Y%m%d%H%M%S", &utc);
    return strtoll(text, NULL, 10);
}

/* One more; of a date and a time, the second after: 60 seconds are no time, and would be read as a day's number. */
static long long successor(const struct numbering *numbering)
{
    char text[NUMBER_BYTES];
    struct tm utc = {0};
    snprintf(text, sizeof text, "%lld", numbering->highest);
    if (numbering->digits != 14 || strptime(text, "%Y%m%d%H%M%S", &utc) == NULL)
        return numbering->highest + 1;
    return moment_number(timegm(&utc) + 1);
}

/* Never one that is there, whatever the clock says. */
static long long next_number(const struct numbering *numbering)
{
    long long now = numbering->timestamps ? moment_number(time(NULL)) : 0;
    return now > numbering->highest ? now : successor(numbering);
}

static void write_number(const struct numbering *numbering, long long number, char text[NUMBER_BYTES])
{
    if (numbering->parted)
        snprintf(text, NUMBER_BYTES, "%08lld_%06lld", number / 1000000, number % 1000000);
    else
        snprintf(text, NUMBER_BYTES, "%0*lld", numbering->digits, number);
}

/* A name as files have it: "Add e-mail" is add_e_mail. False after having said why it cannot be. */
static bool clean_name(const char *given, char name[NAME_BYTES])
{
    size_t length = 0;
    for (const char *at = given; *at != '\0'; at++) {
        char c = (char)tolower((unsigned char)*at);
        bool separates = c == ' ' || c == '-' || c == '_';
        if (!separates && !isalnum((unsigned char)c)) {
            pgdbm__cli_say_error("letters, digits, dashes and spaces", "migrate create: %.60s cannot be a file's name",
                                 given);
            return false;
        }
        if (separates && (length == 0 || name[length - 1] == '_'))
            continue;
        if (length + 1 == NAME_BYTES) {
            pgdbm__cli_say_error("a few words are enough: add_email", "migrate create: the name is too long");
            return false;
        }
        name[length++] = separates ? '_' : c;
    }
    while (length > 0 && name[length - 1] == '_')
        length--;
    name[length] = '\0';
    if (length == 0)
        pgdbm__cli_say_error("say what the migration does: add_email", "migrate create: the name is empty");
    return length > 0;
}

static const char content[] =
    "-- %s\n"
    "-- Tables are written as templates: {{tables.users}} becomes \"schema\".\"users\".\n"
    "\n"
    "\n"
    "\n"
    "-- What undoes it, for `pgdbm migrate rollback`: take the first dashes of the next line away and write it below.\n"
    "-- -- pgdbm:down\n";

static bool write_file(int directory, const char *filename, const char *name)
{
    int file = openat(directory, filename, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0)
        return false;
    bool written = dprintf(file, content, name) > 0;
    if (close(file) != 0 || !written) {
        int why = errno;
        unlinkat(directory, filename, 0);
        errno = why;
        return false;
    }
    return true;
}

static int say_errno(const char *what, const char *path)
{
    pgdbm__cli_say_error("--dir names a folder that may be written into", "migrate create: cannot %s %s: %s", what,
                         path, strerror(errno));
    return CLI_FAILED;
}

static int create_in(int directory, const char *path, const char *name, const struct pgdbm__cli_given *given)
{
    char number[NUMBER_BYTES];
    char filename[NAME_BYTES + NUMBER_BYTES + 16];
    struct numbering numbering = {0};
    if (flock(directory, LOCK_EX) != 0)
        return say_errno("lock", path);
    if (!read_directory(directory, &numbering))
        return say_errno("read", path);
    if (!numbering.any) {
        numbering.timestamps = given->values[TIMESTAMP] != NULL;
        numbering.digits = 3;
    }
    write_number(&numbering, next_number(&numbering), number);
    snprintf(filename, sizeof filename, "%s%s%s%s.sql", numbering.version_letter ? "V" : "", number,
             numbering.version_letter ? "__" : "_", name);
    if (!write_file(directory, filename, name))
        return say_errno("write", filename);
    if (given->values[JSON] == NULL) {
        printf("%s/%s\n", path, filename);
        return CLI_FINE;
    }
    char full[PATH_MAX];
    snprintf(full, sizeof full, "%s/%s", path, filename);
    return pgdbm__cli_print_json(json_pack("{s:o, s:s}", "file", pgdbm__cli_json_text(full), "version", number))
               ? CLI_FINE
               : CLI_FAILED;
}

/* The directory and those above it. */
static bool make_directories(const char *path)
{
    char part[PATH_MAX];
    if (strlen(path) >= sizeof part) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (const char *end = path; *end != '\0';) {
        end += 1 + strcspn(end + 1, "/");
        snprintf(part, sizeof part, "%.*s", (int)(end - path), path);
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return false;
    }
    return true;
}

/* Without a module and modules to choose from the files lie in one directory. */
static int choose_directory(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                            struct pgdbm__cli_target *target, const char **path)
{
    struct pgdbm__cli_chosen chosen = {.directory = "migrations"};
    int code = pgdbm__cli_target_read(command, given, target);
    if (code == CLI_FINE && given->values[DIRECTORY] != NULL)
        chosen.directory = given->values[DIRECTORY];
    else if (code == CLI_FINE && (given->values[MODULE] != NULL || target->project.n_modules > 0))
        code = pgdbm__cli_choose_module(command, given, target, &chosen);
    *path = chosen.directory;
    return code;
}

static int create(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    char name[NAME_BYTES];
    const char *path = NULL;
    int directory = -1;
    struct pgdbm__cli_target target = {0};
    int code = clean_name(given->arguments[0], name) ? choose_directory(command, given, &target, &path) : CLI_USAGE;
    if (code != CLI_FINE)
        goto done;
    if (!make_directories(path)) {
        code = say_errno("make", path);
        goto done;
    }
    directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    code = directory >= 0 ? create_in(directory, path, name, given) : say_errno("open", path);
done:
    if (directory >= 0)
        close(directory); /* gives the lock back, too */
    pgdbm__cli_target_free(&target);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_migrate_create = {
    .group = "migrate",
    .name = "create",
    .summary = "Make a new migration file with the next number and print its path",
    .description =
        "The number is written as the directory's highest is: the next one of a sequence, or date and time in "
        "UTC. Makes the directory when it is missing. Nothing is contacted.",
    .example = "pgdbm migrate create add_email --dir migrations/users",
    .argument = "NAME",
    .max_arguments = 1,
    .options = options,
    .n_options = N_OPTIONS,
    .run = create,
};
