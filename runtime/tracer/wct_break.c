/*
 * wct_break.c: breakpoints of functions: hits, returns.
 */
#include "wct.h"

bool
wct_break_hit(struct wct_tracee *tracee)
{
        (void)tracee;
        return false;
}

void
wct_break_leave(struct wct_tracee *tracee)
{
        (void)tracee;
}

void
wct_break_forget(struct wct_tracee *tracee)
{
        (void)tracee;
}
