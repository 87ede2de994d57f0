/* SPDX-License-Identifier: MIT */
/* What a template is made from, as a number. Files are read here by themselves: one that cannot be read has a number too,
 * for which there is no template, and the migration then says what is wrong. No state, any thread. */
#include "testkit/testdb.h"

#include "base/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <pgdbm/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Changed whenever a template is made in another way. */
#define RECIPE "1"

enum { DIGEST_BYTES = 32 };

/* Fields are kept apart by their lengths. */
static bool put(EVP_MD_CTX *hash, const void *data, size_t bytes)
{
    uint64_t length = bytes;
    return EVP_DigestUpdate(hash, &length, sizeof length) && EVP_DigestUpdate(hash, data, bytes);
}

static bool put_text(EVP_MD_CTX *hash, const char *text)
{
    return text != NULL ? put(hash, text, strlen(text)) : put(hash, "\1null", 5);
}

/* What is in the file, if it is one; and whether there was anything wrong with it. */
static bool put_file(EVP_MD_CTX *hash, int directory, const char *name)
{
    char piece[16384];
    struct stat facts;
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = file >= 0 && fstat(file, &facts) == 0 && S_ISREG(facts.st_mode) ? 1 : -1;
    bool good = true;
    while (good && got > 0) {
        got = read(file, piece, sizeof piece);
        good = got <= 0 || EVP_DigestUpdate(hash, piece, (size_t)got);
    }
    if (file >= 0)
        close(file);
    return good && EVP_DigestUpdate(hash, got == 0 ? "." : "?", 1);
}

/* The files' numbers are added up, so that it does not matter in which order they are found. */
static bool finish_into(EVP_MD_CTX *hash, unsigned char sum[DIGEST_BYTES])
{
    unsigned char one[DIGEST_BYTES];
    if (!EVP_DigestFinal_ex(hash, one, NULL))
        return false;
    for (unsigned i = 0, carry = 0; i < DIGEST_BYTES; i++, carry >>= 8) {
        carry += (unsigned)sum[i] + one[i];
        sum[i] = (unsigned char)carry;
    }
    return true;
}

static bool add_directory(EVP_MD_CTX *hash, const char *path, unsigned char sum[DIGEST_BYTES])
{
    DIR *listing = opendir(path);
    struct dirent *entry;
    bool good = true;
    while (good && listing != NULL && (entry = readdir(listing)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || length < 4 || strcasecmp(entry->d_name + length - 4, ".sql") != 0)
            continue;
        good = EVP_DigestInit_ex(hash, EVP_sha256(), NULL) && put_text(hash, entry->d_name) &&
               put_file(hash, dirfd(listing), entry->d_name) && finish_into(hash, sum);
    }
    if (listing != NULL)
        closedir(listing);
    return good;
}

static bool add_texts(EVP_MD_CTX *hash, const pgdbm_migrations *migrations, unsigned char sum[DIGEST_BYTES])
{
    bool good = true;
    for (size_t i = 0; good && migrations->texts != NULL && i < migrations->n_texts; i++)
        good =
            EVP_DigestInit_ex(hash, EVP_sha256(), NULL) && put_text(hash, migrations->texts[i].filename) &&
            put(hash, migrations->texts[i].text, migrations->texts[i].text != NULL ? migrations->texts[i].bytes : 0) &&
            finish_into(hash, sum);
    return good;
}

static bool finish_as_text(EVP_MD_CTX *hash, char *text, size_t bytes)
{
    unsigned char number[DIGEST_BYTES];
    if (!EVP_DigestFinal_ex(hash, number, NULL))
        return false;
    for (size_t i = 0; 2 * i + 2 < bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", number[i]);
    return true;
}

/* Where the set comes from: its directory, or the directory of the program that it is compiled into. */
static void find_origin(const pgdbm_migrations *migrations, char origin[PATH_MAX])
{
    if (migrations->directory != NULL) {
        if (realpath(migrations->directory, origin) == NULL)
            origin[0] = '\0';
        return;
    }
    ssize_t got = readlink("/proc/self/exe", origin, PATH_MAX - 1);
    origin[got > 0 ? got : 0] = '\0';
    char *slash = strrchr(origin, '/');
    if (slash != NULL)
        *slash = '\0';
}

static bool compute(EVP_MD_CTX *hash, const pgdbm_testdb_options *options, const char *role,
                    struct pgdbm__digest *digest)
{
    const pgdbm_module *module = options->module;
    const pgdbm_migrations *migrations = module != NULL ? module->migrations : options->migrations;
    const char *const what[] = {RECIPE,
                                pgdbm_version(),
                                role,
                                module != NULL ? "module" : "migrations",
                                module != NULL ? module->name : NULL,
                                module != NULL ? module->build : NULL,
                                pgdbm__testdb_schema(options)};
    unsigned char sum[DIGEST_BYTES] = {0};
    char origin[PATH_MAX];
    find_origin(migrations, origin);
    bool good = migrations->directory != NULL ? add_directory(hash, migrations->directory, sum)
                                              : add_texts(hash, migrations, sum);
    good = good && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) && put(hash, sum, sizeof sum);
    for (size_t i = 0; i < sizeof what / sizeof *what; i++)
        good = good && put_text(hash, what[i]);
    good = good && finish_as_text(hash, digest->content, sizeof digest->content) &&
           EVP_DigestInit_ex(hash, EVP_sha256(), NULL) && put_text(hash, origin);
    for (size_t i = 2; i < sizeof what / sizeof *what; i++)
        good = good && (what[i] == (module != NULL ? module->build : NULL) || put_text(hash, what[i]));
    return good && finish_as_text(hash, digest->set, sizeof digest->set);
}

pgdbm_status pgdbm__digest_options(const pgdbm_testdb_options *options, const char *role, struct pgdbm__digest *digest,
                                   pgdbm_error *err)
{
    *digest = (struct pgdbm__digest){0};
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool good = hash != NULL && compute(hash, options, role, digest);
    EVP_MD_CTX_free(hash);
    return good ? PGDBM_OK : pgdbm__fail_nomem(err, "computing a template's name");
}
