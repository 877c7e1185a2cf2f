/*
 * wct_tracee.c: one struct per thread, one per process, the registers of a stop, and the calls that a thread is inside of.
 *
 * Called by everybody.  Rules: T1 (registers that cannot be read: NULL).  A tracee's bucket is its tid's low bits: kernels
 * hand out tids in sequence.
 *
 * Absent on purpose: locks (one thread makes all ptrace calls).
 */
#include "wct_loop.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u
#define CHEAPER 2u /* so many single registers cost less than all at once */

static struct wct_tracee *bucket[BUCKETS];
static struct wct_process *processes;
static uint32_t count;
uint32_t wct_orphans, wct_orphans_seen;

/* The tracer cannot do its work without its own memory; what it launched ends with it. */
static void *
have(void *memory)
{
        if (memory == NULL) {
                wct_tell("error the tracer is out of memory");
                abort();
        }
        return memory;
}

struct wct_tracee *
wct_tracee_find(pid_t tid)
{
        struct wct_tracee *at = bucket[(uint32_t)tid % BUCKETS];
        while (at != NULL && at->tid != tid)
                at = at->next;
        return at;
}

struct wct_process *
wct_process_find(pid_t pid)
{
        struct wct_process *at = processes;
        while (at != NULL && at->pid != pid)
                at = at->next;
        return at;
}

struct wct_process *
wct_process_add(pid_t pid, pid_t parent)
{
        struct wct_process *process = have(calloc(1, sizeof *process));
        process->pid = pid;
        process->parent = parent;
        process->next = processes;
        return processes = process;
}

static void
link_in(struct wct_tracee *tracee, pid_t tid)
{
        struct wct_tracee **place = &bucket[(uint32_t)tid % BUCKETS];
        tracee->tid = tid;
        tracee->next = *place;
        *place = tracee;
}

static void
unlink_from(struct wct_tracee *tracee)
{
        struct wct_tracee **place = &bucket[(uint32_t)tracee->tid % BUCKETS];
        while (*place != tracee)
                place = &(*place)->next;
        *place = tracee->next;
}

struct wct_tracee *
wct_tracee_add(pid_t tid, struct wct_process *process)
{
        struct wct_tracee *tracee = have(calloc(1, sizeof *tracee));
        tracee->process = process;
        if (process != NULL)
                process->threads++;
        else
                wct_orphans++, wct_orphans_seen++;
        link_in(tracee, tid);
        count++;
        return tracee;
}

void
wct_tracee_adopt(struct wct_tracee *tracee, struct wct_process *process)
{
        tracee->process = process;
        process->threads++;
        wct_orphans--;
}

void
wct_tracee_rename(struct wct_tracee *tracee, pid_t tid)
{
        unlink_from(tracee);
        link_in(tracee, tid);
}

void
wct_process_drop(struct wct_process *process)
{
        struct wct_process **place = &processes;
        while (*place != process)
                place = &(*place)->next;
        *place = process->next;
        wct_process_bury(process);
}

static void
process_leave(struct wct_process *process)
{
        if (--process->threads == 0)
                wct_process_drop(process);
}

void
wct_tracee_remove(struct wct_tracee *tracee)
{
        unlink_from(tracee);
        count--;
        wct_ask_forget(tracee);
        while (tracee->depth != 0)
                wct_call_pop(tracee);
        free(tracee->calls);
        wct_break_forget(tracee);
        wct_ring_leave(tracee);
        if (tracee->process != NULL)
                process_leave(tracee->process);
        else
                wct_orphans--;
        free(tracee);
}

void
wct_each_tracee(void (*visit)(struct wct_tracee *tracee, void *context), void *context)
{
        for (uint32_t i = 0; i < BUCKETS; i++)
                for (struct wct_tracee *at = bucket[i], *next; at != NULL; at = next) {
                        next = at->next;
                        visit(at, context);
                }
}

uint32_t
wct_tracees(void)
{
        return count;
}

struct user_regs_struct *
wct_regs(struct wct_tracee *tracee)
{
        if (!tracee->regs_known) {
                if (ptrace(PTRACE_GETREGS, tracee->tid, 0, &tracee->regs) != 0)
                        return NULL;
                tracee->regs_read = tracee->regs;
                tracee->regs_known = tracee->regs_compared = true;
        }
        return &tracee->regs;
}

void
wct_regs_forget(struct wct_tracee *tracee)
{
        tracee->regs_known = tracee->regs_changed = tracee->regs_compared = false;
}

/* Which of the registers differ from the kernel's, the first `most` of them. Returns how many do; `most` + 1: who knows. */
static unsigned
changes(const struct wct_tracee *tracee, unsigned *which, unsigned most)
{
        const unsigned long long *now = (const unsigned long long *)&tracee->regs;
        const unsigned long long *before = (const unsigned long long *)&tracee->regs_read;
        unsigned found = tracee->regs_compared ? 0 : most + 1;
        for (unsigned i = 0; tracee->regs_compared && i < sizeof tracee->regs / sizeof *now; i++)
                if (now[i] != before[i] && found++ < most)
                        which[found - 1] = i;
        return found;
}

/* Mostly it is the ip alone, or the ip and one more: writing these costs less than writing all. */
bool
wct_regs_flush(struct wct_tracee *tracee)
{
        unsigned which[CHEAPER];
        bool done = true;
        if (!tracee->regs_changed)
                return true;
        tracee->regs_changed = false;
        const unsigned count = changes(tracee, which, CHEAPER);
        if (count > CHEAPER)
                done = ptrace(PTRACE_SETREGS, tracee->tid, 0, &tracee->regs) == 0;
        for (unsigned i = 0; i < count && count <= CHEAPER; i++) {
                const unsigned long value = ((const unsigned long *)&tracee->regs)[which[i]];
                done &= ptrace(PTRACE_POKEUSER, tracee->tid, which[i] * sizeof value, value) == 0;
        }
        tracee->regs_read = tracee->regs;
        tracee->regs_compared = true;
        return done;
}

struct wct_call *
wct_call_push(struct wct_tracee *tracee)
{
        if (tracee->depth == tracee->room) {
                const uint32_t room = tracee->room == 0 ? 8 : tracee->room * 2;
                tracee->calls = have(realloc(tracee->calls, room * sizeof *tracee->calls));
                tracee->room = room;
        }
        return memset(&tracee->calls[tracee->depth++], 0, sizeof(struct wct_call));
}

void
wct_call_pop(struct wct_tracee *tracee)
{
        struct wct_call *call = &tracee->calls[tracee->depth - 1];
        tracee->waiting -= call->waiting;
        tracee->returning -= call->frame != 0;
        if (call->kept != NULL)
                wct_call_drop(call, tracee);
        if (call->text != 0)
                wct_text_leave(tracee, call);
        tracee->depth--;
}

void
wct_calls_unwind(struct wct_tracee *tracee, uint64_t sp)
{
        while (tracee->depth != 0 && tracee->calls[tracee->depth - 1].sp < sp)
                wct_call_pop(tracee);
}
