/*
 * wct_ring.c: one record into a ring: room for it, its open headers, its commit.
 *
 * Called by wct_call.c and, for identity records, by wct_segment.c. The protocol is that of wc_abi.h and of the shim's
 * wci_ring.c, with one writer that nothing interrupts: no reservation is ever left open, and nobody waits for himself.
 * Rules: R4 as the shim (never block for ever: a consumer that moves nothing for block_ms, or is dead, is waited for no
 * longer), T2.
 *
 * Absent on purpose: whose the ring is (wct_segment.c).
 */
#define _GNU_SOURCE

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "wct_record.h"

#define DEAD_NS 200000000ull
#define SLICE_NS 2000000
#define STUCK_NS 5000000000ull /* no consumer, however alive it looks, holds the tracer longer */

uint64_t
wct_ring_slack(void)
{
        return wct_session.control->policy == WCI_OVERWRITE ? 1ull << 62 : 1ull << 32;
}

struct wci_count *
wct_ring_count(struct wci_ring *ring, uint32_t target)
{
        return (struct wci_count *)(void *)((char *)ring + WCT_PAGE) + target;
}

struct wci_cell *
wct_ring_cells(struct wci_ring *ring)
{
        static uint64_t offset;
        if (__builtin_expect(offset == 0, 0))
                offset = WCT_PAGE + wct_counts_size();
        return (struct wci_cell *)(void *)((char *)ring + offset);
}

/* --- waiting for the consumer ------------------------------------------------------------------------------------- */

static uint64_t
monotonic_ns(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t
tail_of(const struct wci_ring *ring)
{
        return __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
}

/* Slack is zero while a loss waits to be told: then every record comes by make_room. */
static bool
fits(const struct wci_ring *ring, uint64_t head, uint32_t cells, uint64_t slack)
{
        return (int64_t)(tail_of(ring) + slack - (head + cells)) >= 0;
}

/* A heartbeat that is old, and no such process: whoever starts programs from here on shall not record either. */
static bool
consumer_is_dead(uint64_t now)
{
        struct wci_control *control = wct_session.control;
        if (now < __atomic_load_n(&control->heartbeat, __ATOMIC_RELAXED) + DEAD_NS ||
            kill((pid_t)control->consumer_pid, 0) == 0 || errno != ESRCH)
                return false;
        __atomic_store_n(&control->closed, 1, __ATOMIC_RELEASE);
        return true;
}

static bool
is_closed(void)
{
        return wct_session.over || __atomic_load_n(&wct_session.control->closed, __ATOMIC_ACQUIRE) != 0;
}

static void
sleep_until_read(struct wci_ring *ring, uint64_t tail)
{
        const struct timespec slice = {0, SLICE_NS};
        const uint32_t wake = __atomic_load_n(&ring->wake, __ATOMIC_ACQUIRE);
        __atomic_store_n(&ring->waiting, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST) == tail)
                syscall(SYS_futex, &ring->wake, FUTEX_WAIT, wake, &slice, NULL, 0);
        __atomic_store_n(&ring->waiting, 0, __ATOMIC_RELAXED);
}

struct stall {
        uint64_t began;
        uint64_t progress; /* when the consumer last did anything */
        uint64_t tail, heartbeat;
};

static bool
stall_is_spent(struct stall *stall, uint64_t tail, uint64_t now)
{
        const uint64_t heartbeat = __atomic_load_n(&wct_session.control->heartbeat, __ATOMIC_RELAXED);
        if (tail != stall->tail)
                stall->began = now;
        if (tail != stall->tail || heartbeat != stall->heartbeat)
                stall->progress = now;
        stall->tail = tail;
        stall->heartbeat = heartbeat;
        return now - stall->progress > (uint64_t)wct_session.control->block_ms * 1000000u || now - stall->began > STUCK_NS;
}

