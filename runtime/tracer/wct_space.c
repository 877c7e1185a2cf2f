/*
 * wct_space.c: the objects that are mapped in an address space, and the breakpoints that the plan wants in them.
 */
#include "wct.h"

void
wct_space_exec(struct wct_tracee *tracee)
{
        (void)tracee;
}

void
wct_space_attach(struct wct_tracee *tracee)
{
        (void)tracee;
}

struct wct_space *
wct_space_inherit(struct wct_space *space, bool share)
{
        (void)share;
        return space;
}

void
wct_space_release(struct wct_space *space)
{
        (void)space;
}

void
wct_space_scrub(struct wct_space *space, struct wct_tracee *tracee)
{
        (void)space;
        (void)tracee;
}

bool
wct_ip_is_hidden(struct wct_tracee *tracee, uint64_t ip)
{
        (void)tracee;
        (void)ip;
        return false;
}
