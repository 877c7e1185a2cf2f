/*
 * wci_ring.c: room in a ring: the slow path of a reservation.
 *
 * Called by the inline record path (wci_shim.h) when a lap ends, when pages or space are missing, or when a loss waits to
 * be told.  Rules: R1 (raw system calls only), R4 (never block for ever), R9 (quiet: no system call at all).
 * Absent on purpose: whose the ring is (wci_claim.c).
 */
#include "wci_runtime.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <time.h>

#define WCI_DEAD_NS 200000000ull
#define WCI_PAUSE_NS 20u /* about what a pause instruction takes, where no clock may be asked */
#define WCI_SLICE_NS 2000000ull
#define WCI_STUCK_NS 5000000000ull /* R4: no consumer, however alive it looks, may hold a program longer */

static bool consumer_hidden;

static bool
fits_before(uint64_t tail, uint64_t head, uint32_t cells)
{
        return (int64_t)(tail + wci_ring_slack() - (head + cells)) >= 0;
}

static bool
has_room(const struct wci_ring *ring, uint64_t head, uint32_t cells)
{
        return fits_before(__atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE), head, cells);
}

static void
write_filler(struct wci_cell *cell, uint32_t size, uint32_t stamp)
{
        wci_cells_open(cell, WCI_SYMBOL_NONE, WCI_FILLER, 1);
        cell->header.count = (uint8_t)size;
        WCI_ORDER(); /* the count before the stamp that vouches for it */
        __atomic_store_n(&cell->header.stamp, stamp, __ATOMIC_RELEASE);
}

/* Close the lap: FILLER over what is left of it, then head at the next lap's start. */
static void
lap_close(struct wci_ring *ring, uint64_t head)
{
        const uint32_t index = (uint32_t)head;
        const uint32_t lap = (uint32_t)(head >> 32);
        const uint32_t next = lap + 1 == UINT32_MAX ? 0 : lap + 1; /* stamp 0 is never valid: skip its lap */
        if (!wci_cmpxchg_unlocked(&ring->head, &head, (uint64_t)next << 32))
                return;
        if (index == ring->capacity)
                return;
        write_filler(wci_ring_cells(ring) + index, ring->capacity - index, lap + 1);
}

/* The first lap reaches pages not claimed yet: claim 64 KiB more, or let the ring end here. */
static void
lap_extend(struct wci_ring *ring)
{
        uint32_t upto = ring->ready + WCI_CHUNK_CELLS;
        if (upto > ring->capacity)
                upto = ring->capacity;
        if (!wci_quiet && wci_ring_populate(ring, ring->ready, upto)) {
                ring->ready = upto;
        } else {
                wci_degrade(WCI_LOSS_MEMORY);
                __atomic_store_n(&ring->capacity, ring->ready, __ATOMIC_RELEASE);
        }
}

/* No slack: every reservation comes by wci_ring_make_room, which tells the reader of the loss first. */
static void
tell_later(struct wci_ring *ring)
{
        ring->lost_any = 1;
        ring->slack = 0;
}

/* Count the record as lost. The next record that finds room tells the reader when and how many (LOST). */
static bool
lose(struct wci_ring *ring, uint32_t target, enum wci_loss reason)
{
        if ((target & WCI_UNCOUNTED))
                return false;
        wci_add_unlocked(&wci_ring_counts(ring, target)->lost, 1);
        wci_add_unlocked(&wci_ring_counts(ring, target)->returned, 1);
        wci_add_unlocked(&ring->losses[reason], 1);
        if (ring->pending_lost == 0)
                ring->pending_clock = wci_clock();
        wci_add_unlocked(&ring->pending_lost, 1);
        tell_later(ring);
        return false;
}

static void
tell_lost(struct wci_ring *ring)
{
        uint32_t stamp;
        ring->lost_any = 0;
        ring->slack = wci_ring_slack();
        const uint64_t lost = __atomic_exchange_n(&ring->pending_lost, 0, __ATOMIC_RELAXED);
        struct wci_cell *cell = lost == 0 ? NULL : wci_ring_reserve(ring, WCI_UNCOUNTED, 1, &stamp);
        if (cell == NULL) {
                wci_add_unlocked(&ring->pending_lost, lost);
                if (lost != 0)
                        tell_later(ring);
                return;
        }
        wci_cells_open(cell, WCI_SYMBOL_NONE, WCI_LOST, 1);
        struct wci_first *first = (struct wci_first *)cell;
        first->clock = ring->pending_clock;
        first->duration = wci_clock() - ring->pending_clock;
        first->result = lost;
        first->error = 0;
        const struct wci_record_head head = {first, stamp, 1};
        wci_commit(&head);
}

