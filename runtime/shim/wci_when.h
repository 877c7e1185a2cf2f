/*
 * wci_when.h: what a wrapper tests whose target has a `when` (docs/config.md). Included by generated wrappers that need it.
 *
 * Such a wrapper counts the call, asks, and only then takes the time: a call of which the expression does not hold costs
 * two counters more than one whose target is off.  What needs the return is asked behind wci_returned.
 * Rules: R1 (no lock; a system call only for a text that nothing proves), R2 (errno is not touched), R7 (wci_text_* read a
 * text directly only where the generator says so).
 */
#ifndef WCI_WHEN_H
#define WCI_WHEN_H

#include "wc_when.h"
#include "wci_shim.h"

/* A call whose target is on is counted. False: it is off, sampled out, suppressed or without a ring. */
WCI_INLINE bool
wci_enter_counted(struct wci_call *call, uint32_t target, uint32_t symbol, uint32_t clocks)
{
        const uint64_t word = __atomic_load_n(&wci_words[target], __ATOMIC_RELAXED);
        if (WCI_LIKELY(!(word & WCI_WORD_ON)))
                return false;
        return wci_enter_count(call, word, target, symbol, clocks, (uintptr_t)__builtin_frame_address(0));
}

WCI_INLINE bool
wci_when(const struct wci_call *call, bool holds)
{
        if (!holds)
                wci_add_unlocked(&wci_ring_counts(call->ring, call->target)->filtered, 1);
        return holds;
}

WCI_INLINE bool
wci_enter_begun(struct wci_call *call, uint32_t symbol, uint64_t argument, uint32_t clocks)
{
        wci_enter_begin(call, symbol, argument, clocks, (uintptr_t)__builtin_frame_address(0));
        return true;
}

/* After the call, which the thread is inside of no more if it is not recorded. */
WCI_INLINE bool
wci_when_left(const struct wci_call *call, bool holds)
{
        if (!wci_when(call, holds))
                wci_leave(call);
        return holds;
}

WCI_HIDDEN bool wci_text_equals(const void *text, const char *other, bool proven);
WCI_HIDDEN bool wci_text_matches(const void *text, const char *glob, bool proven);
/* The path of the object that the code at an address belongs to; "" of code that is in none. */
WCI_HIDDEN bool wci_caller_equals(const void *address, const char *other);
WCI_HIDDEN bool wci_caller_matches(const void *address, const char *glob);

#endif
