/*
 * wct_pin.c: one processor for the tracer and a program of one thread.
 *
 * Called by wct_process.c (pin, unpin), wct_syscall.c (the affinity calls) and wct_attach.c (unpin at detach).
 */
#define _GNU_SOURCE
#include "wct.h"

#include <sys/syscall.h>

void
wct_pin(struct wct_process *process)
{
        (void)process;
}

void
wct_unpin(struct wct_process *process)
{
        (void)process;
}

bool
wct_pin_is_affinity(long number)
{
        return number == SYS_sched_setaffinity || number == SYS_sched_getaffinity;
}

void
wct_pin_affinity_enter(struct wct_tracee *tracee)
{
        (void)tracee;
}

void
wct_pin_affinity_exit(struct wct_tracee *tracee)
{
        (void)tracee;
}
