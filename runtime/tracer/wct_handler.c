/*
 * wct_handler.c: user handlers in the tracer: loaded before the program runs, run at a call's begin and end.
 *
 * Called by wct_main.c (open), wct_syscall.c and wct_break.c (has, enter, exit).
 */
#define _GNU_SOURCE
#include "wct.h"

const char *
wct_handlers_open(const char *library)
{
        (void)library;
        return NULL;
}

bool
wct_has_handler(const struct wct_symbol *symbol)
{
        (void)symbol;
        return false;
}

bool
wct_handler_enter(struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        (void)tracee;
        (void)symbol;
        return false;
}

void
wct_handler_exit(struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        (void)tracee;
        (void)symbol;
}
