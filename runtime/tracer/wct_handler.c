/*
 * wct_handler.c: user handlers in the tracer: run where a call begins and ends.
 *
 * Called by wct_syscall.c, wct_entry.c and wct_return.c. The handlers and what they may do are those of the preload engine
 * (docs/handlers.md); here they run in the tracer while the tracee stands still.
 * Rules: a handler that crashes is switched off, and its call goes on as if it had not run; a call that began with a target's
 * handlers ends with them, whatever has been put in force meanwhile.
 * Absent on purpose: which handlers there are (wct_swap.c), registers (wct_handler_regs.c), signals and longjmp (wct_handler_guard.c), sampling (a handler runs
 * for recorded calls, and its callers know which those are).
 */
#define _GNU_SOURCE
#include "wct_handler.h"
#include "wct_space.h" /* wct_errno_place */

#include <stdio.h>
#include <stdio_ext.h>

#define SKIP (~0ull)

static struct wct_handler *
usable(struct wct_handler *handler)
{
        return handler != NULL && !handler->off ? handler : NULL;
}

bool
wct_has_handler(const struct wct_symbol *symbol)
{
        const struct wct_pair *pair = wct_pair_of(symbol);
        return pair != NULL && (usable(pair->enter) != NULL || usable(pair->leave) != NULL);
}

/* What it printed appears now, between what the program prints before and after the call. */
static void
flush_output(void)
{
        if (__fpending(stdout) > 0)
                fflush(stdout);
}

/* A result that a handler puts in the call's place comes with its errno. System calls have theirs in the result. */
void
wct_errno_give(struct wct_tracee *tracee, const struct wct_symbol *symbol, int error)
{
        if (symbol->number >= 0 || error == 0)
                return;
        const uint64_t place = wct_errno_place(tracee);
        if (place != 0)
                wct_write(tracee->tid, place, &error, sizeof error);
}

void
wct_result_give(struct wct_tracee *tracee, const struct wct_symbol *symbol, uint64_t result, int error)
{
        struct wct_view view;
        wct_view_enter(&view, tracee, symbol);
        view.shown.rax = result;
        view.shown.orig_rax = SKIP;
        wct_view_apply(&view, tracee, symbol);
        wct_errno_give(tracee, symbol, error);
}

static bool
run(struct wct_handler *handler, struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        int error = 0;
        struct wct_asked asked = {.has_error = false};
        if (handler->run_call != NULL)
                wct_asked_begin(&asked, view, tracee, symbol);
        const bool came_back = wct_handler_run(handler, tracee, &view->shown, &asked.call, &error);
        flush_output();
        if (!came_back)
                return false;
        if (handler->run_call != NULL) /* which says itself what errno is to be */
                error = asked.has_error ? asked.error : 0;
        const bool changed = wct_view_apply(view, tracee, symbol);
        if (changed || asked.has_error)
                wct_errno_give(tracee, symbol, error);
        return changed;
}

bool
wct_handler_enter(struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        const struct wct_pair *pair = wct_pair_of(symbol);
        struct wct_handler *handler = pair != NULL ? usable(pair->enter) : NULL;
        struct wct_view view;
        if (handler == NULL || wct_regs(tracee) == NULL)
                return false;
        wct_view_enter(&view, tracee, symbol);
        return run(handler, &view, tracee, symbol);
}

void
wct_handler_exit(struct wct_tracee *tracee, const struct wct_call *call)
{
        const struct wct_symbol *symbol = call->symbol;
        struct wct_handler *handler = call->handlers != NULL ? usable(call->handlers->leave) : NULL;
        struct wct_view view;
        if (handler == NULL || wct_regs(tracee) == NULL)
                return;
        wct_view_exit(&view, tracee, symbol);
        run(handler, &view, tracee, symbol);
}
