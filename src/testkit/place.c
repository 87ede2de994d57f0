/* SPDX-License-Identifier: MIT */
/* Where the server lies that the processes of a user share. No state: all of it is in files, and every decision about
 * them is made under the lock of starting, which the kernel gives back when its holder dies.
 *
 *   BASE/                    the user's own: writable for nobody else
 *   BASE/shared-KEY.lock     the lock of starting and ending (flock)
 *   BASE/shared-KEY/         everything of one server; KEY stands for the server's programs
 *       alive                locked by the keeper as long as it lives
 *       lease                locked shared by each user
 *       log                  the server's
 *       server/              its socket, and its data unless they lie in memory
 *       data                 -> the data
 *   /dev/shm/pgdbm-UID-KEY/  the data; the name follows from BASE, so that leftovers of a killed keeper are found
 *       base                 BASE, to say whose it is */
#include "base/clock.h"
#include "base/error.h"
#include "testkit/testkit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Changed whenever processes of different versions of this file must not share a server. */
#define RECIPE "1"
#define MEMORY "/dev/shm"
#define MEMORY_BYTES (UINT64_C(1) << 30)
#define DEAD_SERVER_MS 10000

static pgdbm_status fail_path(pgdbm_error *err, const char *what, const char *path)
{
    return pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot %s %.300s: %s", what, path, strerror(errno));
}

static uint32_t mix(uint32_t hash, const void *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT32_C(16777619);
    return hash;
}

static pgdbm_status refuse(const char *path, const char *why, unsigned uid, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "%.300s cannot hold the shared server: %s", path, why);
    pgdbm__error_detail(err, "it belongs to user %u, and this process runs as user %u", uid, (unsigned)geteuid());
    pgdbm__error_hint(err, "remove it, or set PGDBM_TEST_DIRECTORY to a directory of your own (chmod 700)");
    return PGDBM_ERR_TESTDB;
}

/* Somebody else's directory would be a trap: they could put their own server behind the socket. */
static pgdbm_status check_base(const char *path, const struct pgdbm__identity *identity, struct stat *facts,
                               pgdbm_error *err)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0 && (errno == ELOOP || errno == ENOTDIR))
        return refuse(path, "it is not a directory", 0, err);
    if (directory < 0)
        return fail_path(err, "use the directory", path);
    pgdbm_status status = PGDBM_OK;
    if (fstat(directory, facts) != 0)
        status = fail_path(err, "use the directory", path);
    else if (facts->st_uid != geteuid())
        status = refuse(path, "it is somebody else's", (unsigned)facts->st_uid, err);
    else if ((facts->st_mode & 022) != 0)
        status = refuse(path, "others may write there", (unsigned)facts->st_uid, err);
    else if (identity->drop && (facts->st_mode & 011) != 011 && fchmod(directory, facts->st_mode | 011) != 0)
        status = fail_path(err, "let the server's user into", path);
    close(directory);
    return status;
}

/* `*made`: it was not there. */
static pgdbm_status make_chosen(const char *chosen, char base[PGDBM__PATH_BYTES], bool *made, pgdbm_error *err)
{
    char absolute[PATH_MAX];
    if (chosen[0] != '/')
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "PGDBM_TEST_DIRECTORY is not an absolute path: %.200s", chosen);
    *made = mkdir(chosen, 0700) == 0;
    if (!*made && errno != EEXIST)
        return fail_path(err, "make the directory", chosen);
    if (realpath(chosen, absolute) == NULL)
        return fail_path(err, "use the directory", chosen);
    if (strlen(absolute) >= PGDBM__PATH_BYTES)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the path of the directory is too long: %.200s", chosen);
    memcpy(base, absolute, strlen(absolute) + 1);
    return PGDBM_OK;
}

static pgdbm_status make_base(struct pgdbm__place *place, struct stat *facts, pgdbm_error *err)
{
    const char *chosen = getenv("PGDBM_TEST_DIRECTORY");
    const char *temporary = getenv("TMPDIR");
    if (chosen != NULL && chosen[0] != '\0') {
        bool made = false;
        pgdbm_status status = make_chosen(chosen, place->base, &made, err);
        if (status != PGDBM_OK)
            return status;
        place->remove_base = place->remove_base || made;
    } else {
        if (temporary == NULL || temporary[0] != '/' || strlen(temporary) > 40 || place->identity->drop)
            temporary = "/tmp";
        snprintf(place->base, sizeof place->base, "%.40s/pgdbm-test-%u", temporary, (unsigned)geteuid());
        if (mkdir(place->base, 0700) != 0 && errno != EEXIST)
            return fail_path(err, "make the directory", place->base);
        place->remove_base = true;
    }
    return check_base(place->base, place->identity, facts, err);
}

