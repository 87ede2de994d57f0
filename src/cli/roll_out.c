/* SPDX-License-Identifier: MIT */
/* `pgdbm fleet apply`: a roll-out with its progress. The progress is called by workers, one at a time. */
#include "fleet.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

static const struct pgdbm__cli_option options[] = {
    CLI_FLEET_OPTIONS,
    CLI_OPTION_BUILD,
    {"lock-timeout", "TIME", NULL, "How long a statement may wait for a lock (default: 2s)"},
    {"workers", "N", NULL, "Sessions that migrate at the same time (default: 4)"},
    {"canaries", "A,B,...", NULL, "Tenants that come first, all of which must succeed"},
    {"waves", "P,Q,...", NULL, "Percentages, rising, 100 last (default: 1,10,100)"},
    {"max-failures", "N", NULL, "Stop at more, or never (default: 0)"},
    {"max-attempts", "N", NULL, "Of one tenant, then it is quarantined (default: 3)"},
    {"deadline", "TIME", NULL, "Begin nothing after it (default: none)"},
    {"max-lag", "TIME", NULL, "Wait while a replica is further behind (default: not looked at)"},
    {"max-active", "N", NULL, "Wait while more other backends are active (default: not looked at)"},
    {"recycle-after", "N", NULL, "Close a session after so many tenants (default: 300)"},
};

/* What was said last. */
struct shown {
    double logged_ms;
    bool paused;
};

/* What a roll-out says of itself while it runs: to a person in one line, to a log every ten seconds. */
static bool show(const pgdbm_roll_out_progress *progress, void *context)
{
    enum { LOG_MS = 10000 };
    struct shown *shown = context;
    char also[96] = "";
    size_t ended = progress->done + progress->failed;
    size_t length = 0;
    if (progress->failed > 0)
        length += (size_t)snprintf(also, sizeof also, ", %zu failed", progress->failed);
    if (progress->postponed > 0)
        length += (size_t)snprintf(also + length, sizeof also - length, ", %zu busy", progress->postponed);
    if (length < sizeof also)
        snprintf(also + length, sizeof also - length, "%s",
                 progress->paused      ? ", paused"
                 : progress->throttled ? ", waiting for the server"
                                       : "");
    if (pgdbm__cli_progress_is_shown())
        pgdbm__cli_progress_say(ended, progress->n_targets, "wave %zu of %zu%s", progress->wave, progress->n_waves,
                                also);
    else if (ended == progress->n_targets || progress->elapsed_ms - shown->logged_ms >= LOG_MS) {
        shown->logged_ms = progress->elapsed_ms;
        pgdbm__cli_remark("%zu/%zu, wave %zu of %zu%s", progress->done, progress->n_targets, progress->wave,
                          progress->n_waves, also);
    }
    /* Said at once: somebody paused it a while ago perhaps, and it waits until somebody lets it go on. */
    if (progress->paused && !shown->paused)
        pgdbm__cli_remark("the module's roll-outs are paused; pgdbm fleet resume lets them go on");
    shown->paused = progress->paused;
    return !pgdbm__cli_interrupted();
}

static int fail_usage(const char *message, const char *value, const char *hint)
{
    pgdbm__cli_say_error(hint, "fleet apply: %s %.60s", message, value);
    return CLI_USAGE;
}

/* As the library wants them, which would say it to a program. */
static int read_waves(const char *text, int **waves, size_t *n_waves)
{
    struct pgdbm__cli_list list = {0};
    if (text == NULL)
        return CLI_FINE;
    static const char hint[] = "rising percentages with commas, 100 last: 1,10,100";
    long before = 0;
    int code = pgdbm__cli_list_read("waves", text, &list);
    *waves = code == CLI_FINE ? calloc(list.n_words + 1, sizeof **waves) : NULL;
    if (*waves == NULL && code == CLI_FINE) {
        pgdbm__cli_say_error(NULL, "out of memory");
        code = CLI_FAILED;
    }
    for (size_t i = 0; code == CLI_FINE && i < list.n_words; i++) {
        char *end = NULL;
        long percent = strtol(list.words[i], &end, 10);
        if (*end != '\0' || percent <= before || percent > 100)
            code = fail_usage("--waves cannot have", list.words[i], hint);
        else if (i + 1 == list.n_words && percent < 100)
            code = fail_usage("--waves must end with 100, and ends with", list.words[i], hint);
        (*waves)[i] = (int)percent;
        before = percent;
    }
    *n_waves = list.n_words;
    pgdbm__cli_list_free(&list);
    return code;
}

static int read_max_failures(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                             size_t *max_failures)
{
    const char *value = pgdbm__cli_value(command, given, "max-failures");
    int number = 0;
    if (value != NULL && strcmp(value, "never") == 0) {
        *max_failures = SIZE_MAX;
        return CLI_FINE;
    }
    int code = pgdbm__cli_number(command, given, "max-failures", 0, &number);
    *max_failures = (size_t)number;
    return code;
}

