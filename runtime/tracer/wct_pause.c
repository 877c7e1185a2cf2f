/*
 * wct_pause.c: tracees that stand still for a while, and nobody else with them.
 *
 * Called by wct_fault.c, and by wct_loop.c before each wait; wct_ask.c's tracees are looked at here as well. A pause holds back the tracee's next wct_resume until its time has
 * come; a timer ends the loop's waitpid then. The timer goes on ticking until it is set anew: a tick that comes just before
 * waitpid would be lost.
 * Absent on purpose: what a paused tracee was stopped for. What is to be let go (wct_session.over) does not wait.
 */
#define _GNU_SOURCE
#include "wct_loop.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define WAKE SIGURG /* as wct_main.c has it: its handler does nothing */
#define TICK 1000000u
#define SECOND 1000000000u
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static uint64_t next;  /* the earliest end of a pause; 0: there is none */
static uint64_t armed; /* what the timer is set to */

static uint64_t
now_ns(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void
arm(uint64_t when)
{
        static timer_t timer;
        static bool made;
        struct sigevent wake = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = WAKE};
        wake.sigev_notify_thread_id = gettid();
        if (armed == when || (!made && timer_create(CLOCK_MONOTONIC, &wake, &timer) != 0))
                return;
        made = true;
        armed = when;
        struct itimerspec set = {.it_value = {(time_t)(when / SECOND), (long)(when % SECOND)}};
        set.it_interval.tv_nsec = when != 0 ? TICK : 0;
        timer_settime(timer, TIMER_ABSTIME, &set, NULL);
}

void
wct_look_at(uint64_t when)
{
        if (next == 0 || when < next)
                next = when;
}

void
wct_pause(struct wct_tracee *tracee, uint64_t ns)
{
        const uint64_t now = now_ns(), from = tracee->paused > now ? tracee->paused : now;
        tracee->paused = from + ns;
        wct_look_at(tracee->paused);
}

static void
end_or_count(struct wct_tracee *tracee, void *context)
{
        const uint64_t now = *(const uint64_t *)context;
        if (tracee->question != NULL && tracee->state == WCT_STOPPED && !tracee->held) {
                const uint64_t again = wct_ask_look(tracee, now);
                if (again != 0)
                        wct_look_at(again);
                return;
        }
        if (tracee->paused == 0)
                return;
        if (tracee->paused > now && !wct_session.over) {
                wct_look_at(tracee->paused);
                return;
        }
        tracee->paused = 0;
        if (tracee->state == WCT_STOPPED && !tracee->held)
                wct_resume(tracee);
}

void
wct_pauses_end(void)
{
        const bool answered = wct_answers_came();
        if (next == 0)
                return;
        uint64_t now = now_ns();
        if (answered || now >= next) {
                next = 0;
                wct_each_tracee(end_or_count, &now);
        }
        arm(next);
}
