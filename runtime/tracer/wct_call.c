/*
 * wct_call.c: one call: counted, captured, recorded.
 *
 * Called by wct_syscall.c and wct_break.c at the two ends of a call, in the order of the shim's wrappers: look at the
 * control word, count, sample; capture, take the time; note the call in the ring's in-flight stack; record; count it as
 * returned; take it off the stack. Rules: a call that is off, sampled out or without a ring costs nothing more and is not
 * waited for; the in-flight stack is a picture of struct wct_tracee's calls, put right at each enter and exit, and left as it
 * is when a thread ends: a call that it ended in stays visible.
 *
 * Absent on purpose: which calls there are, and when they end.
 */
#include <string.h>

#include "wc_limit.h"
#include "wct_record.h"

static const struct wct_target *
target_of(const struct wct_symbol *symbol)
{
        return &wct_plan.targets[symbol->target];
}

static uint64_t
word_of(const struct wct_symbol *symbol)
{
        return __atomic_load_n(&wct_session.words[symbol->target], __ATOMIC_RELAXED);
}

bool
wct_target_is_on(const struct wct_symbol *symbol)
{
        return !wct_session.over && (word_of(symbol) & WCI_WORD_ON) != 0;
}

static bool
sample_out(struct wci_count *count, uint64_t word)
{
        const uint32_t frequency = WCI_WORD_FREQUENCY(word);
        if (frequency <= 1 || ++count->phase % frequency == 0)
                return false;
        count->sampled++;
        return true;
}

static void
seen_limits(struct wci_seen *seen, const struct wci_limit *limit)
{
        const uint64_t shortest = limit->shortest_ns;
        seen->most = (uint32_t)limit->most;
        memcpy(seen->shortest_ns, &shortest, sizeof shortest);
}

/* The target's word has changed since this ring acted on it last: tell the reader from which call on. */
static void
control_seen(struct wci_ring *ring, uint64_t word, const struct wct_symbol *symbol)
{
        const struct wct_open_record record = wct_ring_open(ring, WCT_UNCOUNTED, symbol->id, WCI_CONTROL_SEEN, 1);
        wct_ring_count(ring, symbol->target)->generation = WCI_WORD_GENERATION(word);
        if (record.first == NULL)
                return;
        struct wci_seen seen = {.target = symbol->target,
                                .generation = WCI_WORD_GENERATION(word),
                                .frequency = WCI_WORD_FREQUENCY(word),
                                .flags = (uint32_t)word & 0xfeu};
        if (word & WCI_WORD_LIMITED)
                seen_limits(&seen, &wct_session.limits[symbol->target]);
        wct_event_begin(&record, wct_clock(), WCI_NO_DURATION, word);
        memcpy(record.first->args, &seen, sizeof seen);
        wct_ring_commit(&record);
}

/* --- the in-flight stack ------------------------------------------------------------------------------------------ */

/* Above the innermost call of this thread that is noted there. */
static uint32_t
place_of(const struct wct_tracee *tracee, const struct wct_call *call)
{
        for (uint32_t i = tracee->depth; i-- > 0;)
                if (&tracee->calls[i] != call && tracee->calls[i].recorded)
                        return tracee->calls[i].place + 1;
        return 0;
}

/* The first argument as the shim notes it: numbers and pointers. */
static uint64_t
first_argument(const struct wct_call *call)
{
        const struct wct_argument *first = wct_plan.arguments + call->symbol->first;
        const bool plain = call->symbol->arguments != 0 && first->where <= WCT_ON_STACK && first->type >= WCT_SIGNED &&
                           first->type <= WCT_BOOL;
        return plain ? call->value[0] : 0;
}

static void
inside_note(struct wci_ring *ring, struct wct_call *call)
{
        if (call->place < WCI_INFLIGHT) {
                struct wci_inside *inside = &ring->inside[call->place];
                inside->clock = call->clock;
                inside->frame = call->sp;
                inside->argument = first_argument(call);
                inside->serial = call->serial;
                inside->symbol = call->symbol->id;
        }
        /* A reader that sees the new depth must see whose entry it is. */
        __atomic_store_n(&ring->depth, call->place + 1, __ATOMIC_RELEASE);
}