static int read_numbers(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                        pgdbm_roll_out *how)
{
    const struct {
        const char *name;
        int *number;
    } numbers[] = {{"workers", &how->workers},
                   {"max-attempts", &how->max_attempts},
                   {"max-active", &how->max_active},
                   {"recycle-after", &how->recycle_after}};
    const struct {
        const char *name;
        int *ms;
    } times[] = {
        {"lock-timeout", &how->lock_timeout_ms}, {"deadline", &how->deadline_ms}, {"max-lag", &how->max_lag_ms}};
    int code = read_max_failures(command, given, &how->max_failures);
    for (size_t i = 0; code == CLI_FINE && i < N_OF(numbers); i++)
        code = pgdbm__cli_number(command, given, numbers[i].name, 1, numbers[i].number);
    for (size_t i = 0; code == CLI_FINE && i < N_OF(times); i++)
        code = pgdbm__cli_duration(command, given, times[i].name, times[i].ms);
    char most[64];
    snprintf(most, sizeof most, "--workers must be %d at most, not", PGDBM_FLEET_MOST_WORKERS);
    if (code == CLI_FINE && how->workers > PGDBM_FLEET_MOST_WORKERS)
        code = fail_usage(most, pgdbm__cli_value(command, given, "workers"),
                          "processes on other machines share the work, too");
    if (code == CLI_FINE && how->lock_timeout_ms < 0)
        code =
            fail_usage("--lock-timeout cannot be", "off", "a tenant whose locks are not to be had comes again later");
    how->deadline_ms = how->deadline_ms < 0 ? 0 : how->deadline_ms;
    how->max_lag_ms = how->max_lag_ms < 0 ? 0 : how->max_lag_ms;
    return code;
}

static bool print_tally(const struct pgdbm__cli_fleet *fleet, const pgdbm_roll_out_tally *tally, const pgdbm_error *err)
{
    if (fleet->json) {
        json_t *answer = json_pack("{s:I, s:I, s:I, s:I, s:f}", "migrated", (json_int_t)tally->migrated, "failed",
                                   (json_int_t)tally->failed, "quarantined", (json_int_t)tally->quarantined, "skipped",
                                   (json_int_t)tally->skipped, "elapsed_ms", tally->elapsed_ms);
        if (answer != NULL && err != NULL)
            json_object_set_new(answer, "error", pgdbm__cli_json_error(err));
        return pgdbm__cli_print_json(answer);
    }
    if (pgdbm__cli_settings.quiet && err == NULL)
        return true;
    if (tally->migrated + tally->failed + tally->quarantined == 0 && err == NULL)
        printf("nothing to do: every tenant is current\n");
    else
        printf("%zu migrated, %zu failed, %zu quarantined, %zu current already, in %.1f s\n", tally->migrated,
               tally->failed, tally->quarantined, tally->skipped, tally->elapsed_ms / 1000);
    return true;
}

static int roll_out(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_error err = {0};
    struct pgdbm__cli_fleet fleet = {0};
    struct pgdbm__cli_list canaries = {0};
    int *waves = NULL;
    struct shown shown = {0};
    pgdbm_roll_out how = {.workers = 4, .on_progress = show, .context = &shown};
    pgdbm_roll_out_tally tally = {0};
    const char *named = pgdbm__cli_value(command, given, "canaries");
    int code = read_numbers(command, given, &how);
    if (code == CLI_FINE)
        code = read_waves(pgdbm__cli_value(command, given, "waves"), &waves, &how.n_waves);
    if (code == CLI_FINE && named != NULL)
        code = pgdbm__cli_list_read("canaries", named, &canaries);
    how.waves = waves;
    how.canaries = canaries.words;
    how.n_canaries = canaries.n_words;
    if (code == CLI_FINE) /* the others are for looking on, and for orders */
        code = pgdbm__cli_fleet_open(command, given, how.workers + 3, &fleet);
    if (code == CLI_FINE) {
        pgdbm__cli_interrupt_gently();
        bool failed = pgdbm_fleet_roll_out(fleet.fleet, &how, &tally, &err) != PGDBM_OK;
        pgdbm__cli_progress_end();
        code = failed ? pgdbm__cli_exit_code(&err, false) : CLI_FINE;
        if (!print_tally(&fleet, &tally, failed ? &err : NULL))
            code = CLI_FAILED;
        if (failed)
            pgdbm__cli_say_library_error(&err);
    }
    pgdbm__cli_fleet_close(&fleet);
    pgdbm__cli_list_free(&canaries);
    free(waves);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_fleet_apply = {
    .group = "fleet",
    .name = "apply",
    .summary = "Migrate every tenant that is behind",
    .description =
        "Canaries first, then wave after wave; each tenant in one transaction. Busy tenants go to the back of the "
        "queue, those that fail too often are quarantined. Any number of processes and machines may work "
        "together; whoever dies loses one transaction. An interrupt ends what is in work, then the "
        "roll-out.",
    .example = "pgdbm fleet apply --module shop --pattern 'tenant\\_%' --canaries tenant_1,tenant_2 --workers 8",
    .options = options,
    .n_options = N_OF(options),
    .run = roll_out,
};
