/*
 * wct_fault.c: declared faults and delays ("inject" of a config), by the tracer.
 *
 * Called by wct_syscall.c and wct_entry.c for a recorded call, behind its handler, and when it has ended. Counting is the
 * shim's (wc_inject.h): per thread and target, in the ring. A result is put where a handler's would stand, by the same code.
 * What wc-run itself starts is not meant: the execve that begins the program is let through, and not counted.
 * Absent on purpose: waiting (wct_pause.c).
 */
#include "wct_handler.h"
#include "wct_record.h"

#define SKIP (~0ull)

static const struct wc_rule *
rule_of(const struct wct_symbol *symbol)
{
        return symbol->inject != 0 ? &wct_plan.injects[symbol->inject - 1] : NULL;
}

static void
give(struct wct_tracee *tracee, const struct wct_symbol *symbol, const struct wc_rule *rule)
{
        struct wct_view view;
        wct_view_enter(&view, tracee, symbol);
        view.shown.rax = (uint64_t)rule->result;
        view.shown.orig_rax = SKIP;
        wct_view_apply(&view, tracee, symbol);
        wct_errno_give(tracee, symbol, rule->error);
}

/* Count the call; if it is meant, do what the rule says. */
static void
apply(struct wct_tracee *tracee, struct wct_call *call, const struct wc_rule *rule)
{
        if (call->symbol->flags & WCT_NORETURN || !tracee->process->launched || !wct_ring_is_live(tracee) || wct_regs(tracee) == NULL)
                return;
        if (!wc_rule_means(rule, ++wct_ring_count(tracee->ring, call->symbol->target)->offered))
                return;
        call->injected = (uint8_t)wc_rule_mark(rule);
        if (rule->delay_enter != 0)
                wct_pause(tracee, rule->delay_enter);
        if (rule->gives == 0)
                return;
        give(tracee, call->symbol, rule);
        call->skipped = true;
        call->result = (int64_t)wct_regs(tracee)->rax;
}

bool
wct_fault_enter(struct wct_tracee *tracee, struct wct_call *call)
{
        const struct wc_rule *rule = rule_of(call->symbol);
        const struct wct_site site = {.tracee = tracee, .sp = call->sp, .back = call->back};
        if (rule == NULL || !call->recorded)
                return false;
        apply(tracee, call, rule);
        wct_call_goes_on(call, &site);
        return call->skipped;
}

void
wct_fault_exit(struct wct_tracee *tracee, const struct wct_call *call)
{
        const struct wc_rule *rule = rule_of(call->symbol);
        if (rule != NULL && (call->injected & WCI_DELAYED) && rule->delay_exit != 0)
                wct_pause(tracee, rule->delay_exit);
}
