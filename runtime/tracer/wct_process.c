/*
 * wct_process.c: fork, vfork, clone, exec, exit.
 */
#include "wct.h"

void
wct_on_fork(struct wct_tracee *parent, pid_t child, int event)
{
        (void)parent, (void)child, (void)event;
}

void
wct_on_exec(struct wct_tracee *tracee, pid_t former)
{
        (void)tracee, (void)former;
}

void
wct_on_exit(struct wct_tracee *tracee, int status)
{
        (void)tracee, (void)status;
}
