/* SPDX-License-Identifier: MIT */
/* Digests: what is applied to a tenant, as one text that can be compared. No state, any thread. */
#include "fleet/fleet.h"

#include "base/alloc.h"
#include "base/error.h"
#include "migrate/name.h"

#include <string.h>

static const char *const state_names[] = {
    [PGDBM_TARGET_CURRENT] = "current",         [PGDBM_TARGET_BEHIND] = "behind", [PGDBM_TARGET_FAILED] = "failed",
    [PGDBM_TARGET_QUARANTINED] = "quarantined", [PGDBM_TARGET_AHEAD] = "ahead",   [PGDBM_TARGET_DIVERGED] = "diverged",
    [PGDBM_TARGET_UNKNOWN] = "unknown",
};

const char *pgdbm_target_state_name(pgdbm_target_state state)
{
    return (unsigned)state <= PGDBM_TARGET_UNKNOWN ? state_names[state] : "?";
}

bool pgdbm__fleet_tag(char tag[PGDBM__FLEET_TAG_BYTES], const char *filename, const char *checksum)
{
    char digest[PGDBM__CHECKSUM_BYTES] = "";
    bool made = pgdbm__migration_digest_step(digest, filename, checksum);
    memcpy(tag, digest, PGDBM__FLEET_TAG_BYTES - 1);
    tag[PGDBM__FLEET_TAG_BYTES - 1] = '\0';
    return made;
}

pgdbm_status pgdbm__fleet_digest_files(pgdbm_fleet *fleet, pgdbm_error *err)
{
    const struct pgdbm__migration_set *set = &fleet->set;
    struct pgdbm__buffer digest = {0};
    bool made = true;
    fleet->chain = pgdbm__alloc_zero(set->n_versioned + 1, sizeof *fleet->chain);
    if (fleet->chain == NULL)
        return pgdbm__fail_nomem(err, "opening a fleet");
    for (size_t i = 0; i < set->n_versioned; i++) {
        memcpy(fleet->chain[i + 1], fleet->chain[i], sizeof *fleet->chain);
        made =
            made && pgdbm__migration_digest_step(fleet->chain[i + 1], set->files[i].filename, set->files[i].checksum);
    }
    fleet->head = set->n_versioned > 0 ? set->files[set->n_versioned - 1].version : "";
    pgdbm__buffer_text(&digest, fleet->chain[set->n_versioned]);
    for (size_t i = set->n_versioned; i < set->n_files; i++) {
        char tag[PGDBM__FLEET_TAG_BYTES];
        made = made && pgdbm__fleet_tag(tag, set->files[i].filename, set->files[i].checksum);
        pgdbm__buffer_format(&digest, ":%s", made ? tag : "");
    }
    fleet->digest = pgdbm__buffer_take(&digest);
    pgdbm__buffer_free(&digest);
    if (!made)
        return pgdbm__fail(err, PGDBM_ERR_MIGRATION, "libcrypto has no SHA-256 for the digest of the migrations");
    return fleet->digest != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, "opening a fleet");
}

bool pgdbm__fleet_covers(const pgdbm_fleet *fleet, const char *digest, size_t *n_files)
{
    size_t bytes = strcspn(digest, ":");
    for (size_t k = fleet->set.n_versioned + 1; k-- > 0;) /* most tenants are near the end */
        if (strlen(fleet->chain[k]) == bytes && memcmp(fleet->chain[k], digest, bytes) == 0) {
            *n_files = k;
            return true;
        }
    *n_files = 0;
    return false;
}

bool pgdbm__fleet_has_run(const char *digest, const struct pgdbm__migration_file *file)
{
    char tag[PGDBM__FLEET_TAG_BYTES + 1] = ":";
    return pgdbm__fleet_tag(tag + 1, file->filename, file->checksum) && strstr(digest, tag) != NULL;
}

static size_t count_pending(const pgdbm_fleet *fleet, const char *digest, size_t covered)
{
    const struct pgdbm__migration_set *set = &fleet->set;
    size_t pending = set->n_versioned - covered;
    for (size_t i = set->n_versioned; i < set->n_files; i++)
        pending += !pgdbm__fleet_has_run(digest, &set->files[i]);
    return pending;
}

pgdbm_target_state pgdbm__fleet_judge(const pgdbm_fleet *fleet, const char *state, const char *head, const char *digest,
                                      size_t *n_pending)
{
    size_t covered = 0;
    bool known = strcmp(digest, fleet->digest) == 0;
    *n_pending = 0;
    if (!known && pgdbm__fleet_covers(fleet, digest, &covered)) {
        *n_pending = count_pending(fleet, digest, covered);
        known = true;
    }
    if (strcmp(state, state_names[PGDBM_TARGET_QUARANTINED]) == 0)
        return PGDBM_TARGET_QUARANTINED;
    if (known && *n_pending == 0)
        return PGDBM_TARGET_CURRENT;
    if (strcmp(state, state_names[PGDBM_TARGET_FAILED]) == 0)
        return PGDBM_TARGET_FAILED;
    if (known)
        return PGDBM_TARGET_BEHIND;
    if (pgdbm__migration_version_compare(head, fleet->head) > 0)
        return PGDBM_TARGET_AHEAD;
    /* Not a beginning of these files. Whether it really differs, or only in comments, the history tells. */
    return strcmp(state, state_names[PGDBM_TARGET_DIVERGED]) == 0 ? PGDBM_TARGET_DIVERGED : PGDBM_TARGET_UNKNOWN;
}