/*
 * Is the cell that the reader waits for one that this thread reserved and has not committed? A newer stamp says no: then the
 * reader has gone on, and a signal handler has written there since we looked at tail.
 */
static bool
tail_is_open(struct wci_ring *ring, uint64_t tail)
{
        const uint32_t index = (uint32_t)tail, expected = (uint32_t)(tail >> 32) + 1;
        if (index >= ring->capacity)
                return false;
        const uint32_t stamp = __atomic_load_n(&wci_ring_cells(ring)[index].header.stamp, __ATOMIC_ACQUIRE);
        return stamp == 0 || (int32_t)(stamp - expected) < 0;
}

static bool
on_signal_stack(void)
{
        stack_t now = {.ss_flags = SS_ONSTACK};
        if (!wci_quiet)
                wci_syscall3(SYS_sigaltstack, NULL, &now, 0);
        return (now.ss_flags & SS_ONSTACK) != 0;
}

/*
 * An open cell at tail is either one of a wrapper that we, in a signal handler, have interrupted (waiting for it would be
 * waiting for ourselves), or of one that a siglongjmp or a cancellation has left for good. A wrapper is in the in-flight
 * stack until its record is committed, and stays there for handlers, whose frames lie below its own: so where the stack
 * holds nobody but the wrapper that has called us, nobody is left to come back. On a signal stack frames tell nothing.
 */
static bool
abandoned(const struct wci_ring *ring)
{
        return ring->depth <= 1 && !on_signal_stack();
}

/* The later cells of a record are committed before its first: they vouch for nothing. */
static bool
begins_something(const struct wci_cell *cell, uint32_t stamp)
{
        return cell->header.stamp == stamp && cell->header.kind != WCI_CONTINUATION;
}

/*
 * Close what was left open at tail, up to the next committed record, as FILLER: the reader waits for it no longer. A signal
 * handler may come in between, and use the cells again when the reader has stepped over them: no header is changed that is
 * not the one we saw.
 */
static void
close_abandoned(struct wci_ring *ring, uint64_t tail)
{
        struct wci_cell *cells = wci_ring_cells(ring);
        const uint32_t stamp = (uint32_t)(tail >> 32) + 1, start = (uint32_t)tail;
        const uint32_t end = ring->head >> 32 == tail >> 32 ? (uint32_t)ring->head : ring->capacity;
        uint64_t seen = __atomic_load_n((uint64_t *)&cells[start].header, __ATOMIC_RELAXED);
        uint32_t upto = start;
        if (!tail_is_open(ring, tail))
                return;
        while (upto < end && upto - start < WCI_RECORD_CELLS && !begins_something(&cells[upto], stamp))
                upto++;
        const uint64_t filler = stamp | (uint64_t)WCI_SYMBOL_NONE << 32 | (uint64_t)WCI_FILLER << 48 |
                                (uint64_t)(upto - start) << 56;
        if (upto != start)
                wci_cmpxchg_unlocked((uint64_t *)&cells[start].header, &seen, filler);
}

/* Is tail held by somebody who will come back, but not before we return? What nobody comes back to is closed. */
static bool
held_by_ourselves(struct wci_ring *ring, uint64_t tail)
{
        if (!tail_is_open(ring, tail))
                return false;
        if (!abandoned(ring))
                return true;
        close_abandoned(ring, tail);
        return false;
}

struct wci_stall {
        uint64_t began;
        uint64_t progress; /* when the consumer last did anything */
        uint64_t tail;
        uint64_t heartbeat;
};

static void
stall_note_progress(struct wci_stall *stall, uint64_t tail, uint64_t now)
{
        const uint64_t heartbeat = __atomic_load_n(&wci_control->heartbeat, __ATOMIC_RELAXED);
        if (tail == stall->tail && heartbeat == stall->heartbeat)
                return;
        if (tail != stall->tail)
                stall->began = now;
        stall->tail = tail;
        stall->heartbeat = heartbeat;
        stall->progress = now;
}

static bool
stall_is_spent(struct wci_ring *ring, const struct wci_stall *stall, uint64_t now)
{
        const uint64_t budget = (uint64_t)wci_control->block_ms * 1000000u;
        if (now - stall->progress <= budget && now - stall->began <= WCI_STUCK_NS)
                return false;
        ring->budget_tail = stall->tail;
        return true;
}

static bool
consumer_is_unknown(void)
{
        return wci_syscall3(SYS_kill, wci_control->consumer_pid, 0, 0) == -ESRCH;
}

/* From a pid namespace that the consumer is not in it looks dead while its heart beats: then only that counts. */
void
wci_consumer_look(void)
{
        const uint64_t heartbeat = __atomic_load_n(&wci_control->heartbeat, __ATOMIC_RELAXED);
        consumer_hidden = consumer_hidden || (consumer_is_unknown() && wci_monotonic_ns() < heartbeat + WCI_DEAD_NS);
}

