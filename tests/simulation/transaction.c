/* SPDX-License-Identifier: MIT */
/* Transactions of the simulated server: effects and notifications that count when they are committed. */
#include "simulation/backend.h"

#include "simulation/world.h"

#include <stdio.h>
#include <string.h>

void transaction_begin(struct backend *backend)
{
    backend->block = 'T';
    backend->owner = 0;
}

static void forget(struct backend *backend)
{
    backend->n_effects = backend->n_notes = backend->n_savepoints = 0;
    backend->owner = 0;
}

void transaction_undo(struct backend *backend)
{
    forget(backend);
}

static bool listens(const struct backend *backend, const char *channel)
{
    for (size_t i = 0; i < backend->n_listening; i++)
        if (strcmp(backend->listening[i], channel) == 0)
            return true;
    return false;
}

static void look(void *subject, int64_t argument)
{
    (void)argument;
    backend_run(subject);
}

static void publish(const struct backend *sender, const struct note *note)
{
    for (size_t i = 0; i < n_backends; i++) {
        struct backend *backend = backends[i];
        if (backend->exited || !listens(backend, note->channel) ||
            backend->n_inbox == sizeof backend->inbox / sizeof *backend->inbox)
            continue;
        backend->senders[backend->n_inbox] = sender->number;
        backend->inbox[backend->n_inbox++] = *note;
        world_at(world.now + 1000, look, backend, 0);
    }
}

void transaction_commit(struct backend *backend)
{
    for (size_t i = 0; i < backend->n_effects; i++) {
        world_note("backend %d: commits %u", backend->number, backend->effects[i]);
        if (++world.applied[backend->effects[i]] > 1)
            world_fail("backend %d: effect %u was committed a second time", backend->number, backend->effects[i]);
    }
    for (size_t i = 0; i < backend->n_notes; i++)
        publish(backend, &backend->notes[i]);
    forget(backend);
}

void transaction_failed(struct backend *backend)
{
    if (backend->block == 'I')
        forget(backend);
    else
        backend->block = 'E';
}

bool transaction_savepoint(struct backend *backend, const char *name)
{
    if (backend->block != 'T')
        return false;
    if (backend->n_savepoints == sizeof backend->savepoints / sizeof *backend->savepoints)
        world_fail("backend %d: too many savepoints", backend->number);
    struct savepoint *made = &backend->savepoints[backend->n_savepoints++];
    snprintf(made->name, sizeof made->name, "%s", name);
    made->n_effects = backend->n_effects;
    made->n_notes = backend->n_notes;
    return true;
}

static size_t find(const struct backend *backend, const char *name)
{
    size_t at = backend->n_savepoints;
    while (at > 0 && strcmp(backend->savepoints[at - 1].name, name) != 0)
        at--;
    return at;
}

bool transaction_release(struct backend *backend, const char *name)
{
    size_t at = find(backend, name);
    if (at > 0)
        backend->n_savepoints = at - 1;
    return at > 0;
}

bool transaction_return(struct backend *backend, const char *name)
{
    size_t at = find(backend, name);
    if (at == 0)
        return false;
    backend->n_savepoints = at; /* it stays */
    backend->n_effects = backend->savepoints[at - 1].n_effects;
    backend->n_notes = backend->savepoints[at - 1].n_notes;
    backend->block = 'T';
    return true;
}

void transaction_effect(struct backend *backend, unsigned effect)
{
    if (effect >= WORLD_EFFECTS || backend->n_effects == sizeof backend->effects / sizeof *backend->effects)
        world_fail("backend %d: more effects than the ledger holds", backend->number);
    backend->effects[backend->n_effects++] = effect;
}

void transaction_notify(struct backend *backend, const char *channel, const char *payload)
{
    if (backend->n_notes == sizeof backend->notes / sizeof *backend->notes)
        world_fail("backend %d: too many notifications", backend->number);
    struct note *note = &backend->notes[backend->n_notes++];
    snprintf(note->channel, sizeof note->channel, "%s", channel);
    snprintf(note->payload, sizeof note->payload, "%s", payload);
}
