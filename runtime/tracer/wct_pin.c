/*
 * wct_pin.c: one processor for the tracer and a program of one thread.
 *
 * Called by wct_process.c (pin at an exec, fork for every new thread or process), wct_orphan.c (fork), wct_syscall.c (the
 * affinity calls) and wct_attach.c (unpin when a program is let go). On one processor a stop costs a switch; on two it
 * costs waking up the other, which takes several times as long. So while the program has one thread and no children, both
 * share one.
 * Rules:
 *   - at its first clone, fork or vfork the program gets its own mask back for good, and what was born with the narrow mask
 *     gets it too, before it runs an instruction
 *   - the program's own view stays: around its sched_getaffinity and sched_setaffinity (which stop for that) its own mask
 *     is in force. /proc and other processes see the narrow one
 *   - a mask that somebody else has changed meanwhile is left alone
 *   - a program that was attached to is never pinned: it would stay so if the tracer were killed
 * Absent on purpose: moving away from a processor that others use; the system cannot do that for who is pinned, so a
 * run beside other busy programs does better with --no-pin.
 */
#define _GNU_SOURCE
#include "wct.h"

#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS 128 /* 8192 processors: what the kernel can be built for */
#define BITS (8 * (int)sizeof(unsigned long))

struct mask {
        unsigned long words[WORDS];
};

static struct {
        pid_t pid; /* of the one process that is pinned; 0: none */
        bool over; /* none will be any more */
        int processor;
        struct mask own;    /* of the program */
        struct mask tracer; /* of this thread */
} pin;

static bool
mask_read(pid_t tid, struct mask *mask)
{
        memset(mask, 0, sizeof *mask);
        return syscall(SYS_sched_getaffinity, tid, sizeof mask->words, mask->words) > 0;
}

static bool
mask_write(pid_t tid, const struct mask *mask)
{
        return syscall(SYS_sched_setaffinity, tid, sizeof mask->words, mask->words) == 0;
}

static bool
mask_has(const struct mask *mask, int processor)
{
        return processor >= 0 && processor < WORDS * BITS && mask->words[processor / BITS] >> (processor % BITS) & 1;
}

static struct mask
mask_of(int processor)
{
        struct mask mask = {0};
        mask.words[processor / BITS] = 1ul << (processor % BITS);
        return mask;
}

/* One that both may use: `wished` if that is one, else the first. -1: there is none. */
static int
choose(int wished)
{
        if (mask_has(&pin.own, wished) && mask_has(&pin.tracer, wished))
                return wished;
        for (int i = 0; i < WORDS; i++) {
                const unsigned long both = pin.own.words[i] & pin.tracer.words[i];
                if (both != 0)
                        return i * BITS + __builtin_ctzl(both);
        }
        return -1;
}

/* Both to one processor. The masks to come back to are known. */
static bool
narrow(pid_t pid, int wished)
{
        pin.processor = choose(wished);
        if (pin.processor < 0)
                return false;
        const struct mask one = mask_of(pin.processor);
        if (!mask_write(pid, &one))
                return false;
        mask_write(0, &one);
        return true;
}

/* Give a thread that has the narrow mask the program's own one. */
static void
widen(pid_t tid)
{
        const struct mask narrowed = mask_of(pin.processor);
        struct mask now;
        if (mask_read(tid, &now) && memcmp(&now, &narrowed, sizeof now) == 0)
                mask_write(tid, &pin.own);
}

void
wct_pin(struct wct_process *process)
{
        if (!wct_session.pin || pin.over || pin.pid != 0 || process->attached || process->threads != 1 || wct_tracees() != 1)
                return;
        if (!mask_read(process->pid, &pin.own) || !mask_read(0, &pin.tracer))
                return;
        if (!narrow(process->pid, sched_getcpu()))
                return;
        pin.pid = process->pid;
        process->pinned = true;
}

/* For good. The masks are still known. */
static void
end(void)
{
        mask_write(0, &pin.tracer);
        pin.pid = 0;
        pin.over = true;
}

void
wct_unpin(struct wct_process *process)
{
        if (!process->pinned)
                return;
        widen(process->pid);
        process->pinned = false;
        end();
}

void
wct_pin_fork(pid_t child)
{
        struct wct_process *process = pin.pid != 0 ? wct_process_find(pin.pid) : NULL;
        if (pin.pid == 0)
                return;
        if (process != NULL)
                wct_unpin(process);
        else
                end(); /* it was killed before it could say that it has a child */
        widen(child);
}

bool
wct_pin_is_affinity(long number)
{
        return number == SYS_sched_setaffinity || number == SYS_sched_getaffinity;
}

void
wct_pin_affinity_enter(struct wct_tracee *tracee)
{
        if (tracee->process->pinned)
                widen(tracee->tid);
}

void
wct_pin_affinity_exit(struct wct_tracee *tracee)
{
        struct wct_process *process = tracee->process;
        if (!process->pinned || !mask_read(tracee->tid, &pin.own))
                return;
        if (!narrow(tracee->tid, pin.processor))
                wct_unpin(process);
}
