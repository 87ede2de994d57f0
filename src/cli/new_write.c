/* SPDX-License-Identifier: MIT */
/* Writes a new project's files, all or none. The signals that end a program wait meanwhile. One thread. */
#include "new.h"

#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The word at the beginning of `text` that a name stands for, and the name; NULL: none. */
static const char *word_at(const char *text, const struct pgdbm__cli_new_names *names, const char **name)
{
    const struct {
        const char *word;
        const char *name;
    } words[] = {{"new-example", names->name}, {"example", names->identifier}, {"EXAMPLE", names->capitals}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strncmp(text, words[i].word, strlen(words[i].word)) == 0) {
            *name = words[i].name;
            return words[i].word;
        }
    return NULL;
}

char *pgdbm__cli_new_fill(const char *text, const struct pgdbm__cli_new_names *names)
{
    char *filled = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&filled, &bytes);
    if (out == NULL)
        return NULL;
    while (*text != '\0') {
        const char *name = NULL;
        const char *word = word_at(text, names, &name);
        if (word != NULL)
            fputs(name, out);
        else
            fputc(*text, out);
        text += word != NULL ? strlen(word) : 1;
    }
    bool fine = ferror(out) == 0;
    if (fclose(out) != 0 || !fine) {
        free(filled);
        return NULL;
    }
    return filled;
}

static bool say_errno(const char *what, const char *path)
{
    pgdbm__cli_say_error("--dir names a place that may be written into", "new: cannot %s %s: %s", what, path,
                         strerror(errno));
    return false;
}

static bool out_of_memory(void)
{
    pgdbm__cli_say_error(NULL, "new: out of memory");
    return false;
}

/* Makes the folders of a path below the directory. */
static bool make_folders(int directory, const char *path)
{
    char folder[256];
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        if (mkdirat(directory, folder, 0777) != 0 && errno != EEXIST)
            return say_errno("make the folder", folder);
    }
    return true;
}

static bool write_bytes(int file, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t written = write(file, text, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        text += written;
        left -= (size_t)written;
    }
    return true;
}

static bool write_file(int directory, const char *path, const char *text)
{
    if (!make_folders(directory, path))
        return false;
    int file = openat(directory, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0)
        return say_errno("write", path);
    if (!write_bytes(file, text)) {
        (void)say_errno("write", path);
        close(file);
        return false;
    }
    return close(file) == 0 || say_errno("write", path);
}

static bool write_template(int directory, const struct pgdbm__cli_template *template,
                           const struct pgdbm__cli_new_names *names)
{
    char *path = pgdbm__cli_new_fill(template->path, names);
    char *text = pgdbm__cli_new_fill(template->text, names);
    bool fine = path != NULL && text != NULL ? write_file(directory, path, text) : out_of_memory();
    free(path);
    free(text);
    return fine;
}

static bool write_all(const char *path, const struct pgdbm__cli_template *files,
                      const struct pgdbm__cli_new_names *names)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return say_errno("open", path);
    bool fine = true;
    for (; fine && files->path[0] != '\0'; files++)
        fine = write_template(directory, files, names);
    close(directory);
    return fine;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind, (void)where;
    return remove(path);
}

static bool refuse_existing(const char *directory)
{
    pgdbm__cli_say_error("choose another name, or another place with --dir", "new: %s exists and is not empty",
                         directory);
    return false;
}

/* What stands at the place: nothing, or an empty directory. */
static bool is_free(const char *directory)
{
    struct stat about;
    if (lstat(directory, &about) != 0)
        return errno == ENOENT || say_errno("look at", directory);
    if (!S_ISDIR(about.st_mode)) {
        pgdbm__cli_say_error("choose another name, or another place with --dir", "new: %s exists and is no directory",
                             directory);
        return false;
    }
    DIR *entries = opendir(directory);
    if (entries == NULL)
        return say_errno("read", directory);
    size_t n = 0;
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries))
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return n == 0 || refuse_existing(directory);
}

/* "a/.b.XXXXXX" beside "a/b"; free() it. NULL after having said why not. */
static char *name_sibling(const char *directory)
{
    const char *slash = strrchr(directory, '/');
    const char *last = slash != NULL ? slash + 1 : directory;
    char *sibling = NULL;
    if (last[0] == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
        pgdbm__cli_say_error("give the directory its name: --dir ../my-service",
                             "new: --dir %s names no directory to make", directory);
    else if (asprintf(&sibling, "%.*s.%s.XXXXXX", (int)(last - directory), directory, last) < 0) {
        sibling = NULL;
        (void)out_of_memory();
    }
    return sibling;
}

static bool make_sibling(char *sibling, const char *directory)
{
    mode_t mask = umask(0);
    umask(mask);
    if (mkdtemp(sibling) != NULL)
        return chmod(sibling, 0777 & ~mask) == 0 || say_errno("make", sibling);
    if (errno != ENOENT && errno != ENOTDIR)
        return say_errno("make", directory);
    pgdbm__cli_say_error("the directory above it must exist", "new: cannot make %s: %s", directory, strerror(errno));
    return false;
}

static bool move_there(const char *sibling, const char *directory)
{
    if (rename(sibling, directory) == 0)
        return true;
    return errno == ENOTEMPTY || errno == EEXIST ? refuse_existing(directory) : say_errno("make", directory);
}

bool pgdbm__cli_new_write(const char *directory, const struct pgdbm__cli_template *files,
                          const struct pgdbm__cli_new_names *names)
{
    sigset_t ends, before;
    char *sibling = is_free(directory) ? name_sibling(directory) : NULL;
    if (sibling == NULL)
        return false;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    sigprocmask(SIG_BLOCK, &ends, &before);
    signal(SIGXFSZ, SIG_IGN); /* a limit that is reached is an error of write */
    bool made = make_sibling(sibling, directory);
    bool fine = made && write_all(sibling, files, names) && move_there(sibling, directory);
    /* A name that mkdtemp has not filled in is nobody's. */
    if (!fine && strcmp(sibling + strlen(sibling) - 6, "XXXXXX") != 0)
        (void)nftw(sibling, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(sibling);
    return fine;
}
