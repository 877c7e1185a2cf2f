/*
 * wct_return.c: which calls a return ends, and which will never return.
 *
 * Called by wct_break.c at a return breakpoint and by wct_entry.c. A return at `back` ends the innermost calls of the thread
 * that were entered with this return address at the stack pointer that lies 8 below the present one: recursion, and other
 * threads in the same code, have another. A function that jumped to another has the same: both end.
 * Calls that a longjmp or an exception has left are not told to us. One is known to be dead when
 *   - its return address does not stand any more where it stood, or
 *   - it lies below the present stack pointer on the thread's own stack (where its thread pointer points to, or [stack]), or
 *   - the same function is entered from the same place with the same stack pointer.
 * Anything else may be a coroutine that waits on a stack of its own, and is kept. Such a call may end in another thread.
 *
 * Absent on purpose: stacks that are moved while calls are under way (wct_go.c gives such calls their new stack pointers).
 */
#include "wct_record.h"
#include "wct_space.h"

#include <string.h>

#define STACK_MOST (1ull << 30)
#define IDLE_MOST 64u

/* --- the stack of calls ------------------------------------------------------------------------------------------------ */

static bool
is_function(const struct wct_call *call)
{
        return call->symbol->number < 0;
}

/* The call at `index` becomes the innermost one; those above it keep their order. */
static void
bring_up(struct wct_tracee *tracee, uint32_t index)
{
        const struct wct_call call = tracee->calls[index];
        const uint32_t above = tracee->depth - 1 - index;
        memmove(&tracee->calls[index], &tracee->calls[index + 1], above * sizeof call);
        tracee->calls[tracee->depth - 1] = call;
}

static void
drop(struct wct_tracee *tracee, uint32_t index)
{
        bring_up(tracee, index);
        wct_call_drop(&tracee->calls[tracee->depth - 1], tracee);
        wct_call_pop(tracee);
}

/* --- the dead ----------------------------------------------------------------------------------------------------------- */

/* The mapping that the thread pointer lies in: libcs put it at the top of a thread's stack. Of the first thread: [stack]. */
static void
find_stack(struct wct_tracee *tracee, struct wct_step_over *over)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        struct wct_maps maps;
        over->stack_high = 1; /* asked */
        if (regs == NULL || !wct_maps_read(tracee->tid, &maps))
                return;
        const bool first = tracee->tid == tracee->process->pid;
        for (uint32_t i = 0; i < maps.count; i++) {
                const struct wct_mapping *at = &maps.all[i];
                const bool has_pointer = regs->fs_base >= at->low && regs->fs_base < at->high;
                if (first ? strcmp(at->path, "[stack]") != 0 : !has_pointer)
                        continue;
                over->stack_high = at->high;
                over->stack_low = first ? at->high - STACK_MOST : at->low; /* [stack] grows */
        }
        wct_maps_free(&maps);
}

static bool
is_own_stack(struct wct_tracee *tracee, uint64_t sp)
{
        struct wct_step_over *over = wct_over(tracee);
        if (over->stack_high == 0)
                find_stack(tracee, over);
        return sp >= over->stack_low && sp < over->stack_high;
}

static bool
is_dead(struct wct_tracee *tracee, const struct wct_call *call, uint64_t sp)
{
        uint64_t there;
        if (wct_read(tracee->tid, &there, call->sp, 8) != 8 || there != call->back)
                return true;
        return is_own_stack(tracee, call->sp) && is_own_stack(tracee, sp);
}

void
wct_calls_clean(struct wct_tracee *tracee, uint64_t sp)
{
        if (tracee->depth == 0 || tracee->calls[tracee->depth - 1].sp >= sp)
                return; /* as nearly always */
        for (uint32_t i = tracee->depth; i-- > 0;) {
                const struct wct_call *call = &tracee->calls[i];
                if (is_function(call) && call->sp < sp && is_dead(tracee, call, sp))
                        drop(tracee, i);
        }
}

