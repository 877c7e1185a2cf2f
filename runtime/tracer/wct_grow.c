/*
 * wct_grow.c: targets that come while programs run, and targets that go.
 *
 * Called by wct_main.c for the commands plan, drop and want. What takes time is done while everybody runs: the file is read,
 * and objects are looked through for the new names. Then all are stopped at once, breakpoints are planted or taken out, and
 * from their next resume on they stop for system calls, or do so no more.
 * Rules:
 *   - where a thread is inside a system call's own stop nothing can be called in it: another one of its process is taken, or
 *     all are let go and stopped once more; a process that cannot be reached is told
 *   - calls that are under way when their target is dropped end as ever: the return is still awaited
 *
 * Absent on purpose: what the plan is made of (wct_plan.c, wct_tables.c), and the control words, which are wc-run's.
 */
#include "wct_loop.h"
#include "wct_space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 5

struct change {
        const struct wct_symbol *first; /* to be planted from here on; NULL: nothing is */
        uint32_t number;
        pid_t missed; /* a process that could not be changed; 0: none */
};

static bool
is_shown(const struct wct_process *process)
{
        return process != NULL && process->launched && process->coverage != WCT_EVENTS_ONLY;
}

/* Read what is mapped there, so that nobody waits for it. */
static void
warm(struct wct_tracee *tracee, void *context)
{
        struct wct_maps maps;
        uint64_t bias;
        (void)context;
        if (!is_shown(tracee->process) || tracee->tid != tracee->process->pid || !wct_maps_read(tracee->tid, &maps))
                return;
        for (uint32_t i = 0; i < maps.count; i++) {
                if (maps.all[i].executable && maps.all[i].inode != 0 && maps.all[i].path[0] == '/')
                        wct_object_of(tracee->tid, &maps.all[i], &bias);
        }
        wct_maps_free(&maps);
}

static void
change_space(struct wct_tracee *tracee, void *context)
{
        const struct change *change = context;
        struct wct_process *process = tracee->process;
        if (!is_shown(process) || !tracee->held || (process->space != NULL && process->space->changed == change->number) ||
            !wct_is_between_calls(tracee->tid))
                return;
        wct_space_thin(tracee);
        if (change->first != NULL)
                wct_space_grow(tracee, change->first);
        if (wct_texts_are_wanted() && wct_space_of(tracee) != NULL)
                wct_texts_make(tracee);
        if (process->space != NULL)
                process->space->changed = change->number;
}

static void
find_missed(struct wct_tracee *tracee, void *context)
{
        struct change *change = context;
        const struct wct_process *process = tracee->process;
        const bool concerned = is_shown(process) && (change->first != NULL || process->space != NULL || wct_texts_are_wanted());
        if (concerned && (process->space == NULL || process->space->changed != change->number))
                change->missed = process->pid;
}

/* All of them, stopped at once. */
static void
change_all(const struct wct_symbol *first)
{
        static uint32_t number;
        struct change change = {.first = first, .number = ++number};
        for (int i = 0; i < TRIES; i++) {
                wct_hold_all();
                wct_processes_judge();
                wct_each_tracee(change_space, &change);
                change.missed = 0;
                wct_each_tracee(find_missed, &change);
                wct_unhold_all();
                if (change.missed == 0)
                        return;
        }
        wct_tell("warn process %d could not be stopped where its code can be changed: it goes on as before", change.missed);
}

/* The first function among the symbols from `from` on; NULL: there is none. */
static const struct wct_symbol *
function_from(uint32_t from)
{
        for (uint32_t i = from; i < wct_plan.head->symbols; i++) {
                if (wct_plan.symbols[i].number < 0)
                        return &wct_plan.symbols[i];
        }
        return NULL;
}

static uint32_t
first_symbol_of(uint32_t target)
{
        uint32_t i = 0;
        while (i < wct_plan.head->symbols && wct_plan.symbols[i].target != target)
                i++;
        return i;
}

static const char *
add(const char *text)
{
        const uint32_t before = wct_plan.head->symbols;
        unsigned target = 0, symbol = 0;
        int at = 0;
        if (sscanf(text, "plan %u %u %n", &target, &symbol, &at) < 2 || at == 0)
                return "a plan needs its first target, its first symbol and a path";
        const char *why = wct_plan_grow(text + at, target, symbol);
        if (why != NULL)
                return why;
        const struct wct_symbol *first = function_from(before);
        if (first != NULL)
                wct_each_tracee(warm, NULL);
        change_all(first);
        return NULL;
}

static const char *
drop_or_want(const char *text)
{
        const bool drop = strncmp(text, "drop ", 5) == 0;
        uint32_t from = wct_plan.head->symbols;
        for (const char *at = text + 4; *at != '\0';) {
                char *end;
                const uint32_t target = (uint32_t)strtoul(at + 1, &end, 10), first = first_symbol_of(target);
                if (end == at + 1)
                        return "targets are numbers";
                wct_plan_drop(target, drop);
                from = first < from ? first : from;
                at = end;
        }
        change_all(drop ? NULL : function_from(from));
        return NULL;
}

const char *
wct_grow(const char *text)
{
        if (wct_session.over)
                return "the session has ended";
        return strncmp(text, "plan ", 5) == 0 ? add(text) : drop_or_want(text);
}
