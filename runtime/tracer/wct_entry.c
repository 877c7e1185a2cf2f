/*
 * wct_entry.c: a function of the plan is entered.
 *
 * Called by wct_break.c at an entry breakpoint. Decides whether the call counts, lets wct_call.c count and capture it, runs
 * its handler, and sees to it that its return is noticed.
 * What does not count: calls from inside the library that defines the function (but for INTERNAL symbols, and functions of
 * the executable), also when they come by a tail jump of a function that is known; calls that the shim makes for itself.
 *
 * Absent on purpose: sampling and capturing (wct_call.c), returns (wct_return.c).
 */
#include "wct_space.h"

#include <errno.h>

static void
registers_of(const struct user_regs_struct *regs, uint64_t registers[6])
{
        registers[0] = regs->rdi;
        registers[1] = regs->rsi;
        registers[2] = regs->rdx;
        registers[3] = regs->rcx;
        registers[4] = regs->r8;
        registers[5] = regs->r9;
}

static bool
is_defined_at(const struct wct_space *space, const struct wct_symbol *symbol, uint64_t low)
{
        for (uint32_t i = 0; i < WCT_BREAK_BUCKETS; i++) {
                for (const struct wct_break *at = space->buckets[i]; at != NULL; at = at->next) {
                        if (at->low != low)
                                continue;
                        for (const struct wct_wanted *w = at->wanted; w != NULL; w = w->next) {
                                if (w->symbol == symbol)
                                        return true;
                        }
                }
        }
        return false;
}

/* The innermost call has the same return address in the same place: it has jumped here. */
static bool
is_jumped_to_inside(const struct wct_tracee *tracee, const struct wct_break *one, uint64_t sp, uint64_t back)
{
        const struct wct_call *call = tracee->depth > 0 ? &tracee->calls[tracee->depth - 1] : NULL;
        if (call == NULL || call->symbol->number >= 0 || call->sp != sp || call->back != back)
                return false;
        return is_defined_at(tracee->process->space, call->symbol, one->low);
}

/* The program has called another function of the library, and that has jumped here. */
static bool
is_called_as_another(struct wct_tracee *tracee, const struct wct_break *one, uint64_t back)
{
        const uint64_t goal = wct_site_goal(tracee, back);
        return goal != one->address && goal >= one->low && goal < one->high;
}

static bool
comes_from_inside(struct wct_tracee *tracee, const struct wct_break *one, uint64_t sp, uint64_t back)
{
        if (one->of_program || (one->restorer != 0 && back == one->restorer))
                return false;
        return (back >= one->low && back < one->high) || is_jumped_to_inside(tracee, one, sp, back) ||
               is_called_as_another(tracee, one, back);
}

/* Of several symbols at one address, the first that is on speaks for all. */
static const struct wct_symbol *
choose(struct wct_tracee *tracee, const struct wct_break *one, uint64_t sp, uint64_t back)
{
        const bool inside = comes_from_inside(tracee, one, sp, back);
        for (const struct wct_wanted *w = one->wanted; w != NULL; w = w->next) {
                if (wct_target_is_on(w->symbol) && (!inside || (w->symbol->flags & WCT_INTERNAL)))
                        return w->symbol;
        }
        return NULL;
}

/* The function is not run: its caller finds the handler's result, or the rule's. */
static void
skip(struct wct_tracee *tracee, struct wct_call *call)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        if (regs == NULL)
                return;
        call->skipped = true;
        call->result = (int64_t)regs->rax;
        regs->rip = call->back;
        regs->rsp = call->sp + 8;
        wct_regs_touch(tracee);
        wct_return_innermost(tracee);
}

static struct wct_call *
innermost(struct wct_tracee *tracee)
{
        return &tracee->calls[tracee->depth - 1];
}