/* Block policy: wait until the record fits. False: the budget is spent; it is not spent again until tail moves. */
static bool
wait_for_room(struct wci_ring *ring, uint64_t head, uint32_t cells)
{
        uint64_t now = monotonic_ns();
        const uint64_t before = wct_clock();
        struct stall stall = {now, now, tail_of(ring), __atomic_load_n(&wct_session.control->heartbeat, __ATOMIC_RELAXED)};
        bool room = false;
        ring->stalls++;
        for (;;) {
                const uint64_t tail = tail_of(ring);
                room = (int64_t)(tail + wct_ring_slack() - (head + cells)) >= 0;
                if (room)
                        break;
                sleep_until_read(ring, tail);
                now = monotonic_ns();
                if (stall_is_spent(&stall, tail_of(ring), now)) {
                        ring->budget_tail = stall.tail;
                        break;
                }
                if (consumer_is_dead(now) || is_closed())
                        break;
        }
        ring->stall_ticks += wct_clock() - before;
        return room;
}

/* --- losses ------------------------------------------------------------------------------------------------------- */

static void
tell_later(struct wci_ring *ring)
{
        ring->lost_any = 1;
        ring->slack = 0;
}

/* Count the record as lost. The next record that finds room tells the reader when and how many (LOST). */
bool
wct_ring_lose(struct wci_ring *ring, uint32_t target, enum wci_loss reason)
{
        if (target & WCT_UNCOUNTED)
                return false;
        wct_ring_count(ring, target)->lost++;
        wct_ring_count(ring, target)->returned++;
        ring->losses[reason]++;
        if (ring->pending_lost == 0)
                ring->pending_clock = wct_clock();
        ring->pending_lost++;
        tell_later(ring);
        return false;
}

static void
tell_lost(struct wci_ring *ring)
{
        const uint64_t lost = ring->pending_lost;
        ring->lost_any = 0;
        ring->slack = wct_ring_slack();
        ring->pending_lost = 0;
        if (lost == 0)
                return;
        const struct wct_open_record record = wct_ring_open(ring, WCT_UNCOUNTED, WCI_SYMBOL_NONE, WCI_LOST, 1);
        if (record.first == NULL) {
                ring->pending_lost = lost;
                tell_later(ring);
                return;
        }
        wct_event_begin(&record, ring->pending_clock, wct_clock() - ring->pending_clock, lost);
        wct_ring_commit(&record);
}

/* --- room --------------------------------------------------------------------------------------------------------- */

static uint64_t
first_header(uint32_t symbol, enum wci_kind kind, uint32_t count)
{
        return (uint64_t)symbol << 32 | (uint64_t)kind << 48 | (uint64_t)count << 56;
}

/* Close the lap: FILLER over what is left of it, then the next lap. Stamp 0 is never valid: its lap is left out. */
static void
lap_close(struct wci_ring *ring, uint64_t head)
{
        const uint32_t index = (uint32_t)head, lap = (uint32_t)(head >> 32);
        const uint32_t next = lap + 1 == UINT32_MAX ? 0 : lap + 1;
        __atomic_store_n(&ring->head, (uint64_t)next << 32, __ATOMIC_RELAXED);
        if (index == ring->capacity)
                return;
        struct wci_cell *cell = wct_ring_cells(ring) + index;
        __atomic_store_n((uint64_t *)(void *)&cell->header, first_header(WCI_SYMBOL_NONE, WCI_FILLER, ring->capacity - index),
                         __ATOMIC_RELAXED);
        /* The count before the stamp that vouches for it. */
        __atomic_store_n(&cell->header.stamp, lap + 1, __ATOMIC_RELEASE);
}

/* The first lap reaches pages not claimed yet: claim 64 KiB more, or let the ring end here. */
static void
lap_extend(struct wci_ring *ring)
{
        const uint32_t upto = (uint32_t)wct_smaller((uint64_t)ring->ready + WCI_CHUNK_CELLS, ring->capacity);
        if (wct_populate(wct_ring_cells(ring) + ring->ready, (size_t)(upto - ring->ready) * WCI_CELL_SIZE)) {
                ring->ready = upto;
                return;
        }
        wct_degrade(ring, WCI_LOSS_MEMORY);
        __atomic_store_n(&ring->capacity, ring->ready, __ATOMIC_RELEASE);
}

