/* SPDX-License-Identifier: MIT */
/* The janitor: a process that drops what its starter leaves, however that ends.
 *
 * It holds one end of a socket whose other end only the starter has; the end of that file is the end of the starter. It
 * must then speak to a server, with passwords and TLS, which a child forked from a program with threads cannot do safely:
 * so it is the starter's executable, started anew, and a constructor of this file takes it over before main. That works
 * only where this file is part of the executable itself; elsewhere there is no janitor, and sweeps do its work.
 *
 * The starter's side is owned by this file, guarded by `lock`. */
#include "base/alloc.h"
#include "base/error.h"
#include "testkit/testdb.h"
#include "testkit/testkit.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* "FD NAME": the socket, and a name as the starter would give to a database, which says who it is. */
#define VARIABLE "PGDBM_TESTKIT_JANITOR"
#define READY_MS 20000
#define CLEAN_MS 60000
#define LOOK_MS 100 /* where the kernel has no descriptors of processes */
#define URL_BYTES 4096
#define MAX_SERVERS 16

/* What the starter says, a byte each; EXPECT is followed by the number of the server, SERVER by a length of two bytes and
 * a connection string, which becomes the next number. */
enum { SAY_SERVER = 'S', SAY_EXPECT = '+', SAY_FORGET = '-' };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of the following */
static int janitor = -1;
static struct stat janitor_facts; /* of that socket */
static char *servers[MAX_SERVERS];
static size_t n_servers;
static int64_t living;
static bool listens_to_forks, is_hopeless;

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

/* Whether the number is still the socket's: code under test may close descriptors that it does not know, and then it is
 * somebody else's. */
static bool has_janitor(void)
{
    struct stat facts;
    if (janitor >= 0 &&
        (fstat(janitor, &facts) != 0 || facts.st_dev != janitor_facts.st_dev || facts.st_ino != janitor_facts.st_ino))
        janitor = -1;
    return janitor >= 0;
}

static void leave_janitor(void)
{
    if (has_janitor())
        close(janitor);
    janitor = -1;
}

/* The child owns none of its parent's databases, and must not keep the parent's janitor waiting. */
static void after_fork_in_child(void)
{
    leave_janitor();
    living = 0;
    pthread_mutex_unlock(&lock);
}

/* Whether an address of this file lies in the program: the first object that the loader tells of. */
static int look_at_program(struct dl_phdr_info *info, size_t bytes, void *context)
{
    uintptr_t address = (uintptr_t)&look_at_program;
    (void)bytes;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && address >= start && address - start < part->p_memsz)
            *(bool *)context = true;
    }
    return 1;
}

/* In the grandchild. Only calls that are safe there. */
static void become_janitor(int theirs, char *const *environment)
{
    static char *const arguments[] = {(char *)"pgdbm-janitor", NULL};
    setsid();
    if (fork() != 0)
        _exit(0);
    int nothing = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3 && nothing >= 0; fd++)
        dup2(nothing, fd);
    int moved = theirs != 3 ? dup2(theirs, 3) : fcntl(theirs, F_SETFD, 0) == 0 ? 3 : -1;
    const int kept = 3;
    pgdbm__close_all_but(&kept, 1);
    if (moved == 3 && chdir("/") == 0)
        execve("/proc/self/exe", arguments, environment);
    _exit(127);
}

/* The environment and one variable more, in one piece of memory. */
static char **compose_environment(void)
{
    static const char format[] = VARIABLE "=3 %s";
    struct pgdbm__owner self = pgdbm__owner_self();
    char name[PGDBM__NAME_BYTES];
    size_t count = 0;
    pgdbm__owner_name(&self, name);
    while (environ != NULL && environ[count] != NULL)
        count++;
    char **environment = pgdbm__alloc((count + 2) * sizeof *environment + sizeof format + sizeof name);
    if (environment == NULL)
        return NULL;
    char *variable = (char *)(environment + count + 2);
    if (count > 0)
        memcpy(environment, environ, count * sizeof *environment);
    snprintf(variable, sizeof format + sizeof name, format, name);
    environment[count] = variable;
    environment[count + 1] = NULL;
    return environment;
}

static bool say(const void *bytes, size_t length)
{
    ssize_t sent;
    do
        sent = send(janitor, bytes, length, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)length;
}

static bool say_server(const char *url)
{
    unsigned char message[3 + URL_BYTES];
    size_t length = strlen(url);
    message[0] = SAY_SERVER;
    message[1] = (unsigned char)(length >> 8);
    message[2] = (unsigned char)length;
    memcpy(message + 3, url, length);
    return say(message, 3 + length);
}

/* It answers with a byte when it has been taken over: until then it might be main that runs there. */
static bool is_ready(int ours)
{
    struct pollfd entry = {.fd = ours, .events = POLLIN};
    char answer = 0;
    int ready;
    do
        ready = poll(&entry, 1, READY_MS);
    while (ready < 0 && errno == EINTR);
    return ready > 0 && read(ours, &answer, 1) == 1 && answer == 'j';
}

static void start(void)
{
    int ends[2];
    bool in_program = false;
    dl_iterate_phdr(look_at_program, &in_program);
    char **environment = in_program ? compose_environment() : NULL;
    if (environment == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        pgdbm__free(environment);
        is_hopeless = !in_program;
        return;
    }
    pthread_mutex_unlock(&lock); /* which the fork takes */
    pid_t child = fork();
    if (child == 0)
        become_janitor(ends[1], environment);
    pthread_mutex_lock(&lock);
    close(ends[1]);
    pgdbm__free(environment);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (child < 0 || has_janitor() || !is_ready(ends[0]) || fstat(ends[0], &janitor_facts) != 0) {
        is_hopeless = child > 0 && !has_janitor(); /* it would not be another time either */
        close(ends[0]);
        return;
    }
    janitor = ends[0];
    for (size_t i = 0; i < n_servers; i++)
        (void)say_server(servers[i]);
    for (int64_t i = 0; i < living; i++)
        (void)say("+", 1);
}

