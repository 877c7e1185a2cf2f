/*
 * wct_loop.c: the next stop of any tracee, whose it is, and the resuming.
 */
#include "wct.h"

bool
wct_next_event(struct wct_event *event)
{
        (void)event;
        return false;
}

void
wct_dispatch_event(const struct wct_event *event)
{
        (void)event;
}

void
wct_resume(struct wct_tracee *tracee)
{
        (void)tracee;
}

int
wct_wait_for(struct wct_tracee *tracee)
{
        (void)tracee;
        return -1;
}