static bool
make_space(struct wci_ring *ring, uint64_t head, uint32_t target, uint32_t cells)
{
        const uint64_t tail = tail_of(ring);
        const bool drops = target != WCT_UNCOUNTED && (wct_session.words[target & ~WCT_UNCOUNTED] & WCI_WORD_DROP);
        const bool blocks = wct_session.control->policy == WCI_BLOCK && !drops;
        if (blocks && ring->budget_tail != tail && wait_for_room(ring, head, cells))
                return true;
        if (ring->pending_lost % 4096 == 0)
                consumer_is_dead(monotonic_ns());
        if (is_closed())
                wct_turn_off(ring);
        return wct_ring_lose(ring, target, WCI_LOSS_FULL);
}

/* True: look again (head may have moved); false: the record is lost and counted. */
static bool
make_room(struct wci_ring *ring, uint32_t target, uint32_t cells)
{
        if (ring->lost_any && fits(ring, ring->head, 1, wct_ring_slack()))
                tell_lost(ring);
        const uint64_t head = ring->head, slack = wct_ring_slack();
        const uint32_t index = (uint32_t)head;
        if (index + cells > ring->ready && ring->ready < ring->capacity) {
                lap_extend(ring);
                return true;
        }
        if (cells > ring->capacity / 2)
                return wct_ring_lose(ring, target, WCI_LOSS_MEMORY);
        if (index + cells > ring->capacity) {
                const uint32_t rest = ring->capacity - index;
                if (!fits(ring, head, rest, slack) && !make_space(ring, head, target, rest))
                        return false;
                const bool looks = wct_session.control->policy == WCI_OVERWRITE && (head >> 32) % 16 == 15;
                if (looks && consumer_is_dead(monotonic_ns()))
                        wct_turn_off(ring);
                lap_close(ring, head);
                return true;
        }
        return fits(ring, head, cells, slack) || make_space(ring, head, target, cells);
}

struct wct_open_record
wct_ring_open(struct wci_ring *ring, uint32_t target, uint32_t symbol, enum wci_kind kind, uint32_t cells)
{
        uint64_t head = ring->head;
        while (__builtin_expect((uint32_t)head + cells > ring->ready || !fits(ring, head, cells, ring->slack), 0)) {
                if (!make_room(ring, target, cells))
                        return (struct wct_open_record){NULL, 0, 0};
                head = ring->head;
        }
        __atomic_store_n(&ring->head, head + cells, __ATOMIC_RELAXED);
        struct wci_cell *cell = wct_ring_cells(ring) + (uint32_t)head;
        /* Stamp 0 first, so that an old stamp never vouches for a new body. */
        __atomic_store_n((uint64_t *)(void *)&cell->header, first_header(symbol, kind, cells), __ATOMIC_RELAXED);
        for (uint32_t i = 1; i < cells; i++)
                __atomic_store_n((uint64_t *)(void *)&cell[i].header, first_header(symbol, WCI_CONTINUATION, i),
                                 __ATOMIC_RELAXED);
        /* Headers before bodies. */
        __atomic_thread_fence(__ATOMIC_RELEASE);
        return (struct wct_open_record){(struct wci_first *)(void *)cell, (uint32_t)(head >> 32) + 1, cells};
}

void
wct_ring_commit(const struct wct_open_record *record)
{
        struct wci_cell *cell = (struct wci_cell *)(void *)record->first;
        /* Bodies before stamps, and the first cell's last: it vouches for the others. */
        for (uint32_t i = record->cells; --i != 0;)
                __atomic_store_n(&cell[i].header.stamp, record->stamp, __ATOMIC_RELEASE);
        __atomic_store_n(&cell->header.stamp, record->stamp, __ATOMIC_RELEASE);
}