/* --- limits ------------------------------------------------------------------------------------------------------- */

/* Whether a record before the call counts: then the limits are asked there, and the call's duration is not waited for. */
static bool
counts_early(const struct wct_call *call)
{
        return wct_has_enter_record(call->symbol) || wct_is_exec(call);
}

/* Whether the target's limits are against the call's records. They are asked once. */
static bool
is_hidden(struct wct_call *call, struct wci_ring *ring)
{
        struct wci_limit *limit = &wct_session.limits[call->symbol->target];
        if (!call->limited)
                return call->hidden;
        call->limited = false;
        const bool is_short = !counts_early(call) && call->duration != WCI_NO_DURATION && wcl_is_short(limit, call->duration);
        call->hidden = is_short || !wcl_let_through(limit, wct_clock());
        if (call->hidden)
                wct_ring_count(ring, call->symbol->target)->filtered++;
        return call->hidden;
}

/* Somebody may still change the call, skip it or give it another result: what comes of it is not known yet. */
static bool
may_change(const struct wct_symbol *symbol)
{
        return wct_has_handler(symbol) || symbol->inject != 0 || wct_asks(symbol) != 0;
}

/* Where nothing but the number of records matters, the limits are asked before anything else is done. */
static bool
is_over(struct wct_call *call, struct wci_count *count, uint64_t word)
{
        call->limited = (word & WCI_WORD_LIMITED) != 0;
        const bool asked = call->symbol->when_before != 0 || call->symbol->when_after != 0;
        const bool acts = asked || may_change(call->symbol);
        if (!call->limited || acts || wct_session.limits[call->symbol->target].shortest != 0)
                return false;
        call->limited = false;
        if (wcl_let_through(&wct_session.limits[call->symbol->target], wct_clock()))
                return false;
        count->filtered++;
        return true;
}

/* What is written before the call, once its arguments are final. */
static void
before_write(struct wct_call *call, struct wci_ring *ring, const struct wct_site *site)
{
        if (counts_early(call) && is_hidden(call, ring))
                return;
        if (wct_has_enter_record(call->symbol))
                wct_write_enter(call, ring, site);
        if (wct_is_exec(call))
                wct_write_exec(call, ring, site);
}

/* --- enter -------------------------------------------------------------------------------------------------------- */

/* The arguments, from the registers as they are. False: there is no memory for them. */
static bool
values_take(struct wct_call *call, const struct wct_site *site)
{
        const struct wct_facts *facts = wct_facts(call->symbol);
        if (facts->keeps && call->kept == NULL && (call->kept = wct_kept_new(WCT_SMALL_ROOM)) == NULL)
                return false;
        if (call->kept != NULL)
                call->kept->used = facts->wide_words * (uint32_t)sizeof(uint64_t);
        wct_values_take(call, site);
        return true;
}

/* What the call is: captures, and its beginning. */
static void
begin(struct wct_call *call, struct wci_ring *ring, const struct wct_site *site)
{
        if (wct_facts(call->symbol)->at_entry)
                wct_captures_take(call, site, WCT_MOMENT_ENTRY);
        call->clock = target_of(call->symbol)->clocks == WCT_CLOCK_NONE ? 0 : wct_clock();
        inside_note(ring, call);
}

/* Is the entry part of the target's `when` false? Then the call is counted as that. */
static bool
filter_out(struct wct_call *call, struct wci_ring *ring, const struct wct_site *site)
{
        const struct wct_symbol *symbol = call->symbol;
        if (symbol->when_before == 0 || wct_when_holds(call, site, symbol->when_before))
                return false;
        wct_ring_count(ring, symbol->target)->filtered++;
        wct_call_drop(call, site->tracee);
        return true;
}

