/*
 * wci_ring.c: the slow paths of a ring: whose it is, and room in it.
 *
 * Called by the inline record path (wci_shim.h) when a thread has no ring, when a lap ends, when pages or space are
 * missing.  Rules: R1 (raw system calls only), R4 (never block forever), R8 (fork, vfork), R9 (quiet: no system call at
 * all), R12 (who may take a ring).  A thread's records are attributed in band: the first record that an owner writes is
 * PROCESS or THREAD.
 * Absent on purpose: a hook at thread exit. Interposed calls still come after any key destructor.
 */
#include "wci_handler.h"
#include "wci_runtime.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>

#define WCI_RETRY_CALLS 1024u /* calls that a thread without a ring lets pass before it looks again */
#define WCI_DEAD_NS 200000000ull
#define WCI_SLICE_NS 2000000ull
#define WCI_STUCK_NS 5000000000ull /* R4: no consumer, however alive it looks, may hold a program longer */

static struct wci_ring *
ring_at(uint32_t index)
{
        return (struct wci_ring *)((char *)wci_segment + wci_segment->first_ring + index * wci_segment->ring_stride);
}

static uint64_t
owner_word(uint32_t pid, uint32_t tid)
{
        return (uint64_t)tid << 32 | pid;
}

static bool
ring_take(struct wci_ring *ring, uint64_t expected, uint64_t desired)
{
        return __atomic_compare_exchange_n((uint64_t *)&ring->owner_pid, &expected, desired, false, __ATOMIC_ACQ_REL,
                                           __ATOMIC_RELAXED);
}

static bool
owner_is_dead(uint64_t owner)
{
        return wci_syscall3(SYS_tgkill, (uint32_t)owner, owner >> 32, 0) == -ESRCH;
}

/* Claim the pages of the ring up to the cell index `upto`; false when there is no memory or no budget for them. */
static bool
populate(struct wci_ring *ring, uint32_t from, uint32_t upto)
{
        char *start = (char *)(wci_ring_cells(ring) + from);
        return wci_populate(start, (upto - from) * sizeof(struct wci_cell));
}

/* How far head may run before tail. */
static uint64_t
slack_normal(void)
{
        return wci_control->policy == WCI_OVERWRITE ? 1ull << 62 : 1ull << 32;
}

static bool
has_room(const struct wci_ring *ring, uint64_t head, uint32_t cells)
{
        const uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
        return (int64_t)(tail + slack_normal() - (head + cells)) >= 0;
}

/* First use of a ring in this segment: its header, its counts and the first chunk of cells. */
static bool
ring_prepare(struct wci_ring *ring)
{
        if (ring->capacity != 0)
                return true;
        if (wci_quiet)
                return false;
        char *cells = (char *)wci_ring_cells(ring);
        if (!wci_populate(ring, (size_t)(cells - (char *)ring)) || !populate(ring, 0, WCI_CHUNK_CELLS))
                return false;
        ring->ready = WCI_CHUNK_CELLS;
        ring->slack = slack_normal();
        ring->budget_tail = UINT64_MAX; /* no position: nothing is spent yet */
        ring->capacity = wci_segment->ring_cells;
        return true;
}

static void
rings_used_raise(uint32_t index)
{
        uint32_t used = __atomic_load_n(&wci_segment->rings_used, __ATOMIC_RELAXED);
        while (used <= index && !__atomic_compare_exchange_n(&wci_segment->rings_used, &used, index + 1, false,
                                                             __ATOMIC_RELEASE, __ATOMIC_RELAXED))
                ;
}

/*
 * R12: a ring with the claimer's own (pid, tid) first, stale by definition; then one whose owner is dead, as far as a
 * few probes tell (so that thread churn reuses memory); then a free one; then any whose owner is dead.
 */
