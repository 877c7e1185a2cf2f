/*
 * wct_fault.c: declared faults and delays ("inject" of a config), by the tracer.
 *
 * Called by wct_syscall.c and wct_entry.c for a recorded call, behind its handler, and when it has ended. Counting is the
 * shim's (wc_inject.h): per thread and target, in the ring. A result is put where a handler's would stand, by the same code.
 * What wc-run itself starts is not meant: the execve that begins the program is let through, and not counted.
 * Absent on purpose: waiting (wct_pause.c).
 */
#include "wct_record.h"

static const struct wc_rule *
rule_of(const struct wct_symbol *symbol)
{
        return symbol->inject != 0 ? &wct_plan.injects[symbol->inject - 1] : NULL;
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
        wct_result_give(tracee, call->symbol, (uint64_t)rule->result, rule->error);
        call->skipped = true;
        call->result = (int64_t)wct_regs(tracee)->rax;
}

bool
wct_fault_enter(struct wct_tracee *tracee, struct wct_call *call)
{
        const struct wc_rule *rule = rule_of(call->symbol);
        if (rule != NULL && call->recorded)
                apply(tracee, call, rule);
        return call->skipped;
}

void
wct_fault_exit(struct wct_tracee *tracee, const struct wct_call *call)
{
        const struct wc_rule *rule = rule_of(call->symbol);
        if (rule != NULL && (call->injected & WCI_DELAYED) && rule->delay_exit != 0)
                wct_pause(tracee, rule->delay_exit);
}
