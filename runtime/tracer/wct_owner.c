/*
 * wct_owner.c: whose each ring is.
 *
 * Called by wct_call.c (a thread's first record), wct_ask.c and wct_tracee.c (a thread ends). Rules: the writer of all rings is
 * this one thread, so that whose a ring is needs no atomics: the owner words are for the reader, and stay as they are when the
 * thread has ended.
 *
 * A ring whose last owner ended inside of a call shows that call as unfinished for as long as nobody else takes the ring:
 * it is taken only when no other is left.
 *
 * Absent on purpose: room in a ring (wct_ring.c), segments (wct_segment.c).
 */
#include "wct_segment.h"

#include <string.h>

#define RETRY_CALLS 1024u /* calls without a ring that are let pass before one is looked for again */

static struct wci_ring *
ring_at(const struct wct_segment *segment, uint32_t index)
{
        return (struct wci_ring *)(void *)((char *)segment->map + segment->at.first_ring + index * segment->at.stride);
}

bool
wct_ring_is_live(const struct wct_tracee *tracee)
{
        return tracee->ring != NULL && (wct_segment_has(tracee->process->segment, tracee->ring) || wct_segment_of(tracee->ring) != NULL);
}

void
wct_degrade(struct wci_ring *ring, enum wci_loss reason)
{
        struct wct_segment *segment = wct_segment_of(ring);
        if (segment != NULL && segment->map->degraded == 0)
                segment->map->degraded = (uint32_t)reason + 1;
}

void
wct_turn_off(struct wci_ring *ring)
{
        struct wct_segment *segment = wct_segment_of(ring);
        wct_session.over = true;
        if (segment != NULL)
                __atomic_store_n(&segment->map->closed, 1, __ATOMIC_RELAXED);
}

/* First use of a ring in its segment: its header, its counts and the first chunk of cells. */
static bool
ring_prepare(struct wci_ring *ring)
{
        const uint32_t cells = wct_shape.ring_cells;
        const uint32_t first = cells < WCI_CHUNK_CELLS ? cells : WCI_CHUNK_CELLS;
        if (!wct_populate(ring, wct_counts_used(wct_plan.head->targets)) ||
            !wct_populate(wct_ring_cells(ring), (size_t)first * WCI_CELL_SIZE))
                return false;
        ring->ready = first;
        ring->slack = wct_ring_slack();
        ring->budget_tail = UINT64_MAX; /* no position: nothing is spent yet */
        __atomic_store_n(&ring->capacity, cells, __ATOMIC_RELEASE);
        return true;
}

/* One that has been used and shows no call, then a new one, then any that nobody has. */
static struct wci_ring *
ring_find(struct wct_segment *segment, uint32_t *index, enum wci_loss *why)
{
        const uint32_t used = segment->used;
        for (*index = 0; *index < used; ++*index)
                if (!segment->taken[*index] && ring_at(segment, *index)->depth == 0)
                        return ring_at(segment, *index);
        *why = used == segment->at.rings ? WCI_LOSS_RING : WCI_LOSS_MEMORY;
        if (used < segment->at.rings && ring_prepare(ring_at(segment, used))) {
                *index = used;
                segment->used = used + 1;
                __atomic_store_n(&segment->map->rings_used, segment->used, __ATOMIC_RELEASE);
                return ring_at(segment, used);
        }
        for (*index = 0; *index < used; ++*index)
                if (!segment->taken[*index])
                        return ring_at(segment, *index);
        if (segment->map->degraded == 0)
                segment->map->degraded = (uint32_t)*why + 1;
        return NULL;
}

/* An identity record: from here on the ring's records are those of (pid, tid). */
static void
identity_write(struct wci_ring *ring, const struct wct_tracee *tracee, uint32_t reason)
{
        const enum wci_kind kind = reason != 0 ? WCI_PROCESS : WCI_THREAD;
        const struct wct_open_record record = wct_ring_open(ring, WCT_UNCOUNTED, WCI_SYMBOL_NONE, kind, 1);
        if (record.first == NULL)
                return;
        const struct wci_identity identity = {.pid = (uint32_t)tracee->process->pid,
                                              .tid = (uint32_t)tracee->tid,
                                              .parent = reason != 0 ? (uint32_t)tracee->process->parent : 0,
                                              .reason = reason};
        wct_event_begin(&record, wct_clock(), WCI_NO_DURATION, 0);
        memcpy(record.first->args, &identity, sizeof identity);
        wct_ring_commit(&record);
}

