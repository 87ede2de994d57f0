/* SPDX-License-Identifier: MIT */
/* Data of a COPY FROM on its way out, and holding a COPY TO back (PostgreSQL documentation 55.2.6). */
#include "session/session.h"

#include "wire/encode.h"

/* So much may be queued; more only when the socket has taken all of it. With the heads of its messages it is within what a
 * session keeps of its buffers (send.c): a long COPY makes none anew. */
#define QUEUED_BYTES ((size_t)192 * 1024)

/* There is no memory to go on with it: the server is told so, or, without memory for that, cut off; either undoes it.
 * Locked. */
static void fail_nomem(struct pgdbm__session *session, struct pgdbm__request *request)
{
    session->out.failed = false;
    size_t mark = session->out.length;
    request->copying = false;
    request->short_of_memory = true;
    pgdbm__wire_copy_fail(&session->out, "the client is out of memory");
    if (session->out.failed) {
        session->out.failed = false;
        session->out.length = mark;
        pgdbm__session_abort(session, "there is no memory to go on with a COPY");
    }
    session->bytes_queued += session->out.length - mark;
}

size_t pgdbm__session_copy(struct pgdbm__session *session, struct pgdbm__request *request, const void *data,
                           size_t bytes)
{
    size_t taken = 0;
    pthread_mutex_lock(&session->lock);
    size_t queued = session->out.length + session->going.length - session->going_done;
    size_t room = queued < QUEUED_BYTES ? QUEUED_BYTES - queued : 0;
    if (session->broken || !request->copying)
        taken = bytes; /* it has ended already; its outcome is on the way */
    else if (room > 0 && bytes > 0) {
        size_t mark = session->out.length;
        taken = bytes < room ? bytes : room;
        pgdbm__wire_copy_data(&session->out, data, taken);
        session->open_end = NULL;
        if (session->out.failed) {
            session->out.length = mark;
            fail_nomem(session, request);
            taken = bytes; /* as when it has ended already */
        } else
            session->bytes_queued += session->out.length - mark;
    }
    if (taken < bytes)
        session->room_for = request;
    pthread_mutex_unlock(&session->lock);
    return taken;
}

void pgdbm__session_copy_end(struct pgdbm__session *session, struct pgdbm__request *request, const char *failure)
{
    pthread_mutex_lock(&session->lock);
    if (!session->broken && request->copying) {
        size_t mark = session->out.length;
        request->copying = false;
        if (failure != NULL)
            pgdbm__wire_copy_fail(&session->out, failure);
        else
            pgdbm__wire_copy_done(&session->out);
        if (session->out.failed) {
            session->out.length = mark;
            fail_nomem(session, request);
        } else {
            session->bytes_queued += session->out.length - mark;
            request->sent_end = session->bytes_queued;
        }
    }
    if (session->room_for == request)
        session->room_for = NULL;
    pthread_mutex_unlock(&session->lock);
}

void pgdbm__session_pause(struct pgdbm__session *session, bool paused)
{
    pthread_mutex_lock(&session->lock);
    bool resumed = session->paused && !paused;
    session->paused = paused;
    if (!session->broken)
        pgdbm__session_watch(session, paused ? session->watched & ~PGDBM__POLL_IN : session->watched | PGDBM__POLL_IN);
    pthread_mutex_unlock(&session->lock);
    if (resumed)
        session->attention(session);
}
