/* SPDX-License-Identifier: MIT */
/* The relay. */
#include "migrate/relay.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define SOCKET_NAME "/.s.PGSQL.5432"

static struct sockaddr_un address_in(const char *directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s" SOCKET_NAME, directory);
    return address;
}

static int connect_to(const char *directory)
{
    struct sockaddr_un address = address_in(directory);
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file >= 0 && connect(file, (struct sockaddr *)&address, sizeof address) != 0) {
        close(file);
        file = -1;
    }
    return file;
}

static bool pass_on(int from, int to)
{
    char data[16384];
    ssize_t count = read(from, data, sizeof data);
    for (ssize_t done = 0; done < count;) {
        ssize_t sent = send(to, data + done, (size_t)(count - done), MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        done += sent;
    }
    return count > 0;
}

/* Until one side hangs up; false when the relay is to stop. */
static bool serve(struct relay *relay, int client, int server)
{
    bool server_spoke = true;
    for (;;) {
        struct pollfd files[] = {{client, POLLIN, 0}, {server, POLLIN, 0}, {relay->stop[0], POLLIN, 0}};
        if (poll(files, 3, -1) < 0 || files[2].revents != 0)
            return false;
        if (files[1].revents != 0) {
            server_spoke = true;
            if (!pass_on(server, client))
                return true;
        } else if (files[0].revents != 0) {
            if (server_spoke)
                atomic_fetch_add(&relay->trips, 1);
            server_spoke = false;
            if (!pass_on(client, server))
                return true;
        }
    }
}

static void *relay_main(void *argument)
{
    struct relay *relay = argument;
    bool more = true;
    while (more) {
        struct pollfd files[] = {{relay->listener, POLLIN, 0}, {relay->stop[0], POLLIN, 0}};
        if (poll(files, 2, -1) < 0 || files[1].revents != 0)
            break;
        int client = accept(relay->listener, NULL, NULL);
        int server = connect_to(relay->server_directory);
        more = client < 0 || server < 0 || serve(relay, client, server);
        if (client >= 0)
            close(client);
        if (server >= 0)
            close(server);
    }
    return NULL;
}

void relay_start(struct relay *relay, const char *server_directory)
{
    test_directory_make("relay", relay->directory);
    relay->server_directory = server_directory;
    struct sockaddr_un address = address_in(relay->directory);
    relay->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(relay->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(relay->listener, 8), 0);
    assert_int_equal(pipe(relay->stop), 0);
    assert_int_equal(pthread_create(&relay->thread, NULL, relay_main, relay), 0);
}

void relay_stop(struct relay *relay)
{
    struct sockaddr_un address = address_in(relay->directory);
    assert_int_equal(write(relay->stop[1], "", 1), 1);
    assert_int_equal(pthread_join(relay->thread, NULL), 0);
    close(relay->listener);
    close(relay->stop[0]);
    close(relay->stop[1]);
    unlink(address.sun_path);
    rmdir(relay->directory);
}