pgdbm_status pgdbm__place_chosen(const struct pgdbm__identity *identity, char base[PGDBM__PATH_BYTES], pgdbm_error *err)
{
    const char *chosen = getenv("PGDBM_TEST_DIRECTORY");
    struct stat facts;
    bool made = false;
    base[0] = '\0';
    if (chosen == NULL || chosen[0] == '\0')
        return PGDBM_OK;
    pgdbm_status status = make_chosen(chosen, base, &made, err);
    return status == PGDBM_OK ? check_base(base, identity, &facts, err) : status;
}

pgdbm_status pgdbm__place_find(const char *binaries, const struct pgdbm__identity *identity, struct pgdbm__place *place,
                               pgdbm_error *err)
{
    struct stat facts;
    *place = (struct pgdbm__place){.identity = identity};
    pgdbm_status status = make_base(place, &facts, err);
    if (status != PGDBM_OK)
        return status;
    uint32_t key = mix(UINT32_C(2166136261), binaries, strlen(binaries));
    uint32_t mark = mix(mix(mix(key, place->base, strlen(place->base)), &facts.st_dev, sizeof facts.st_dev),
                        &facts.st_ino, sizeof facts.st_ino);
    int length = snprintf(place->folder, sizeof place->folder, "%.400s/shared-" RECIPE "-%08x", place->base, key);
    if (strlen(place->base) > 400 || length + 7 > PGDBM__SOCKET_DIRECTORY_LIMIT) {
        pgdbm__fail(err, PGDBM_ERR_TESTDB, "the path %.300s is too long for a socket", place->base);
        pgdbm__error_hint(err, "set PGDBM_TEST_DIRECTORY to a directory of at most %d characters",
                          PGDBM__SOCKET_DIRECTORY_LIMIT - 7 - (length - (int)strlen(place->base)));
        return PGDBM_ERR_TESTDB;
    }
    snprintf(place->start, sizeof place->start, "%.480s.lock", place->folder);
    snprintf(place->lease, sizeof place->lease, "%.480s/lease", place->folder);
    snprintf(place->alive, sizeof place->alive, "%.480s/alive", place->folder);
    snprintf(place->log, sizeof place->log, "%.480s/log", place->folder);
    snprintf(place->sockets, sizeof place->sockets, "%.480s/server", place->folder);
    snprintf(place->link, sizeof place->link, "%.480s/data", place->folder);
    char memory[PATH_MAX];
    if (realpath(MEMORY, memory) == NULL)
        memcpy(memory, MEMORY, sizeof MEMORY);
    snprintf(place->home, sizeof place->home, "%.400s/pgdbm-%u-%08x", memory, (unsigned)geteuid(), mark);
    return PGDBM_OK;
}

pgdbm_status pgdbm__place_lock(struct pgdbm__place *place, int *lock, pgdbm_error *err)
{
    struct stat mine, current;
    *lock = open(place->start, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock < 0 && errno == ENOENT) { /* a keeper has just removed the directory */
        struct stat facts;
        return make_base(place, &facts, err);
    }
    if (*lock < 0)
        return fail_path(err, "open", place->start);
    /* A keeper removes the file while it holds the lock: then it is no lock any more. */
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0 && fstat(*lock, &mine) == 0 && stat(place->start, &current) == 0 &&
        mine.st_ino == current.st_ino && mine.st_dev == current.st_dev)
        return PGDBM_OK;
    close(*lock);
    *lock = -1;
    return PGDBM_OK;
}

static bool find_postmaster(const struct pgdbm__place *place, struct pgdbm__postmaster *postmaster,
                            char data[PGDBM__PATH_BYTES])
{
    char absolute[PATH_MAX];
    if (realpath(place->link, absolute) == NULL || strlen(absolute) >= PGDBM__PATH_BYTES)
        return false;
    memcpy(data, absolute, strlen(absolute) + 1);
    return pgdbm__postmaster_read(data, postmaster) && pgdbm__postmaster_runs(data, postmaster);
}

