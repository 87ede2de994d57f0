/* SPDX-License-Identifier: MIT */
/* Looking at a fleet: who is behind, and whose structure has drifted. */
#include "shop.h"

#include <stdio.h>

/* [behind] */
pgdbm_status count_behind(pgdbm_fleet *fleet, pgdbm_error *err)
{
    pgdbm_fleet_report *report = NULL;
    pgdbm_status status = pgdbm_fleet_status(fleet, false, &report, err);
    if (status == PGDBM_OK)
        printf("%zu of %zu behind\n", report->counts[PGDBM_TARGET_BEHIND], report->n_all);
    pgdbm_fleet_report_free(report);
    return status;
}
/* [/behind] */

/* [status] */
/* For a monitoring system; PGDBM_FLEET_TEXT and PGDBM_FLEET_JSON say the same to others. */
pgdbm_status print_status(pgdbm_fleet *fleet, pgdbm_error *err)
{
    pgdbm_fleet_report *report = NULL;
    pgdbm_status status = pgdbm_fleet_status(fleet, true, &report, err);
    char *text = status == PGDBM_OK ? pgdbm_fleet_report_print(report, PGDBM_FLEET_PROMETHEUS) : NULL;
    if (text != NULL)
        fputs(text, stderr);
    pgdbm_free(text);
    pgdbm_fleet_report_free(report);
    return status;
}
/* [/status] */

/* [drift] */
pgdbm_status print_drift(pgdbm_fleet *fleet, pgdbm_error *err)
{
    static const char *const words[] = {"lacks", "has otherwise", "has beyond the others"};
    pgdbm_drift_report *report = NULL;
    pgdbm_status status = pgdbm_fleet_drift(fleet, &(pgdbm_drift_options){0}, &report, err);
    for (size_t i = 0; status == PGDBM_OK && i < report->n_drifts; i++)
        printf("%s %s %s\n", report->drifts[i].schema, words[report->drifts[i].kind], report->drifts[i].object);
    pgdbm_drift_report_free(report);
    return status;
}
/* [/drift] */
