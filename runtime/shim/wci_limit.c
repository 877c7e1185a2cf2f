/*
 * wci_limit.c: what a control word asks for beyond on and off: every Nth call, at most N records a second, long calls only.
 *
 * Called by the record path when a word has one of WCI_WORD_UNUSUAL's bits, or has changed. Rules: R1 (no lock and no system
 * call: wc_limit.h's locked instruction is all). An ordinary call pays nothing: it enters by the branch that frequency always
 * had, and comes back by the one that asks whose ring it is, which a marked call never passes.
 */
#include "wci_control.h"
#include "wci_runtime.h"

#include "wc_limit.h"

struct wci_limit *wci_limits;

/* The cell is of an older lap: zeros are written too. limit: NULL where there is none. */
static void
seen_limits(struct wci_seen *seen, const struct wci_limit *limit)
{
        const uint64_t shortest = limit != NULL ? limit->shortest_ns : 0;
        seen->most = limit != NULL ? (uint32_t)limit->most : 0;
        seen->shortest_ns[0] = (uint32_t)shortest;
        seen->shortest_ns[1] = (uint32_t)(shortest >> 32);
}

/* The target's word has changed since this ring acted on it last: tell the reader from which call on. */
WCI_COLD void
wci_control_seen(struct wci_ring *ring, uint64_t word, uint32_t target, uint32_t symbol)
{
        wci_ring_counts(ring, target)->generation = WCI_WORD_GENERATION(word);
        wci_control_behind();
        uint32_t stamp;
        struct wci_cell *cell = wci_ring_reserve(ring, WCI_UNCOUNTED, 1, &stamp);
        if (cell == NULL)
                return;
        wci_cells_open(cell, symbol, WCI_CONTROL_SEEN, 1);
        struct wci_first *first = (struct wci_first *)cell;
        first->clock = wci_clock();
        first->duration = WCI_NO_DURATION;
        first->result = word;
        first->error = 0;
        struct wci_seen *seen = (struct wci_seen *)first->args;
        seen->target = target;
        seen->generation = WCI_WORD_GENERATION(word);
        seen->frequency = WCI_WORD_FREQUENCY(word);
        seen->flags = (uint32_t)word & 0xfeu;
        seen_limits(seen, (word & WCI_WORD_LIMITED) && wci_limits != NULL ? &wci_limits[target] : NULL);
        const struct wci_record_head head = {first, stamp, 1};
        wci_commit(&head);
}

static bool
is_sampled_out(struct wci_ring *ring, struct wci_count *count, uint64_t word)
{
        const uint32_t frequency = WCI_WORD_FREQUENCY(word);
        if (frequency <= 1)
                return false;
        ring->sampled = 1;
        wci_add_unlocked(&count->phase, 1);
        if (count->phase % frequency == 0)
                return false;
        wci_add_unlocked(&count->sampled, 1);
        return true;
}

/* When the limits are asked: at entry where that is enough, which saves the rest of the record path; else later. */
static bool
waits(const struct wci_limit *limit, uint32_t clocks)
{
        if (clocks & WCI_LIMIT_LATE)
                return true;
        return limit->shortest != 0 && (clocks & (WCI_CLOCK_AT_EXIT | WCI_LIMIT_EARLY)) == WCI_CLOCK_AT_EXIT;
}

/* Returns the call's claims, 0 when it is not to be recorded and has been counted so. */
WCI_COLD uint32_t
wci_enter_unusual(struct wci_ring *ring, uint64_t word, uint32_t target, uint32_t clocks)
{
        struct wci_count *count = wci_ring_counts(ring, target);
        if (is_sampled_out(ring, count, word))
                return 0;
        if (!(word & WCI_WORD_LIMITED) || wci_limits == NULL)
                return ring->claims;
        if (waits(&wci_limits[target], clocks))
                return ring->claims | WCI_CALL_LIMITED;
        if (wcl_let_through(&wci_limits[target], wci_clock()))
                return ring->claims;
        wci_add_unlocked(&count->filtered, 1);
        return 0;
}

/* Returns false when the limits are against the record. They are asked once. */
WCI_COLD bool
wci_limit_ask(struct wci_ring *ring, uint32_t target, uint64_t duration)
{
        struct wci_limit *limit = &wci_limits[target & ~WCI_UNCOUNTED];
        if (!wcl_is_short(limit, duration) && wcl_let_through(limit, wci_clock()))
                return true;
        wci_add_unlocked(&wci_ring_counts(ring, target & ~WCI_UNCOUNTED)->filtered, 1);
        return false;
}

/* A call that came back and does not look as it should: marked, or not ours. What is not recorded is left here. */
WCI_COLD bool
wci_returned_limited(struct wci_ring *ring, uint32_t claims, uint32_t depth, uint32_t target, uint64_t duration,
                     uint32_t clocks)
{
        if (!(claims & WCI_CALL_LIMITED) || ring->owner_pid != wci_alive->pid ||
            ring->claims != (claims & ~WCI_CALL_LIMITED))
                return false;
        if (clocks & WCI_LIMIT_LATE || wci_limit_ask(ring, target, duration))
                return true;
        ring->depth = depth;
        return false;
}