static void
ring_settle(struct wci_ring *ring, const struct wct_tracee *tracee, uint32_t reason)
{
        const uint32_t pid = (uint32_t)tracee->process->pid, tid = (uint32_t)tracee->tid;
        struct wci_claim *claim = &ring->claim[ring->claims % WCI_CLAIMS];
        claim->position = ring->head;
        claim->pid = pid;
        claim->tid = tid;
        for (uint32_t i = 0; i < wct_plan.head->targets && ring->claims != 0; i++)
                wct_ring_count(ring, i)->phase = wct_ring_count(ring, i)->offered = 0;
        ring->depth = 0;
        ring->record_pid = pid;
        __atomic_store_n((uint64_t *)(void *)&ring->owner_pid, (uint64_t)tid << 32 | pid, __ATOMIC_RELEASE);
        __atomic_store_n(&ring->claims, ring->claims + 1, __ATOMIC_RELEASE);
        identity_write(ring, tracee, reason);
}

bool
wct_ring_claim(struct wct_tracee *tracee, uint32_t reason)
{
        struct wct_segment *segment = tracee->process->segment;
        uint32_t index;
        enum wci_loss why;
        if (segment == NULL || wct_session.over)
                return false;
        if (wct_segment_has(segment, tracee->ring))
                return true;
        wct_ring_leave(tracee);
        struct wci_ring *ring = ring_find(segment, &index, &why);
        if (ring == NULL)
                return false;
        segment->taken[index] = true;
        segment->claimed = true;
        tracee->ring = ring;
        ring_settle(ring, tracee, reason);
        return true;
}

void
wct_ring_leave(struct wct_tracee *tracee)
{
        struct wct_segment *segment = tracee->ring == NULL ? NULL : wct_segment_of(tracee->ring);
        if (segment != NULL) {
                const uint64_t offset = (uint64_t)((char *)tracee->ring - (char *)segment->map) - segment->at.first_ring;
                segment->taken[offset / segment->at.stride] = false;
                segment->retry = 0;
        }
        tracee->ring = NULL;
}

/* No ring for this thread: the call is counted where all such calls are, and reported as lost. */
static void
count_without_ring(struct wct_segment *segment, uint32_t target)
{
        const enum wci_loss reason = segment->map->degraded == WCI_LOSS_MEMORY + 1 ? WCI_LOSS_MEMORY : WCI_LOSS_RING;
        struct wci_count *count = (struct wci_count *)(void *)((char *)segment->map + WCT_PAGE) + target;
        count->calls++;
        count->returned++;
        count->lost++;
        segment->map->shared_losses[reason]++;
}

static uint32_t
reason_of(const struct wct_tracee *tracee)
{
        if (!tracee->process->segment->claimed)
                return WCI_PROCESS_EXEC;
        if (!tracee->process->forked || tracee->tid != tracee->process->pid)
                return 0;
        return tracee->process->shares ? WCI_PROCESS_VFORK : WCI_PROCESS_FORK;
}

struct wci_ring *
wct_ring_for_call(struct wct_tracee *tracee, uint32_t target)
{
        struct wct_segment *segment = tracee->process->segment;
        if (segment == NULL)
                return NULL;
        if (__builtin_expect(wct_segment_has(segment, tracee->ring), 1))
                return tracee->ring;
        if (segment->retry == 0) {
                if (wct_ring_claim(tracee, reason_of(tracee)))
                        return tracee->ring;
                segment->retry = RETRY_CALLS;
        } else {
                segment->retry--;
        }
        if (!wct_session.over)
                count_without_ring(segment, target);
        return NULL;
}

/* --- questions ---------------------------------------------------------------------------------------------------- */

struct wci_question *
wct_ring_question(struct wci_ring *ring, uint64_t *hint)
{
        const struct wct_segment *segment = wct_segment_of(ring);
        if (segment == NULL || !wct_shape.asks)
                return NULL;
        char *level = (char *)ring + segment->at.stride - WCI_ASK_LEVELS * WCI_ASK_SIZE;
        if (ring->ask_ready == 0 && !wct_populate(level, WCI_ASK_SIZE))
                return NULL;
        ring->ask_ready = 1;
        const uint64_t offset = (uint64_t)((char *)ring - (char *)segment->map) - segment->at.first_ring;
        *hint = WCI_HINT(segment->map->pid, offset / segment->at.stride, 0);
        return (struct wci_question *)(void *)level;
}
