/*
 * wct_errno.c: where a thread's errno is.
 *
 * Called when a function of a libc has failed (wct_return.c), and by handlers that put a result in a call's place. Libcs keep
 * errno at one distance from the thread pointer for all threads of a process: __errno_location is called once in the tracee,
 * and the distance kept. In a static executable its thread-local symbol says the same.
 *
 * Absent on purpose: programs without that symbol (stripped static ones, Go): their records say errno is not known.
 */
#include "wct_space.h"

#define NEAR_MOST (1ll << 32)

static uint64_t
function_of(const struct wct_space *space)
{
        for (uint32_t i = 0; i < space->module_count; i++) {
                const struct wct_module *module = &space->modules[i];
                if (module->object != NULL && module->object->errno_place != 0)
                        return module->bias + module->object->errno_place;
        }
        return 0;
}

static int64_t
distance_in_file(const struct wct_space *space)
{
        for (uint32_t i = 0; i < space->module_count; i++) {
                const struct wct_module *module = &space->modules[i];
                if (module->program && module->object != NULL && module->object->is_static)
                        return module->object->errno_from;
        }
        return 0;
}

static void
ask(struct wct_tracee *tracee, struct wct_space *space)
{
        space->errno_from = distance_in_file(space);
        space->errno_asked = space->errno_known = space->errno_from != 0;
        if (space->errno_known)
                return;
        const uint64_t function = function_of(space);
        const struct user_regs_struct *regs = wct_regs(tracee);
        const uint64_t base = regs != NULL ? regs->fs_base : 0;
        uint64_t place;
        if (function == 0 || base == 0)
                return; /* not now: its libc may not be there yet */
        space->errno_asked = true;
        if (!wct_inject_call(tracee, function, &place))
                return;
        space->errno_from = (int64_t)(place - base);
        space->errno_known = space->errno_from > -NEAR_MOST && space->errno_from < NEAR_MOST;
}

uint64_t
wct_errno_place(struct wct_tracee *tracee)
{
        struct wct_space *space = tracee->process->space;
        if (space != NULL && !space->errno_asked)
                ask(tracee, space);
        const struct user_regs_struct *regs = space != NULL && space->errno_known ? wct_regs(tracee) : NULL;
        return regs != NULL ? regs->fs_base + (uint64_t)space->errno_from : 0;
}
