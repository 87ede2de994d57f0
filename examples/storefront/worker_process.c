/* SPDX-License-Identifier: MIT */
/* Starting and ending the worker. */
#include "worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The program beside this one. */
static bool find_program(char path[PATH_MAX])
{
    static const char suffix[] = "-worker";
    ssize_t bytes = readlink("/proc/self/exe", path, PATH_MAX - sizeof suffix);
    if (bytes <= 0)
        return false;
    memcpy(path + bytes, suffix, sizeof suffix);
    return true;
}

/* Runs the program with the given ends of the pipes as its standard input and output. */
static int spawn(const char *path, int input, int output, pid_t *pid)
{
    char name[] = "storefront-worker";
    char *const arguments[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed != 0)
        return failed;
    failed = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (failed == 0)
        failed = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (failed == 0)
        failed = posix_spawn(pid, path, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

bool worker_start(struct worker_process *worker)
{
    char path[PATH_MAX];
    char line[128] = "";
    int to[2] = {-1, -1};
    int from[2] = {-1, -1};
    *worker = (struct worker_process){.input = -1};
    int failed = find_program(path) && pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0 ? 0 : errno;
    if (failed == 0)
        failed = spawn(path, to[0], from[1], &worker->pid);
    close(to[0]);
    close(from[1]);
    worker->input = to[1];
    worker->output = fdopen(from[0], "r");
    if (failed != 0 || worker->output == NULL) {
        fprintf(stderr, "storefront: cannot start the worker: %s\n", strerror(failed));
        return false;
    }
    if (fgets(line, sizeof line, worker->output) != NULL && strcmp(line, "ready\n") == 0)
        return true;
    fprintf(stderr, "storefront: the worker ended before it was ready\n");
    return false;
}

/* Closes the pipes and waits for the process; how it ended, as waitpid says. */
static int end(struct worker_process *worker)
{
    int ended = 0;
    if (worker->input >= 0)
        close(worker->input);
    if (worker->output != NULL)
        fclose(worker->output);
    if (worker->pid > 0)
        waitpid(worker->pid, &ended, 0);
    *worker = (struct worker_process){.input = -1};
    return ended;
}

bool worker_finish(struct worker_process *worker, struct worker_answer *answer)
{
    close(worker->input);
    worker->input = -1;
    bool answered = fscanf(worker->output, "jobs %lld transactions %lld p50 %lld p99 %lld", &answer->jobs,
                           &answer->transactions, &answer->p50, &answer->p99) == 4;
    int ended = end(worker);
    if (answered && ended == 0)
        return true;
    fprintf(stderr, "storefront: the worker did not end well (%s %d)\n", WIFSIGNALED(ended) ? "signal" : "status",
            WIFSIGNALED(ended) ? WTERMSIG(ended) : WEXITSTATUS(ended));
    return false;
}

void worker_end(struct worker_process *worker)
{
    end(worker);
}
