/*
 * wct_loop.c: next_event takes a stop, dispatch_event says whose it is, wct_resume lets the tracee go on.
 *
 * Called by wct_main.c; wct_resume and wct_wait_for by everybody.  Rules:
 *   T1  whatever fails with ESRCH, the end of the tracee comes by waitpid: nothing is undone for it
 *   T5  an event of a tracee that nobody knows is a child's first stop that came before its parent's event: it is kept, and
 *       looked at when that event comes or when the parent has ended
 *   T6  events are taken in the order in which the kernel gives them, but for those of busy tracees, which it would give
 *       for ever: after DRAIN events all that have come are taken before any is acted upon, so that each has its turn
 * Every system call counts here: a traced system call has two stops, each with a waitpid, a question and a resume.
 *
 * Absent on purpose: what stops mean (wct_syscall.c, wct_signal.c, wct_process.c).
 */
#define _GNU_SOURCE
#include "wct_loop.h"

#include "wct_space.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#define DRAIN 64u
#define HOLD_PAUSES 3000 /* milliseconds without an event after which a thread that does not stop is let be */
#define WAIT (__WALL | __WNOTHREAD) /* the thread that hears wc-run has no tracees: the kernel need not look at it */

static struct wct_event *queue;
static uint32_t queue_first, queue_count, queue_room, taken;
static bool holding;
static struct wct_event current; /* being acted upon; tid 0: none */

static void
queue_put(struct wct_event event)
{
        if (queue_count == queue_room) {
                struct wct_event *larger = malloc((queue_room * 2 + 16) * sizeof *larger);
                if (larger == NULL)
                        abort();
                for (uint32_t i = 0; i < queue_count; i++)
                        larger[i] = queue[(queue_first + i) % queue_room];
                free(queue);
                queue = larger;
                queue_room = queue_room * 2 + 16;
                queue_first = 0;
        }
        queue[(queue_first + queue_count++) % queue_room] = event;
}

static bool
queue_take(struct wct_event *event)
{
        if (queue_count == 0)
                return false;
        *event = queue[queue_first];
        queue_first = (queue_first + 1) % queue_room;
        queue_count--;
        return true;
}

/* Take the first queued event of this tracee, whatever stands before it. */
static bool
queue_take_of(pid_t tid, struct wct_event *event)
{
        bool found = false;
        for (uint32_t n = queue_count; n != 0; n--) {
                struct wct_event one;
                queue_take(&one);
                if (found || one.tid != tid) {
                        queue_put(one);
                        continue;
                }
                *event = one;
                found = true;
        }
        return found;
}

static void
drain(void)
{
        struct wct_event event;
        while ((event.tid = waitpid(-1, &event.status, WAIT | WNOHANG)) > 0)
                queue_put(event);
}

/* The kernel says that there is nobody: what the table still holds has gone without a word. */
static void
forget(struct wct_tracee *tracee, void *context)
{
        (void)context;
        wct_tracee_remove(tracee);
}

bool
wct_next_event(struct wct_event *event)
{
        for (;;) {
                if (!wct_commands(wct_tracees() == 0))
                        return false;
                wct_pauses_end();
                if (queue_take(event))
                        return true;
                if (taken++ >= DRAIN && wct_tracees() > 1) {
                        taken = 0;
                        drain();
                        if (queue_take(event))
                                return true;
                }
                event->tid = wct_orphans != 0 ? wct_orphans_wait(&event->status, WAIT) : waitpid(-1, &event->status, WAIT);
                if (event->tid > 0)
                        return true;
                if (event->tid < 0 && errno == ECHILD && wct_tracees() != 0)
                        wct_each_tracee(forget, NULL);
        }
}

int
wct_wait_for(struct wct_tracee *tracee)
{
        const pid_t tid = tracee->tid;
        struct wct_event event;
        bool there = queue_take_of(tid, &event);
        while (!there) {
                event.tid = waitpid(-1, &event.status, WAIT);
                if (event.tid < 0 && errno != EINTR)
                        return -1;
                there = event.tid == tid;
                if (event.tid > 0 && !there)
                        queue_put(event);
        }
        const bool lives = WIFSTOPPED(event.status) && event.status >> 16 != PTRACE_EVENT_EXEC;
        wct_regs_forget(tracee);
        if (lives) {
                tracee->state = WCT_STOPPED;
                return event.status;
        }
        queue_put(event);
        return -1;
}

/* By which request it goes on. */
static int
request_for(const struct wct_tracee *tracee)
{
        const struct wct_process *process = tracee->process;
        if (tracee->stepping || tracee->framing)
                return PTRACE_SINGLESTEP;
        if (tracee->exit_wanted || tracee->affinity || tracee->restarting || tracee->returning != 0 || process->every)
                return PTRACE_SYSCALL;
        return PTRACE_CONT;
}

/* Until its pause is over. What the tracee is given stands in its registers already, should it be let go meanwhile. */
static void
stand_still(struct wct_tracee *tracee)
{
        wct_regs_flush(tracee);
        tracee->state = WCT_STOPPED;
        if (current.tid == tracee->tid)
                current.tid = 0;
}

void
wct_resume(struct wct_tracee *tracee)
{
        if (holding) {
                tracee->state = WCT_STOPPED;
                tracee->held = true;
                return;
        }
        if ((tracee->paused != 0 || tracee->question != NULL) && !wct_session.over) {
                stand_still(tracee);
                return;
        }
        wct_ask_forget(tracee); /* it is let go while it waits */
        if (tracee->pause_passes)
                wct_break_go_on(tracee);
        const int signal = tracee->signal, request = request_for(tracee);
        wct_regs_flush(tracee);
        wct_regs_forget(tracee);
        tracee->signal = 0;
        tracee->stepping = false;
        if (tracee->group_stop) {
                tracee->state = WCT_LISTENING;
                ptrace(PTRACE_LISTEN, tracee->tid, 0, 0);
        } else {
                tracee->state = WCT_RUNNING;
                ptrace((enum __ptrace_request)request, tracee->tid, 0, (long)signal);
        }
        if (current.tid == tracee->tid)
                current.tid = 0;
}