static struct wci_ring *
ring_find(uint64_t self)
{
        const uint32_t used = __atomic_load_n(&wci_segment->rings_used, __ATOMIC_ACQUIRE);
        for (uint32_t i = 0; i < used; i++)
                if (*(uint64_t *)&ring_at(i)->owner_pid == self)
                        return ring_at(i);
        const uint32_t first = (uint32_t)(self >> 32);
        for (uint32_t probe = 0; !wci_quiet && probe < 8 && probe < used; probe++) {
                struct wci_ring *ring = ring_at((first + probe) % used);
                const uint64_t owner = *(volatile uint64_t *)&ring->owner_pid;
                if (owner != 0 && owner_is_dead(owner) && ring_take(ring, owner, self))
                        return ring;
        }
        for (uint32_t i = 0; i < wci_segment->rings; i++) {
                struct wci_ring *ring = ring_at(i);
                if (i >= used && wci_quiet)
                        break;
                if (i >= used && !wci_populate(ring, 4096))
                        break;
                if (*(volatile uint64_t *)&ring->owner_pid == 0 && ring_take(ring, 0, self)) {
                        rings_used_raise(i);
                        return ring;
                }
        }
        for (uint32_t i = 0; !wci_quiet && i < used; i++) {
                struct wci_ring *ring = ring_at(i);
                const uint64_t owner = *(volatile uint64_t *)&ring->owner_pid;
                if (owner != 0 && owner_is_dead(owner) && ring_take(ring, owner, self))
                        return ring;
        }
        return NULL;
}

/* Write an identity record: from here on the ring's records are those of (pid, tid). */
static void
write_identity(struct wci_ring *ring, uint32_t kind, uint32_t pid, uint32_t tid, uint32_t reason)
{
        uint32_t stamp;
        struct wci_cell *cell = wci_ring_reserve(ring, UINT32_MAX, 1, &stamp);
        ring->record_pid = pid;
        if (cell == NULL)
                return;
        wci_cells_open(cell, WCI_SYMBOL_NONE, kind, 1);
        struct wci_first *first = (struct wci_first *)cell;
        first->clock = wci_clock();
        first->duration = WCI_NO_DURATION;
        first->result = 0;
        first->error = 0;
        struct wci_identity *identity = (struct wci_identity *)first->args;
        identity->pid = pid;
        identity->tid = tid;
        identity->reason = reason;
        identity->parent = kind == WCI_PROCESS ? (uint32_t)wci_syscall0(SYS_getppid) : 0;
        const struct wci_record_head head = {first, stamp, 1};
        wci_commit(&head);
}

static void
ring_settle(struct wci_ring *ring, uint32_t pid, uint32_t tid, uint32_t reason)
{
        struct wci_claim *claim = &ring->claim[ring->claims % WCI_CLAIMS];
        claim->position = ring->head;
        claim->pid = pid;
        claim->tid = tid;
        for (uint32_t i = 0; wci_samples && i < wci_targets; i++)
                wci_ring_counts(ring, i)->phase = 0;
        ring->depth = 0;
        ring->record_pid = pid;
        __atomic_store_n(&ring->claims, ring->claims + 1, __ATOMIC_RELEASE);
        write_identity(ring, reason != 0 ? WCI_PROCESS : WCI_THREAD, pid, tid, reason);
}

static struct wci_ring *
ring_claim(uint32_t reason)
{
        if (wci_segment == NULL || wci_quiet)
                return NULL;
        const uint32_t pid = wci_alive->pid;
        const uint32_t tid = (uint32_t)wci_syscall0(SYS_gettid);
        struct wci_ring *ring = ring_find(owner_word(pid, tid));
        if (ring == NULL || !ring_prepare(ring)) {
                if (ring != NULL)
                        __atomic_store_n((uint64_t *)&ring->owner_pid, 0, __ATOMIC_RELEASE);
                wci_degrade(ring == NULL ? WCI_LOSS_RING : WCI_LOSS_MEMORY);
                return NULL;
        }
        ring_settle(ring, pid, tid, reason);
        return ring;
}

