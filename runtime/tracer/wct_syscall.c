/*
 * wct_syscall.c: system calls: entry, exit, restart, skip.
 */
#include "wct.h"

void
wct_on_syscall(struct wct_tracee *tracee, bool by_filter)
{
        (void)tracee, (void)by_filter;
}
