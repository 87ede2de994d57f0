/* SPDX-License-Identifier: MIT */
/* Wrong on purpose: two threads write without a lock. */
#include <pthread.h>
#include <stddef.h>

static int shared;

static void *count(void *context)
{
    for (int i = 0; i < 100000; i++)
        shared++;
    return context;
}

int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, count, NULL) != 0)
        return 0;
    count(NULL);
    pthread_join(thread, NULL);
    return 0;
}