/* A vfork child writes into its parent's ring, under its own pid; the parent's next call ends that. */
static struct wci_ring *
ring_in_vfork(void)
{
        struct wci_ring *ring = wci_tls.vfork;
        if (wci_quiet)
                return ring;
        const uint32_t pid = (uint32_t)wci_syscall0(SYS_getpid);
        if (pid == ring->owner_pid) {
                wci_tls.vfork = NULL;
                wci_tls.ring = ring;
        }
        if (ring->record_pid != pid)
                write_identity(ring, pid == ring->owner_pid ? WCI_THREAD : WCI_PROCESS, pid,
                               pid == ring->owner_pid ? ring->owner_tid : pid,
                               pid == ring->owner_pid ? 0 : WCI_PROCESS_VFORK);
        return ring;
}

/* No ring for this thread: the call is counted where all such calls are, and reported as lost. */
static struct wci_ring *
count_without_ring(uint32_t target, enum wci_loss reason)
{
        if (wci_segment == NULL || target == UINT32_MAX)
                return NULL;
        struct wci_count *count =
            (struct wci_count *)((char *)wci_segment + wci_segment->shared_counts) + target;
        __atomic_fetch_add(&count->calls, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&count->returned, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&count->lost, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&wci_segment->shared_losses[reason], 1, __ATOMIC_RELAXED);
        return NULL;
}

/* The thread runs a user handler. Its calls are counted where the handler's own call is. */
static struct wci_ring *
count_suppressed(uint32_t target)
{
        struct wci_ring *ring = wci_tls.suspended;
        if (ring != NULL && ring->owner_pid == wci_alive->pid && target != UINT32_MAX) {
                wci_add_unlocked(&wci_ring_counts(ring, target)->calls, 1);
                wci_add_unlocked(&wci_ring_counts(ring, target)->suppressed, 1);
        }
        return NULL;
}

WCI_COLD struct wci_ring *
wci_ring_acquire(uint32_t target, uintptr_t frame)
{
        if (wci_alive == NULL)
                return NULL;
        if (wci_tls.handler_frame != 0) {
                if (!wci_handler_left(frame))
                        return count_suppressed(target);
                wci_handler_forget();
                if (wci_tls.ring != NULL && wci_tls.ring->owner_pid == wci_alive->pid)
                        return wci_tls.ring;
        }
        uint32_t reason = 0;
        if (wci_alive->pid == 0) {
                if (wci_quiet)
                        return count_without_ring(target, WCI_LOSS_QUIET);
                wci_alive->pid = (uint32_t)wci_syscall0(SYS_getpid);
                reason = WCI_PROCESS_FORK;
                wci_tls.vfork = NULL;
                wci_tls.retry = 0;
        }
        if (wci_tls.vfork != NULL && wci_tls.vfork->owner_pid == wci_alive->pid)
                return ring_in_vfork();
        if (wci_tls.retry != 0) {
                wci_tls.retry--;
                return count_without_ring(target, WCI_LOSS_RING);
        }
        wci_tls.error = wci_errno_location();
        wci_tls.ring = ring_claim(reason);
        if (wci_tls.ring != NULL)
                return wci_tls.ring;
        wci_tls.retry = WCI_RETRY_CALLS;
        return count_without_ring(target, wci_quiet ? WCI_LOSS_QUIET : WCI_LOSS_RING);
}

/* The process's first record belongs to the thread that runs the constructor. */
void
wci_ring_first(void)
{
        wci_tls.error = wci_errno_location();
        wci_tls.ring = ring_claim(WCI_PROCESS_EXEC);
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
        struct wci_cell *cell = wci_ring_cells(ring) + index;
        wci_cells_open(cell, WCI_SYMBOL_NONE, WCI_FILLER, 1);
        cell->header.count = (uint8_t)(ring->capacity - index);
        WCI_ORDER(); /* the count before the stamp that vouches for it */
        __atomic_store_n(&cell->header.stamp, lap + 1, __ATOMIC_RELEASE);
}

