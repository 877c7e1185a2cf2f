/*
 * wc_limit.h: whether a target's struct wci_limit lets one more record through.
 *
 * Included by both engines. All threads of a session share the window: a second of the session's clock, and how many records
 * were let through in it, in one word. It is exact: in no such second more than `most`. The compare-and-swap is a locked
 * instruction, on this path only; once a second is used up, a call costs a load. The fields may be anything (a program can
 * write to them), and then the answer is as wrong as they are, and nothing else is.
 */
#ifndef WC_LIMIT_H
#define WC_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "wc_abi.h"

static inline bool
wcl_let_through(struct wci_limit *limit, uint64_t now)
{
        const uint64_t most = __atomic_load_n(&limit->most, __ATOMIC_RELAXED);
        const uint64_t ticks = __atomic_load_n(&limit->second, __ATOMIC_RELAXED);
        if (most == 0 || ticks == 0)
                return true;
        const uint32_t second = (uint32_t)(now / ticks);
        uint64_t window = __atomic_load_n(&limit->window, __ATOMIC_RELAXED), next;
        do {
                if ((int32_t)(second - (uint32_t)(window >> 32)) > 0) /* not when another thread is in the next one already */
                        next = (uint64_t)second << 32 | 1;
                else if ((uint32_t)window < most)
                        next = window + 1;
                else
                        return false;
        } while (!__atomic_compare_exchange_n(&limit->window, &window, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        return true;
}

static inline bool
wcl_is_short(const struct wci_limit *limit, uint64_t duration)
{
        return duration < __atomic_load_n(&limit->shortest, __ATOMIC_RELAXED);
}

#endif