static unsigned long
message_of(pid_t tid)
{
        unsigned long message = 0;
        ptrace(PTRACE_GETEVENTMSG, tid, 0, &message);
        return message;
}

static void
dispatch_stop(struct wct_tracee *tracee, int status)
{
        const int number = WSTOPSIG(status), event = status >> 16;
        switch (event) {
        case PTRACE_EVENT_SECCOMP:
                wct_on_syscall(tracee);
                return;
        case PTRACE_EVENT_FORK:
        case PTRACE_EVENT_VFORK:
        case PTRACE_EVENT_CLONE:
                wct_on_fork(tracee, (pid_t)message_of(tracee->tid), event);
                return;
        case PTRACE_EVENT_STOP:
                wct_on_stop(tracee, number);
                return;
        case 0:
                if (number == (SIGTRAP | 0x80))
                        wct_on_syscall(tracee);
                else
                        wct_on_signal(tracee, number);
                return;
        default: /* asked for by nobody */
                wct_resume(tracee);
        }
}

void
wct_dispatch_event(const struct wct_event *event)
{
        current = *event;
        struct wct_tracee *tracee = wct_tracee_find(event->tid);
        if (!WIFSTOPPED(event->status)) {
                if (tracee != NULL)
                        wct_on_exit(tracee, event->status);
                return;
        }
        if (event->status >> 16 == PTRACE_EVENT_EXEC) {
                wct_on_exec(event->tid, (pid_t)message_of(event->tid));
                return;
        }
        if (tracee == NULL)
                tracee = wct_tracee_add(event->tid, NULL);
        wct_regs_forget(tracee);
        if (tracee->state == WCT_NEW) {
                wct_first_stop(tracee, event->status);
                return;
        }
        tracee->state = WCT_STOPPED;
        tracee->group_stop = false;
        dispatch_stop(tracee, event->status);
}

static void
unhit(struct wct_tracee *tracee)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        const struct wct_space *space = tracee->process != NULL ? tracee->process->space : NULL;
        if (regs == NULL || space == NULL || wct_break_find(space, regs->rip - 1) == NULL)
                return;
        regs->rip--;
        wct_regs_touch(tracee);
        wct_regs_flush(tracee);
}

/* The acting has crashed: as it was at the stop, a breakpoint not yet hit, a child not yet taken in. */
void
wct_dispatch_abandon(void)
{
        struct wct_tracee *tracee = wct_tracee_find(current.tid);
        const int event = current.status >> 16;
        if (current.tid == 0 || tracee == NULL || !WIFSTOPPED(current.status))
                return;
        wct_regs_forget(tracee);
        if (wct_regs(tracee) == NULL) /* it runs again */
                return;
        holding = tracee->held = true;
        tracee->state = WCT_STOPPED;
        if (current.status >> 8 == SIGTRAP)
                unhit(tracee);
        else if (event == 0 && WSTOPSIG(current.status) != (SIGTRAP | 0x80))
                tracee->signal = WSTOPSIG(current.status);
        else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE)
                wct_on_fork(tracee, (pid_t)message_of(tracee->tid), event);
}

/* --- holding: all stopped at once, to change what they run or to let them go -------------------------------------- */

static void
interrupt(struct wct_tracee *tracee, void *context)
{
        (void)context;
        if ((tracee->paused != 0 || tracee->question != NULL) && tracee->state == WCT_STOPPED)
                tracee->held = true;
        if (tracee->process != NULL && tracee->state != WCT_STOPPED)
                ptrace(PTRACE_INTERRUPT, tracee->tid, 0, 0);
}

struct count {
        uint32_t awaited;
        bool look; /* also at what the kernel says of them */
};

/* In a vfork, or in the hands of a file system that does not answer, a thread stops later than we can wait for. */
static bool
is_unstoppable(pid_t tid)
{
        const int state = wct_state_of(tid);
        return state == 'D' || state == 'Z' || state == 'X';
}

static void
count_awaited(struct wct_tracee *tracee, void *context)
{
        struct count *count = context;
        if (tracee->held || tracee->first_status != 0)
                return;
        if (!count->look || !is_unstoppable(tracee->tid))
                count->awaited++;
}

static uint32_t
awaited(bool look)
{
        struct count count = {0, look};
        wct_each_tracee(count_awaited, &count);
        return count.awaited;
}

static bool
take_one(struct wct_event *event)
{
        if (queue_take(event))
                return true;
        event->tid = waitpid(-1, &event->status, WAIT | WNOHANG);
        return event->tid > 0;
}

void
wct_hold_all(void)
{
        const struct timespec pause = {0, 1000000};
        struct wct_event event;
        holding = true;
        wct_each_tracee(interrupt, NULL);
        for (int fruitless = 0; fruitless < HOLD_PAUSES && awaited(fruitless > 4) != 0;) {
                if (take_one(&event)) {
                        wct_dispatch_event(&event);
                } else {
                        nanosleep(&pause, NULL);
                        fruitless++;
                }
        }
        wct_orphans_take_in();
}

static void
let_run(struct wct_tracee *tracee, void *context)
{
        (void)context;
        if (!tracee->held)
                return;
        tracee->held = false;
        wct_resume(tracee);
}

void
wct_unhold_all(void)
{
        holding = false;
        wct_each_tracee(let_run, NULL);
}