/* Remembers the server, and tells the janitor of one that is new. */
static bool know_server(const char *url)
{
    for (size_t i = 0; i < n_servers; i++)
        if (strcmp(servers[i], url) == 0)
            return true;
    if (n_servers == MAX_SERVERS || strlen(url) >= URL_BYTES)
        return true;
    char *copy = pgdbm__strdup(url);
    if (copy == NULL)
        return true;
    servers[n_servers++] = copy;
    return !has_janitor() || say_server(copy);
}

void pgdbm__janitor_expect(const char *url)
{
    pthread_mutex_lock(&lock);
    if (!listens_to_forks)
        listens_to_forks = pthread_atfork(before_fork, after_fork, after_fork_in_child) == 0;
    bool heard = know_server(url);
    if (has_janitor() && (!heard || !say("+", 1))) /* somebody has killed it */
        leave_janitor();
    living++;
    if (!has_janitor() && !is_hopeless)
        start();
    pthread_mutex_unlock(&lock);
}

void pgdbm__janitor_forget(void)
{
    pthread_mutex_lock(&lock);
    if (living > 0)
        living--;
    if (has_janitor())
        (void)say("-", 1);
    pthread_mutex_unlock(&lock);
}

/* From here on: in the janitor. */

/* Waits until none of the starter's sessions makes anything any more, then drops all that bears its name, and a
 * comment of the kit's or none. */
static void clean(const char *url, const struct pgdbm__owner *owner)
{
    struct pgdbm__admin admin;
    pgdbm_result *names = NULL;
    char prefix[PGDBM__NAME_BYTES];
    pgdbm__owner_prefix(owner, prefix);
    if (pgdbm__admin_open(url, CLEAN_MS, &admin, NULL) != PGDBM_OK)
        return;
    if (pgdbm__admin_lock(&admin, prefix, false, NULL) == PGDBM_OK &&
        pgdbm_fetch_all(admin.session,
                        "SELECT datname FROM pg_database WHERE starts_with(datname, $1)"
                        " AND starts_with(coalesce(shobj_description(oid, 'pg_database'), $2), $2)",
                        pgdbm_args(prefix, PGDBM__COMMENT_MARK), &names, NULL) == PGDBM_OK)
        for (size_t i = 0; i < pgdbm_result_rows(names); i++) {
            const char *name = NULL;
            struct pgdbm__owner whose;
            if (pgdbm_get_text(names, i, 0, &name, NULL) == PGDBM_OK && pgdbm__owner_parse(name, &whose))
                (void)pgdbm__admin_drop(&admin, name, NULL);
        }
    pgdbm_result_free(names);
    pgdbm__admin_close(&admin);
}

static bool hear(void *bytes, size_t length)
{
    size_t had = 0;
    while (had < length) {
        ssize_t got = read(3, (char *)bytes + had, length - had);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        had += got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* The socket may have ended without its owner: code under test may close every descriptor that it does not know. */
static void await_end(const struct pgdbm__owner *owner)
{
    struct pollfd process = {.fd = (int)syscall(SYS_pidfd_open, owner->pid, 0), .events = POLLIN};
    bool ended = false; /* a descriptor of a process becomes readable with its end */
    while (!ended && pgdbm__owner_look(owner) == PGDBM__OWNER_LIVES)
        ended = poll(&process, 1, process.fd >= 0 ? -1 : LOOK_MS) > 0;
    if (process.fd >= 0)
        close(process.fd);
}

/* Until the starter's end. What of its databases are there then is looked up; only whether there may be any is counted. */
static void wait_and_clean(const struct pgdbm__owner *owner)
{
    static char urls[MAX_SERVERS][URL_BYTES];
    size_t n_urls = 0;
    int64_t left = 0;
    char word;
    while (hear(&word, 1)) {
        unsigned char size[2];
        if (word == SAY_EXPECT)
            left++;
        else if (word == SAY_FORGET)
            left--;
        else if (word != SAY_SERVER || n_urls == MAX_SERVERS || !hear(size, 2))
            break;
        else {
            size_t length = (size_t)size[0] << 8 | size[1];
            if (length >= URL_BYTES || !hear(urls[n_urls], length))
                break;
            urls[n_urls++][length] = '\0';
        }
    }
    await_end(owner);
    for (size_t i = 0; left > 0 && i < n_urls; i++)
        clean(urls[i], owner);
}

__attribute__((constructor)) static void take_over(void)
{
    const char *order = secure_getenv(VARIABLE);
    struct pgdbm__owner owner;
    struct stat facts;
    if (order == NULL || strncmp(order, "3 ", 2) != 0 || !pgdbm__owner_parse(order + 2, &owner) ||
        fstat(3, &facts) != 0 || !S_ISSOCK(facts.st_mode))
        return;
    unsetenv(VARIABLE);
    if (owner.pid == getpid())
        return;
    fcntl(3, F_SETFD, FD_CLOEXEC);
    prctl(PR_SET_NAME, "pgdbm-janitor");
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    if (write(3, "j", 1) == 1)
        wait_and_clean(&owner);
    _exit(0);
}