/* Somebody may have changed it, or (skips) have given its result. Returns false when it is not made any more. */
static bool
changed(struct wct_tracee *tracee, bool skips)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        struct wct_call *call = innermost(tracee);
        uint64_t registers[6];
        struct wct_site site = {.tracee = tracee, .registers = registers, .sp = call->sp, .back = call->back};
        if (regs == NULL)
                return true;
        registers_of(regs, registers);
        wct_call_changed(call, &site);
        if (!skips || (call->symbol->flags & WCT_NORETURN))
                return true;
        call->skipped = true;
        wct_call_goes_on(call, &site);
        skip(tracee, call);
        return false;
}

/* Behind its handler and its question. Returns false when the function is not to be run. */
static bool
go_on(struct wct_tracee *tracee)
{
        struct wct_call *call = innermost(tracee);
        const struct wct_site site = {.tracee = tracee, .sp = call->sp, .back = call->back};
        const bool given = wct_fault_enter(tracee, call);
        wct_call_goes_on(call, &site);
        if (given) {
                skip(tracee, call);
                return false;
        }
        if ((call->symbol->flags & WCT_NORETURN) || !wct_return_await(tracee, call->sp, call->back)) {
                wct_call_drop(innermost(tracee), tracee);
                wct_call_pop(tracee);
        }
        return true;
}

/* The instruction under the breakpoint is due afterwards, unless the function is not run. */
static void
answered(struct wct_tracee *tracee, const struct wct_answer *answer)
{
        const bool skips = wct_answer_enter(tracee, innermost(tracee), answer);
        if (!changed(tracee, skips) || !go_on(tracee))
                tracee->pause_passes = false;
}

static bool
enter(struct wct_tracee *tracee, const struct wct_symbol *symbol, uint64_t sp, uint64_t back)
{
        uint64_t registers[6];
        struct wct_site site = {.tracee = tracee, .registers = registers, .sp = sp, .back = back};
        registers_of(wct_regs(tracee), registers);
        struct wct_call *call = wct_call_push(tracee);
        call->symbol = symbol;
        call->sp = sp;
        call->back = back;
        wct_call_enter(call, symbol, &site);
        if (!call->recorded) {
                wct_call_pop(tracee);
                return true;
        }
        if (wct_has_handler(symbol) && !changed(tracee, wct_handler_enter(tracee, symbol)))
                return false;
        if (wct_asks(symbol) & WCT_ASKS_BEFORE && wct_ask(tracee, innermost(tracee), &site, WCI_ENTER, answered))
                return true;
        return go_on(tracee);
}

static bool
is_owed(struct wct_tracee *tracee, const struct wct_break *one, uint64_t sp)
{
        struct wct_step_over *over = tracee->over;
        for (uint32_t i = 0; over != NULL && i < WCT_MOST_OWED; i++) {
                if (over->owed[i].address == one->address && over->owed[i].sp == sp) {
                        over->owed[i].address = 0;
                        return true;
                }
        }
        return false;
}

static bool
is_hidden(const struct wct_space *space, uint64_t back)
{
        const struct wct_module *module = wct_plan.head->shim != 0 ? wct_space_module(space, back) : NULL;
        return module != NULL && module->shim;
}

/* Returns false when the function is not to be run. */
bool
wct_entry_hit(struct wct_tracee *tracee, struct wct_break *one)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        uint64_t back;
        if (regs == NULL || is_owed(tracee, one, regs->rsp) || wct_session.over || tracee->process->ignored)
                return true;
        const uint64_t sp = regs->rsp;
        errno = 0;
        back = (uint64_t)ptrace(PTRACE_PEEKDATA, tracee->tid, sp, 0); /* half as dear as process_vm_readv */
        if (errno != 0)
                return true;
        if (tracee->process->space->moves_stacks && wct_go_begins_anew(tracee, one, sp, back))
                return true;
        wct_calls_clean(tracee, sp);
        const struct wct_symbol *symbol = choose(tracee, one, sp, back);
        if (symbol == NULL || is_hidden(tracee->process->space, back))
                return true;
        wct_calls_replace(tracee, symbol, sp, back);
        return enter(tracee, symbol, sp, back);
}