enum pgdbm__place_state pgdbm__place_look(const struct pgdbm__place *place, struct pgdbm__postmaster *postmaster,
                                          char data[PGDBM__PATH_BYTES])
{
    int alive = open(place->alive, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool has_keeper = alive >= 0 && flock(alive, LOCK_EX | LOCK_NB) != 0;
    if (alive >= 0)
        close(alive);
    if (!has_keeper)
        return PGDBM__PLACE_EMPTY;
    return find_postmaster(place, postmaster, data) && postmaster->ready ? PGDBM__PLACE_RUNNING : PGDBM__PLACE_BUSY;
}

/* The kernel has told it to end when its keeper died. */
static void end_postmaster(const struct pgdbm__place *place)
{
    struct pgdbm__postmaster postmaster;
    char data[PGDBM__PATH_BYTES];
    int64_t deadline = pgdbm__deadline(DEAD_SERVER_MS);
    int number = SIGQUIT;
    while (find_postmaster(place, &postmaster, data)) {
        kill(postmaster.pid, number);
        poll(NULL, 0, 10);
        if (pgdbm__now_ns() > deadline)
            number = SIGKILL;
    }
}

pgdbm_status pgdbm__place_clear(const struct pgdbm__place *place, pgdbm_error *err)
{
    struct stat facts;
    char pid_file[PGDBM__PATH_BYTES];
    end_postmaster(place);
    snprintf(pid_file, sizeof pid_file, "%.480s/postmaster.pid", place->link);
    pgdbm__supervisor_forget_segment(pid_file, place->identity);
    /* The name is known to others, and anybody may make directories there. */
    if (lstat(place->home, &facts) == 0 && S_ISDIR(facts.st_mode) && facts.st_uid == place->identity->uid)
        pgdbm__supervisor_remove(place->home);
    pgdbm__supervisor_remove(place->folder);
    if (lstat(place->folder, &facts) == 0)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "cannot remove what an earlier shared server left in %.300s",
                           place->folder);
    return PGDBM_OK;
}

void pgdbm__place_abandon(const struct pgdbm__place *place)
{
    if (pgdbm__place_clear(place, NULL) != PGDBM_OK)
        return;
    unlink(place->start);
    if (place->remove_base)
        rmdir(place->base);
}

/* Making databases is several times faster there than on a disk. */
static bool make_home(struct pgdbm__place *place)
{
    struct statvfs room;
    if (statvfs(MEMORY, &room) != 0 || (uint64_t)room.f_bavail * room.f_frsize < MEMORY_BYTES ||
        mkdir(place->home, 0700) != 0)
        return false;
    char path[PGDBM__PATH_BYTES];
    snprintf(path, sizeof path, "%.480s/base", place->home);
    FILE *file = fopen(path, "wxe");
    bool written = file != NULL && fputs(place->base, file) >= 0;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    if (written && chown(place->home, place->identity->uid, place->identity->gid) == 0)
        return true;
    unlink(path);
    rmdir(place->home);
    return false;
}

pgdbm_status pgdbm__place_furnish(struct pgdbm__place *place, char data[PGDBM__PATH_BYTES], int *alive,
                                  pgdbm_error *err)
{
    const struct pgdbm__identity *identity = place->identity;
    *alive = -1;
    /* Root's umask may keep everybody else out. */
    if (mkdir(place->folder, 0700) != 0 || (identity->drop && chmod(place->folder, 0711) != 0))
        return fail_path(err, "make the directory", place->folder);
    *alive = open(place->alive, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*alive < 0 || flock(*alive, LOCK_EX | LOCK_NB) != 0)
        return fail_path(err, "lock", place->alive);
    int lease = open(place->lease, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lease < 0)
        return fail_path(err, "make", place->lease);
    close(lease);
    if (mkdir(place->sockets, 0700) != 0 || chown(place->sockets, identity->uid, identity->gid) != 0)
        return fail_path(err, "make the directory", place->sockets);
    const char *const reach[] = {"test", "-w", place->sockets, NULL};
    if (identity->drop && pgdbm__run_program(identity, reach, NULL) != 0) {
        pgdbm__fail(err, PGDBM_ERR_TESTDB, "the server runs as user %s, who cannot reach %.300s", identity->name,
                    place->base);
        pgdbm__error_hint(err, "set PGDBM_TEST_DIRECTORY to a directory outside of root's own");
        return PGDBM_ERR_TESTDB;
    }
    if (!make_home(place))
        memcpy(place->home, place->sockets, sizeof place->home);
    snprintf(data, PGDBM__PATH_BYTES, "%.500s/data", place->home);
    if (symlink(data, place->link) != 0)
        return fail_path(err, "make", place->link);
    return PGDBM_OK;
}
