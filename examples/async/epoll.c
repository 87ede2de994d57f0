/* SPDX-License-Identifier: MIT */
/* An SQL prompt that does not wait: each line of standard input (a terminal or a pipe) is a statement, submitted at
 * once; answers are printed as they come. One thread and one epoll(7). DATABASE_URL says where. */
#include <pgdbm/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

static size_t under_way;

static void on_answer(const pgdbm_outcome *outcome, void *number)
{
    const char *text = "no rows";
    if (outcome->status != PGDBM_OK)
        text = outcome->error->message;
    else if (pgdbm_result_rows(outcome->result) > 0)
        (void)pgdbm_get_text(outcome->result, 0, 0, &text, NULL);
    printf("%zu: %s\n", (size_t)number, text != NULL ? text : "NULL");
    under_way--;
}

/* Submits the next line; false at the end of the input. */
static bool read_statement(pgdbm_db *db)
{
    static size_t number;
    char line[4096];
    pgdbm_error err;
    if (fgets(line, sizeof line, stdin) == NULL)
        return false;
    number++;
    if (pgdbm_submit(db, line, pgdbm_no_args, on_answer, (void *)number, &err) == PGDBM_OK)
        under_way++;
    else
        printf("%zu: %s\n", number, err.message);
    return true;
}

int main(void)
{
    /* Each statement has a session to itself, so that no answer has to wait for a slower one's. */
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL"), .max_pipeline = 1};
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    if (pgdbm_open(&config, &db, &err) != PGDBM_OK)
        fprintf(stderr, "%s\n%s\n", err.message, err.hint);
    int epoll = epoll_create1(EPOLL_CLOEXEC), fds[] = {0, pgdbm_fd(pgdbm_pool_of(db))};
    for (int i = 0; i < 2; i++)
        (void)epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){.events = EPOLLIN, .data.fd = fds[i]});
    setvbuf(stdin, NULL, _IONBF, 0); /* a line that stdio had taken early would not wake epoll */
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (bool reading = db != NULL; reading || under_way > 0;) {
        struct epoll_event event = {0};
        if (epoll_wait(epoll, &event, 1, -1) == 1 && event.data.fd != 0)
            (void)pgdbm_dispatch(pgdbm_pool_of(db), 0);
        else if (event.events != 0 && !(reading = read_statement(db)))
            (void)epoll_ctl(epoll, EPOLL_CTL_DEL, 0, NULL);
    }
    pgdbm_close(db);
    return err.status == PGDBM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
