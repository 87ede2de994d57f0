/* SPDX-License-Identifier: MIT */
/* Starting programs and talking to them. */
#include "examples/program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { PATIENCE_MS = 60000 };

void program_start(struct program *program, const char *path, const char *argument, const char *url)
{
    int input[2];
    int output[2];
    assert_int_equal(pipe2(input, O_CLOEXEC), 0);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    program->pid = fork();
    if (program->pid == 0) {
        if (setenv("DATABASE_URL", url, 1) == 0 && dup2(input[0], 0) == 0 && dup2(output[1], 1) == 1)
            execl(path, path, argument, (char *)NULL);
        _exit(127);
    }
    assert_true(program->pid > 0);
    close(input[0]);
    close(output[1]);
    program->input = input[1];
    program->output = (struct lines){.fd = output[0]};
}

static void send_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t sent = write(fd, text, bytes);
        if (sent < 0)
            fail_msg("cannot write: %s", strerror(errno));
        text += sent;
        bytes -= (size_t)sent;
    }
}

void program_write(struct program *program, const char *text)
{
    send_all(program->input, text, strlen(text));
}

void program_end_input(struct program *program)
{
    if (program->input >= 0)
        close(program->input);
    program->input = -1;
}

int program_finish(struct program *program, int signal)
{
    int status = 0;
    int64_t give_up = stage_clock_ms() + PATIENCE_MS;
    if (program->pid == 0)
        return 0;
    program_end_input(program);
    if (signal != 0)
        kill(program->pid, signal);
    while (waitpid(program->pid, &status, WNOHANG) == 0) {
        if (stage_clock_ms() > give_up) {
            kill(program->pid, SIGKILL);
            waitpid(program->pid, &status, 0);
            break;
        }
        usleep(1000);
    }
    program->pid = 0;
    close(program->output.fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Reads more; false at the end. */
static bool fill(struct lines *lines)
{
    struct pollfd ready = {.fd = lines->fd, .events = POLLIN};
    if (lines->bytes == sizeof lines->text)
        fail_msg("a line of more than %zu bytes", lines->bytes);
    if (poll(&ready, 1, PATIENCE_MS) != 1)
        fail_msg("no line came within %d ms", PATIENCE_MS);
    ssize_t count = read(lines->fd, lines->text + lines->bytes, sizeof lines->text - lines->bytes);
    lines->bytes += count > 0 ? (size_t)count : 0;
    return count > 0;
}

const char *lines_next(struct lines *lines)
{
    static char line[sizeof lines->text];
    char *end;
    while ((end = memchr(lines->text, '\n', lines->bytes)) == NULL)
        if (!fill(lines))
            return NULL;
    size_t length = (size_t)(end - lines->text);
    memcpy(line, lines->text, length);
    line[length] = '\0';
    lines->bytes -= length + 1;
    memmove(lines->text, end + 1, lines->bytes);
    return line;
}

void lines_expect(struct lines *lines, const char *expected)
{
    const char *line = lines_next(lines);
    if (line == NULL || strcmp(line, expected) != 0)
        fail_msg("expected \"%s\", came \"%s\"", expected, line != NULL ? line : "the end");
}

void lines_expect_end(struct lines *lines)
{
    const char *line = lines_next(lines);
    if (line != NULL)
        fail_msg("expected the end, came \"%s\"", line);
}

void lines_connect(struct lines *lines, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *lines = (struct lines){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    int little = 4096; /* of what the other side sends; the rest waits over there */
    setsockopt(lines->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    if (connect(lines->fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail_msg("cannot connect to port %d: %s", port, strerror(errno));
}

void lines_send(struct lines *lines, const char *text, size_t bytes)
{
    send_all(lines->fd, text, bytes);
}

void lines_say(struct lines *lines, const char *line)
{
    char text[4096];
    int bytes = snprintf(text, sizeof text, "%s\n", line);
    send_all(lines->fd, text, (size_t)bytes);
}

void lines_close(struct lines *lines)
{
    if (lines->fd > 0)
        close(lines->fd);
    lines->fd = 0;
}
