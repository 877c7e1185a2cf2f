/*
 * wct_handler.c: user handlers in the tracer: loaded before the program runs, run where a call begins and ends.
 *
 * Called by wct_main.c (open), wct_syscall.c and wct_break.c (has, enter, exit). The library, its handlers and what they
 * may do are those of the preload engine (docs/handlers.md); here they run in the tracer while the tracee stands still.
 * Rules: a library that cannot be loaded and a handler that it has not are told once, in the shim's words, and the program
 * runs on; a handler that crashes is switched off, and its call goes on as if it had not run.
 * Absent on purpose: registers (wct_handler_regs.c), signals and longjmp (wct_handler_guard.c), sampling (a handler runs
 * for recorded calls, and its callers know which those are).
 */
#define _GNU_SOURCE
#include "wct_handler.h"
#include "wct_space.h" /* wct_errno_place */

#include <dlfcn.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

static struct {
        struct wct_handler *all; /* each once, however many targets it has */
        uint32_t count;
        struct wct_handler **enter, **leave; /* by target; NULL without one */
} handlers;

static struct wct_handler *
handler_find(const char *name)
{
        for (uint32_t i = 0; i < handlers.count; i++) {
                if (strcmp(handlers.all[i].name, name) == 0)
                        return &handlers.all[i];
        }
        return NULL;
}

/* NULL for no name. One that the library has not is kept without a function, so that it is told once. */
static struct wct_handler *
handler_named(void *library, const char *name)
{
        if (*name == '\0')
                return NULL;
        struct wct_handler *handler = handler_find(name);
        if (handler != NULL)
                return handler;
        handler = &handlers.all[handlers.count++];
        handler->name = name;
        handler->run = (wct_function)(uintptr_t)dlsym(library, name);
        handler->off = handler->run == NULL;
        if (handler->off)
                wct_tell("warn the handler library has no function named %s", name);
        return handler;
}

const char *
wct_handlers_open(const char *library)
{
        const uint32_t targets = wct_plan.head->targets;
        if (*library == '\0')
                return NULL;
        void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL)
                return dlerror();
        handlers.all = calloc(2 * (size_t)targets, sizeof *handlers.all);
        handlers.enter = calloc(targets, sizeof(struct wct_handler *));
        handlers.leave = calloc(targets, sizeof(struct wct_handler *));
        if (handlers.all == NULL || handlers.enter == NULL || handlers.leave == NULL) {
                handlers.enter = handlers.leave = NULL;
                return "there is no memory for handlers";
        }
        for (uint32_t i = 0; i < wct_plan.head->symbols; i++) { /* what only a shim serves has its handlers there */
                const uint32_t target = wct_plan.symbols[i].target;
                handlers.enter[target] = handler_named(handle, wct_text(wct_plan.targets[target].back_enter));
                handlers.leave[target] = handler_named(handle, wct_text(wct_plan.targets[target].back_exit));
        }
        wct_guard_begin();
        return NULL;
}

static struct wct_handler *
usable(struct wct_handler *const *table, const struct wct_symbol *symbol)
{
        struct wct_handler *handler = table != NULL ? table[symbol->target] : NULL;
        return handler != NULL && !handler->off ? handler : NULL;
}

bool
wct_has_handler(const struct wct_symbol *symbol)
{
        return usable(handlers.enter, symbol) != NULL || usable(handlers.leave, symbol) != NULL;
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

static bool
run(struct wct_handler *handler, struct wct_view *view, struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        int error = 0;
        const bool came_back = wct_handler_run(handler, tracee, &view->shown, &error);
        flush_output();
        if (!came_back || !wct_view_apply(view, tracee, symbol))
                return false;
        wct_errno_give(tracee, symbol, error);
        return true;
}

bool
wct_handler_enter(struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        struct wct_handler *handler = usable(handlers.enter, symbol);
        struct wct_view view;
        if (handler == NULL || wct_regs(tracee) == NULL)
                return false;
        wct_view_enter(&view, tracee, symbol);
        return run(handler, &view, tracee, symbol);
}

void
wct_handler_exit(struct wct_tracee *tracee, const struct wct_symbol *symbol)
{
        struct wct_handler *handler = usable(handlers.leave, symbol);
        struct wct_view view;
        if (handler == NULL || wct_regs(tracee) == NULL)
                return;
        wct_view_exit(&view, tracee, symbol);
        run(handler, &view, tracee, symbol);
}
