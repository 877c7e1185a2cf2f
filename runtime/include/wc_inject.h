/*
 * wc_inject.h: a declared fault or delay ("inject" of a config), as both engines carry it out.
 *
 * Included by the shim (wci_inject.h: one constant rule per wrapper) and by the tracer (wct_fault.c: a table of the plan).
 * A rule counts the calls that come to it, per thread and target: the first is number 1. Whether a call is meant follows
 * from its number alone, chance included: the same thread, the same calls, the same faults. generator/inject.py has the same
 * arithmetic in Python; tests compare both.
 */
#ifndef WC_INJECT_H
#define WC_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "wc_abi.h"

struct wc_rule {
        uint64_t first, last, step;        /* calls meant: first, first + step, ... up to last */
        uint64_t chance;                   /* of WC_RULE_ALWAYS, for each of those */
        uint64_t seed;
        uint64_t delay_enter, delay_exit;  /* nanoseconds */
        int64_t result;                    /* as a register holds it; of a floating one the bits of a double */
        int32_t error;                     /* errno that the call leaves; 0: it is left alone */
        uint32_t gives;                    /* 1: the call is not made, and gives `result` */
};

#define WC_RULE_ALWAYS (1ull << 53)
_Static_assert(sizeof(struct wc_rule) == 72, "generator/tracer_plan.py packs it");

/* splitmix64 of the call's number: 53 bits that follow from seed and number. */
static inline uint64_t
wc_rule_draw(uint64_t seed, uint64_t number)
{
        uint64_t z = seed + number * 0x9e3779b97f4a7c15ull;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return (z ^ (z >> 31)) >> 11;
}

static inline bool
wc_rule_means(const struct wc_rule *rule, uint64_t number)
{
        if (number < rule->first || number > rule->last || (number - rule->first) % rule->step != 0)
                return false;
        return rule->chance >= WC_RULE_ALWAYS || wc_rule_draw(rule->seed, number) < rule->chance;
}

/* The mark of a call that the rule means, as far as the rule delays or gives anything. */
static inline uint32_t
wc_rule_mark(const struct wc_rule *rule)
{
        return (rule->gives != 0 ? WCI_INJECTED : 0) | (rule->delay_enter != 0 || rule->delay_exit != 0 ? WCI_DELAYED : 0);
}

#endif