void
wct_call_enter(struct wct_call *call, const struct wct_symbol *symbol, const struct wct_site *site)
{
        call->symbol = symbol;
        call->sp = site->sp;
        call->back = site->back;
        call->duration = 0;
        call->injected = 0;
        call->recorded = call->waiting = call->skipped = call->shown = call->limited = call->hidden = call->early = false;
        call->kept = NULL;
        const uint64_t word = word_of(symbol);
        if (!(word & WCI_WORD_ON) || wct_session.over)
                return;
        struct wci_ring *ring = wct_ring_for_call(site->tracee, symbol->target);
        if (ring == NULL)
                return;
        struct wci_count *count = wct_ring_count(ring, symbol->target);
        if (count->generation != WCI_WORD_GENERATION(word))
                control_seen(ring, word, symbol);
        count->calls++;
        if (sample_out(count, word) || is_over(call, count, word))
                return;
        call->place = place_of(site->tracee, call);
        if (!values_take(call, site)) {
                wct_ring_lose(ring, symbol->target, WCI_LOSS_MEMORY);
                ring->depth = call->place;
                return;
        }
        if (filter_out(call, ring, site))
                return;
        call->serial = ++ring->serial;
        begin(call, ring, site);
        call->early = may_change(symbol);
        call->handlers = wct_pair_of(symbol);
        call->recorded = call->early || !wct_enters_only(symbol);
        if (call->early)
                return;
        before_write(call, ring, site);
        if (!call->recorded) {
                wct_call_drop(call, site->tracee);
                ring->depth = call->place;
        }
}

void
wct_call_changed(struct wct_call *call, const struct wct_site *site)
{
        if (!call->recorded || call->shown || !wct_ring_is_live(site->tracee))
                return;
        values_take(call, site);
        begin(call, site->tracee->ring, site);
}

void
wct_call_goes_on(struct wct_call *call, const struct wct_site *site)
{
        const bool due = call->early && call->recorded && wct_ring_is_live(site->tracee);
        call->early = false;
        if (due)
                before_write(call, site->tracee->ring, site);
}

/* --- exit --------------------------------------------------------------------------------------------------------- */

void
wct_call_returned(struct wct_call *call)
{
        if (!call->recorded || call->duration != 0)
                return;
        call->duration = target_of(call->symbol)->clocks == WCT_CLOCK_TWO ? wct_clock() - call->clock : WCI_NO_DURATION;
}

/* A coroutine's call may end in another thread than it was entered in, even in one that has no ring yet. */
static bool
has_ring(struct wct_tracee *tracee)
{
        return wct_ring_is_live(tracee) || wct_ring_claim(tracee, 0);
}

bool
wct_call_holds(struct wct_call *call, const struct wct_site *site)
{
        const struct wct_symbol *symbol = call->symbol;
        struct wct_tracee *tracee = site->tracee;
        if (!call->recorded || symbol->when_after == 0 || wct_when_holds(call, site, symbol->when_after))
                return true;
        if (has_ring(tracee)) {
                wct_ring_count(tracee->ring, symbol->target)->filtered++;
                if (tracee->ring->depth > call->place)
                        tracee->ring->depth = call->place;
        }
        wct_call_drop(call, tracee);
        return false;
}

void
wct_call_exit(struct wct_call *call, const struct wct_site *site)
{
        struct wct_tracee *tracee = site->tracee;
        if (!call->recorded)
                return;
        wct_call_returned(call);
        if (has_ring(tracee)) {
                const bool hidden = is_hidden(call, tracee->ring);
                if (!hidden && !call->shown && wct_has_enter_record(call->symbol))
                        wct_write_enter(call, tracee->ring, site);
                if (!hidden && !wct_enters_only(call->symbol))
                        wct_write_exit(call, tracee->ring, site);
                if (tracee->ring->depth > call->place)
                        tracee->ring->depth = call->place;
        }
        wct_call_drop(call, tracee);
}

void
wct_call_drop(struct wct_call *call, struct wct_tracee *tracee)
{
        (void)tracee;
        wct_kept_free(call->kept);
        call->kept = NULL;
        call->recorded = false;
}