void
wct_calls_replace(struct wct_tracee *tracee, const struct wct_symbol *symbol, uint64_t sp, uint64_t back)
{
        for (uint32_t i = tracee->depth; i-- > 0;) {
                const struct wct_call *call = &tracee->calls[i];
                if (call->sp != sp)
                        break;
                if (call->symbol == symbol && call->back == back) {
                        drop(tracee, i);
                        return;
                }
        }
}

/* --- awaiting ----------------------------------------------------------------------------------------------------------- */

static uint32_t
awaited_at(uint64_t sp)
{
        return (uint32_t)(sp >> 3 ^ sp >> 13) % WCT_AWAITED;
}

bool
wct_return_await(struct wct_tracee *tracee, uint64_t sp, uint64_t back)
{
        struct wct_space *space = tracee->process->space;
        const struct wct_break *one = wct_break_find(space, back);
        space->awaited[awaited_at(sp)].sp = sp;
        space->awaited[awaited_at(sp)].tid = tracee->tid;
        if (one != NULL && one->planted && (one->roles & WCT_ROLE_RETURN))
                return true;
        return wct_space_executable(tracee, back) && wct_break_plant(tracee, back, WCT_ROLE_RETURN, NULL, 0) != NULL;
}

struct search {
        const struct wct_space *space;
        uint64_t back;
        bool found;
};

static void
look_for_waiting(struct wct_tracee *tracee, void *context)
{
        struct search *search = context;
        if (tracee->process == NULL || tracee->process->space != search->space)
                return;
        for (uint32_t i = 0; i < tracee->depth; i++)
                search->found = search->found || (is_function(&tracee->calls[i]) && tracee->calls[i].back == search->back);
}

/* Hit again and again, and nobody waits: it is taken out until somebody does. */
static void
grow_idle(struct wct_tracee *tracee, struct wct_break *one)
{
        if (++one->idle < IDLE_MOST || one->roles != WCT_ROLE_RETURN || tracee->process->space->resolving != NULL)
                return;
        struct search search = {tracee->process->space, one->address, false};
        one->idle = 0;
        wct_each_tracee(look_for_waiting, &search);
        if (!search.found)
                wct_break_lift(one, tracee->tid);
}

/* --- returning ---------------------------------------------------------------------------------------------------------- */

/* As a failed function left it; 0 where nobody knows. */
static int
error_of(const struct wct_symbol *symbol, const struct wct_site *site)
{
        int32_t error = 0;
        const bool failed = wct_result_is_failure(symbol, wct_result_word(symbol, site));
        const uint64_t place = failed ? wct_errno_place(site->tracee) : 0;
        return place != 0 && wct_read(site->tracee->tid, &error, place, sizeof error) == sizeof error ? error : 0;
}

/* Where a call that is back stands. */
static bool
site_after(struct wct_site *site, uint64_t registers[6], struct wct_tracee *tracee, const struct wct_call *call)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        if (regs == NULL)
                return false;
        const uint64_t words[6] = {regs->rdi, regs->rsi, regs->rdx, regs->rcx, regs->r8, regs->r9};
        memcpy(registers, words, sizeof words);
        *site = (struct wct_site){.tracee = tracee, .registers = registers, .sp = call->sp, .back = call->back,
                                  .result = (int64_t)regs->rax};
        site->error = error_of(call->symbol, site);
        return true;
}

/* The innermost call that this return ends: its index + 1; 0: there is none. */
static uint32_t
find(const struct wct_tracee *tracee, uint64_t sp, uint64_t back)
{
        for (uint32_t i = tracee->depth; i > 0; i--) {
                const struct wct_call *call = &tracee->calls[i - 1];
                if (is_function(call) && call->sp == sp && call->back == back)
                        return i;
        }
        return 0;
}

/* The innermost call is back: its handler, its record. */
static void
finish(struct wct_tracee *tracee, bool holds)
{
        struct wct_call *call = &tracee->calls[tracee->depth - 1];
        struct wct_site site;
        uint64_t registers[6];
        if (holds && call->handlers != NULL)
                wct_handler_exit(tracee, call);
        if (holds && site_after(&site, registers, tracee, call))
                wct_call_exit(call, &site);
        wct_fault_exit(tracee, call);
        wct_call_pop(tracee);
}