/* The first lap reaches pages not claimed yet: claim 64 KiB more, or let the ring end here. */
static void
lap_extend(struct wci_ring *ring)
{
        uint32_t upto = ring->ready + WCI_CHUNK_CELLS;
        if (upto > ring->capacity)
                upto = ring->capacity;
        if (!wci_quiet && populate(ring, ring->ready, upto)) {
                ring->ready = upto;
        } else {
                wci_degrade(WCI_LOSS_MEMORY);
                ring->capacity = ring->ready;
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
        if (target == UINT32_MAX)
                return false;
        wci_add_unlocked(&wci_ring_counts(ring, target)->lost, 1);
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
        ring->slack = slack_normal();
        const uint64_t lost = __atomic_exchange_n(&ring->pending_lost, 0, __ATOMIC_RELAXED);
        struct wci_cell *cell = lost == 0 ? NULL : wci_ring_reserve(ring, UINT32_MAX, 1, &stamp);
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
 * Is the cell that the reader waits for one that this thread reserved and has not committed (we are in a signal handler
 * that interrupted the wrapper)? Then waiting would wait for ourselves.
 */
static bool
tail_is_open(struct wci_ring *ring, uint64_t tail)
{
        const uint32_t index = (uint32_t)tail;
        if (index >= ring->capacity)
                return false;
        const uint32_t stamp = __atomic_load_n(&wci_ring_cells(ring)[index].header.stamp, __ATOMIC_ACQUIRE);
        return stamp != (uint32_t)(tail >> 32) + 1;
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

/* A dead consumer is noticed here: a heartbeat older than 200 ms and no such process. Recording turns itself off. */
bool
wci_consumer_is_dead(uint64_t now)
{
        const uint64_t heartbeat = __atomic_load_n(&wci_control->heartbeat, __ATOMIC_RELAXED);
        if (wci_quiet || now < heartbeat + WCI_DEAD_NS)
                return false;
        if (wci_syscall3(SYS_kill, wci_control->consumer_pid, 0, 0) != -ESRCH)
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
        struct wci_stall stall = {now, now, ring->tail, wci_control->heartbeat};
        wci_add_unlocked(&ring->stalls, 1);
        while (!has_room(ring, head, cells)) {
                const uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
                if (tail_is_open(ring, tail)) {
                        *reason = WCI_LOSS_NESTED;
                        return false;
                }
                if (wci_quiet)
                        __builtin_ia32_pause();
                else
                        sleep_until_read(ring, tail);
                now = wci_monotonic_ns();
                stall_note_progress(&stall, __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE), now);
                if (stall_is_spent(ring, &stall, now) || wci_consumer_is_dead(now) || wci_turned_off())
                        return false;
        }
        return true;
}

static bool
make_space(struct wci_ring *ring, uint64_t head, uint32_t target, uint32_t cells)
{
        const uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
        const bool drops = target != UINT32_MAX && (wci_words[target] & WCI_WORD_DROP);
        enum wci_loss reason = WCI_LOSS_FULL;
        if (wci_control->policy == WCI_BLOCK && !drops && ring->budget_tail != tail &&
            wait_for_room(ring, head, cells, &reason))
                return true;
        if (wci_control->policy != WCI_BLOCK && ring->pending_lost % 4096 == 0)
                wci_consumer_is_dead(wci_monotonic_ns());
        if (__atomic_load_n(&wci_control->closed, __ATOMIC_ACQUIRE))
                wci_turn_off();
        return lose(ring, target, reason);
}

/*
 * Make room for a record of `cells` behind head. True: look again (head may have moved); false: the record is lost and
 * counted. target UINT32_MAX stands for the runtime's own records, which nobody counts.
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

WCI_COLD bool
wci_sample_out(struct wci_count *count, uint64_t word)
{
        wci_add_unlocked(&count->phase, 1);
        if (count->phase % WCI_WORD_FREQUENCY(word) == 0)
                return false;
        wci_add_unlocked(&count->sampled, 1);
        return true;
}
