/*
 * wci_inject.c: declared faults and delays, in process.
 *
 * Called by generated wrappers whose target has an "inject". Rules:
 *   R1  without a delay nothing but arithmetic; a delay is one sleep, begun again when a signal handler has run meanwhile
 *   R2  errno is not touched: the wrapper sets the one that the rule gives
 *   R3  nothing is held while a delay lasts: a siglongjmp may leave it
 *   R9  once a seccomp filter may be in force there is no delay, and the mark does not say so
 * Absent on purpose: what a rule gives; that is in the generated code.
 */
#include "wci_inject.h"

#include "wci_hooks.h"
#include "wci_runtime.h"

#include <errno.h>
#include <time.h>

/* The calls of this thread that have come to the rule, this one included. */
static uint32_t
number_of(struct wci_count *count)
{
        uint32_t before = 1;
        __asm__ volatile("xaddl %0, %1" : "+r"(before), "+m"(count->offered) : : "cc");
        return before + 1;
}

static void
delay(uint64_t ns)
{
        struct timespec until;
        wci_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, &until, 0);
        const uint64_t end = (uint64_t)until.tv_nsec + ns % 1000000000u;
        until.tv_sec += (time_t)(ns / 1000000000u + end / 1000000000u);
        until.tv_nsec = (long)(end % 1000000000u);
        while (wci_syscall6(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, (long)&until, 0, 0, 0) == -EINTR)
                ;
}

uint32_t
wci_inject_enter(const struct wci_call *call, const struct wc_rule *rule)
{
        if (!wc_rule_means(rule, number_of(wci_ring_counts(call->ring, call->target))))
                return 0;
        const uint32_t mark = wc_rule_mark(rule);
        if (wci_quiet)
                return mark & ~WCI_DELAYED;
        if (rule->delay_enter != 0)
                delay(rule->delay_enter);
        return mark;
}

void
wci_inject_leave(uint32_t mark, const struct wc_rule *rule)
{
        if ((mark & WCI_DELAYED) && rule->delay_exit != 0 && !wci_quiet)
                delay(rule->delay_exit);
}
