/*
 * wct_orphan.c: a child that stops before its parent's event has come, and perhaps never will.
 *
 * Called by wct_process.c and wct_loop.c.  A child runs as soon as it exists; its parent stops for its event a moment later, or
 * not at all when it is killed just then.  Rules:
 *   O1  while the parent is among ours, its event is waited for; a child whose parent is gone is taken in at once, and one that
 *       nobody has spoken for in PATIENCE_MS (a brother by CLONE_PARENT) as well
 *   O2  a child's memory is a copy of its parent's, breakpoints included: who died last of each image is remembered for that.
 *       What makes an image unmistakable is its auxiliary vector, full of random addresses, which children keep until they exec
 *
 * Absent on purpose: the segment of a dead parent: such a child gets one of its own.
 */
#define _GNU_SOURCE
#include "wct_loop.h"

#include "wct_image.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GHOSTS 8
#define PATIENCE_MS 500

static struct wct_process *ghost[GHOSTS];
static unsigned next_ghost;

void
wct_process_bury(struct wct_process *process)
{
        struct wct_process **place = &ghost[next_ghost++ % GHOSTS];
        if (process->segment != NULL)
                wct_segment_release(process->segment);
        process->segment = NULL;
        if (*place != NULL && (*place)->space != NULL)
                wct_space_release((*place)->space);
        free(*place);
        *place = process;
}

static struct wct_process *
ghost_of(uint64_t image)
{
        for (unsigned i = 1; i <= GHOSTS; i++) {
                struct wct_process *process = ghost[(next_ghost - i) % GHOSTS];
                if (process != NULL && process->image == image)
                        return process;
        }
        return NULL;
}

/* Somebody with the same memory at the time of the fork. */
static struct wct_process *
relative_of(pid_t tid, pid_t parent)
{
        const uint64_t image = wct_image_key(tid);
        struct wct_process *process = wct_process_find(parent);
        if (process == NULL || process->image != image)
                process = ghost_of(image);
        return process;
}

static struct wct_process *
process_for(struct wct_tracee *tracee, pid_t leader, pid_t parent)
{
        if (leader > 0 && leader != tracee->tid && wct_process_find(leader) != NULL)
                return wct_process_find(leader);
        struct wct_process *relative = relative_of(tracee->tid, parent);
        struct wct_process *process;
        if (relative != NULL) {
                process = wct_process_born(relative, tracee->tid, false);
                process->parent = parent;
                if (relative->segment != NULL || process->coverage == WCT_EVENTS_ONLY)
                        return process;
        } else {
                process = wct_process_add(tracee->tid, parent);
                process->launched = true;
                process->filtered = wct_session.filtered;
                process->attached = !wct_session.filtered;
                process->coverage = WCT_EVENTS_ONLY;
                return process;
        }
        char program[4096];
        wct_image_program(tracee->tid, program, sizeof program);
        process->segment = wct_segment_new(process->pid, parent, program);
        return process;
}

static void
take_in(struct wct_tracee *tracee, void *whatever)
{
        if (tracee->process != NULL)
                return;
        const pid_t leader = (pid_t)wct_status_of(tracee->tid, "Tgid:", 10);
        const pid_t parent = (pid_t)wct_status_of(tracee->tid, "PPid:", 10);
        const bool is_thread = leader > 0 && leader != tracee->tid;
        if (whatever == NULL && !is_thread && wct_process_find(parent) != NULL) /* O1 */
                return;
        const int status = tracee->first_status;
        if (!is_thread || !wct_own_thread(leader, tracee->tid))
                wct_pin_fork(tracee->tid);
        wct_tracee_adopt(tracee, process_for(tracee, leader, parent));
        wct_first_stop(tracee, status);
}

void
wct_orphans_review(void)
{
        if (wct_orphans != 0)
                wct_each_tracee(take_in, NULL);
}

void
wct_orphans_take_in(void)
{
        static char any;
        if (wct_orphans != 0)
                wct_each_tracee(take_in, &any);
}

static uint64_t
milliseconds(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Mostly the parent's event is there before the first pause has ended. */
pid_t
wct_orphans_wait(int *status, int options)
{
        static uint64_t began, seen;
        struct timespec pause = {0, 20000};
        if (seen != wct_orphans_seen) /* another one, so that the patience begins anew */
                began = milliseconds();
        seen = wct_orphans_seen;
        while (milliseconds() < began + PATIENCE_MS) {
                const pid_t tid = waitpid(-1, status, options | WNOHANG);
                if (tid != 0)
                        return tid;
                nanosleep(&pause, NULL);
                pause.tv_nsec = pause.tv_nsec < 1000000 ? pause.tv_nsec * 2 : pause.tv_nsec;
        }
        wct_orphans_take_in();
        return 0;
}