/* A dead consumer is noticed here: a heartbeat older than 200 ms and no such process. Recording turns itself off. */
bool
wci_consumer_is_dead(uint64_t now)
{
        const uint64_t heartbeat = __atomic_load_n(&wci_control->heartbeat, __ATOMIC_RELAXED);
        if (wci_quiet || now < heartbeat + (consumer_hidden ? WCI_STUCK_NS : WCI_DEAD_NS) || !consumer_is_unknown())
                return false;
        __atomic_store_n(&wci_control->closed, 1, __ATOMIC_RELEASE);
        return true;
}

static void
sleep_until_read(struct wci_ring *ring, uint64_t tail)
{
        const struct timespec slice = {0, (long)WCI_SLICE_NS};
        const uint32_t wake = __atomic_load_n(&ring->wake, __ATOMIC_ACQUIRE);
        __atomic_store_n(&ring->waiting, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST) == tail)
                wci_syscall6(SYS_futex, (long)&ring->wake, FUTEX_WAIT, wake, (long)&slice, 0, 0);
        __atomic_store_n(&ring->waiting, 0, __ATOMIC_RELAXED);
}

/* Block policy: wait until the reader has moved its tail so far that the record fits. False: the budget is spent. */
static bool
wait_for_room(struct wci_ring *ring, uint64_t head, uint32_t cells, enum wci_loss *reason)
{
        uint64_t now = wci_monotonic_ns();
        struct wci_stall stall = {now, now, __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE),
                                  __atomic_load_n(&wci_control->heartbeat, __ATOMIC_RELAXED)};
        wci_add_unlocked(&ring->stalls, 1);
        for (;;) {
                /* One tail for both questions: at one that has just come up to head, the cell is not open but free. */
                const uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
                if (fits_before(tail, head, cells))
                        return true;
                if (held_by_ourselves(ring, tail)) {
                        *reason = WCI_LOSS_NESTED;
                        return false;
                }
                if (wci_quiet)
                        __builtin_ia32_pause();
                else
                        sleep_until_read(ring, tail);
                now = wci_clock_kind == WCI_CLOCK_FROZEN && wci_quiet ? now + WCI_PAUSE_NS : wci_monotonic_ns();
                stall_note_progress(&stall, __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE), now);
                if (stall_is_spent(ring, &stall, now) || wci_consumer_is_dead(now) || wci_turned_off())
                        return false;
        }
}

static bool
make_space(struct wci_ring *ring, uint64_t head, uint32_t target, uint32_t cells)
{
        const uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
        const uint32_t asked = target & ~WCI_UNCOUNTED;
        const bool drops = target != WCI_UNCOUNTED && (wci_words[asked] & WCI_WORD_DROP);
        enum wci_loss reason = WCI_LOSS_FULL;
        if (wci_control->policy == WCI_BLOCK && !drops && ring->budget_tail != tail &&
            wait_for_room(ring, head, cells, &reason))
                return true;
        if (wci_control->policy == WCI_DROP && tail_is_open(ring, tail) && abandoned(ring))
                close_abandoned(ring, tail);
        if (ring->pending_lost % 4096 == 0)
                wci_consumer_is_dead(wci_monotonic_ns());
        if (__atomic_load_n(&wci_control->closed, __ATOMIC_ACQUIRE))
                wci_turn_off();
        return lose(ring, target, reason);
}

/*
 * Make room for a record of `cells` behind head. True: look again (head may have moved); false: the record is lost and
 * counted. WCI_UNCOUNTED stands for the runtime's own records, which nobody counts.
 */
WCI_COLD bool
wci_ring_make_room(struct wci_ring *ring, uint32_t target, uint32_t cells)
{
        if (ring->lost_any && has_room(ring, ring->head, 1))
                tell_lost(ring);
        const uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
        const uint32_t index = (uint32_t)head;
        if (index + cells > ring->ready && ring->ready < ring->capacity) {
                lap_extend(ring);
                return true;
        }
        if (cells > ring->capacity / 2)
                return lose(ring, target, WCI_LOSS_MEMORY);
        if (index + cells > ring->capacity) {
                const uint32_t rest = ring->capacity - index;
                if (!has_room(ring, head, rest) && !make_space(ring, head, target, rest))
                        return false;
                if (wci_control->policy == WCI_OVERWRITE && (head >> 32) % 16 == 15 && wci_consumer_is_dead(wci_monotonic_ns()))
                        wci_turn_off();
                lap_close(ring, head);
                return true;
        }
        if (!has_room(ring, head, cells) && !make_space(ring, head, target, cells))
                return false;
        return true;
}