static void answered(struct wct_tracee *tracee, const struct wct_answer *answer);

bool
wct_return_innermost(struct wct_tracee *tracee)
{
        struct wct_call *call = &tracee->calls[tracee->depth - 1];
        struct wct_site site;
        uint64_t registers[6];
        wct_call_returned(call);
        const bool asks = call->recorded && wct_asks(call->symbol) & WCT_ASKS_AFTER;
        const bool known = (asks || call->symbol->when_after != 0) && site_after(&site, registers, tracee, call);
        const bool holds = !known || wct_call_holds(call, &site);
        if (holds && known && asks && wct_ask(tracee, call, &site, WCI_CALL, answered))
                return false;
        finish(tracee, holds);
        return true;
}

/* A coroutine that goes on in another thread than it was entered in: its call changes hands. */
static bool
take_over(struct wct_tracee *tracee, uint64_t sp, uint64_t back)
{
        struct wct_space *space = tracee->process->space;
        const pid_t tid = space->awaited[awaited_at(sp)].sp == sp ? space->awaited[awaited_at(sp)].tid : 0;
        struct wct_tracee *other = tid != 0 && tid != tracee->tid ? wct_tracee_find(tid) : NULL;
        const bool here = other != NULL && other->process != NULL && other->process->space == space;
        const uint32_t index = here ? find(other, sp, back) : 0;
        if (index == 0)
                return false;
        bring_up(other, index - 1);
        const uint32_t place = tracee->depth > 0 ? tracee->calls[tracee->depth - 1].place + 1 : 0;
        struct wct_call *call = wct_call_push(tracee);
        *call = other->calls[other->depth - 1];
        call->place = place;
        other->calls[other->depth - 1].kept = NULL;
        other->calls[other->depth - 1].text = 0;
        wct_call_pop(other);
        return true;
}

static bool
ends_resolving(struct wct_tracee *tracee, uint64_t sp, uint64_t back)
{
        struct wct_space *space = tracee->process->space;
        const struct user_regs_struct *regs = wct_regs(tracee);
        for (struct wct_resolving **place = &space->resolving; regs != NULL && *place != NULL; place = &(*place)->next) {
                struct wct_resolving *one = *place;
                if (one->sp != sp || one->back != back)
                        continue;
                *place = one->next;
                wct_space_resolved(tracee, one->resolver, regs->rax);
                wct_resolving_free(one);
                return true;
        }
        return false;
}

/* End the calls that a return to `back` ends. Returns how many; those behind one that asks first are ended when it goes on. */
static uint32_t
end_all(struct wct_tracee *tracee, uint64_t sp, uint64_t back)
{
        uint32_t ended = 0, index;
        while ((index = find(tracee, sp, back)) > 0 || (ended == 0 && take_over(tracee, sp, back))) {
                if (index > 0 && index < tracee->depth)
                        bring_up(tracee, index - 1);
                ended++;
                if (!wct_return_innermost(tracee))
                        return ended;
        }
        wct_calls_clean(tracee, sp + 8);
        return ended;
}

static void
answered(struct wct_tracee *tracee, const struct wct_answer *answer)
{
        const struct wct_call *call = &tracee->calls[tracee->depth - 1];
        const uint64_t sp = call->sp, back = call->back;
        wct_answer_exit(tracee, call, answer);
        finish(tracee, true);
        if (find(tracee, sp, back) > 0)
                end_all(tracee, sp, back);
        else
                wct_calls_clean(tracee, sp + 8);
}

bool
wct_return_hit(struct wct_tracee *tracee, struct wct_break *one)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        if (regs == NULL)
                return false;
        const uint64_t sp = regs->rsp - 8;
        const bool resolved = tracee->process->space->resolving != NULL && ends_resolving(tracee, sp, one->address);
        if (tracee->process->space->moves_stacks && find(tracee, sp, one->address) == 0)
                wct_go_follow(tracee, sp, one->address);
        const uint32_t ended = end_all(tracee, sp, one->address);
        if (ended == 0 && !resolved)
                grow_idle(tracee, one);
        else
                one->idle = 0;
        return ended > 0;
}
