/* SPDX-License-Identifier: MIT */
/* Messages larger than every buffer on the way, in both directions at once. */
#include "db/crew.h"

#include <stdlib.h>

#define LARGE (64 << 20)

static void send_and_get_large(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    pgdbm_error err;
    pgdbm_result *rows = NULL;
    pgdbm_blob blob = {0};
    unsigned char *sent = malloc(LARGE);
    memset(sent, (int)hand->number + 1, LARGE);
    if (crew_wants(hand, PGDBM_OK,
                   pgdbm_fetch_one(stage->db, "SELECT $1::bytea", pgdbm_args(pgdbm_bytes(sent, LARGE)), &rows, &err),
                   &err) &&
        crew_wants(hand, PGDBM_OK, pgdbm_get_bytes(rows, 0, 0, &blob, &err), &err))
        crew_holds(hand, blob.bytes == LARGE && memcmp(blob.data, sent, LARGE) == 0, "%zu bytes, not the ones sent",
                   blob.bytes);
    pgdbm_result_free(rows);
    free(sent);
}

static void three_callers_on_one_session_send_and_get_64_megabytes_at_once(void **state)
{
    crew_run(3, send_and_get_large, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(three_callers_on_one_session_send_and_get_64_megabytes_at_once, stage_setup_one,
                                        stage_teardown),
    };
    return cmocka_run_group_tests_name("large", tests, NULL, NULL);
}
