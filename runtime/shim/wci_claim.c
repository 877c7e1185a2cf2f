/*
 * wci_claim.c: whose a ring is: the slow path of a thread that has none.
 *
 * Called by the inline record path (wci_shim.h) at a thread's first call, in a fork child, around vfork and in user
 * handlers.  Rules: R1 (raw system calls only), R8 (fork, vfork), R9 (quiet: no system call at all), R12 (who may take a
 * ring).  A thread's records are attributed in band: the first record that an owner writes is PROCESS or THREAD.
 * Absent on purpose: a hook at thread exit. Interposed calls still come after any key destructor.
 */
#include "wci_control.h"
#include "wci_handler.h"
#include "wci_runtime.h"

#include <errno.h>

#define WCI_RETRY_CALLS 1024u /* calls that a thread without a ring lets pass before it looks again */

static struct wci_ring *
ring_at(uint32_t index)
{
        return (struct wci_ring *)((char *)wci_segment + wci_segment->first_ring + index * wci_segment->ring_stride);
}

/*
 * A process in another pid namespace than the segment's first one (it was forked there; static, so that its own children
 * know): it sees other pids than we, or the same for other processes. It takes over no ring but a free one, and the mark
 * in its owner word keeps others from taking its ring: for such a tid tgkill says EINVAL, not ESRCH.
 */
#define WCI_FOREIGN_TID 0x80000000u
static bool foreign;
static char home[64]; /* the first process's namespace, as /proc names it */

static bool
namespace_read(char *name)
{
        const long length = wci_syscall3(SYS_readlink, "/proc/self/ns/pid", name, sizeof home - 1);
        if (length > 0)
                name[length] = '\0';
        return length > 0;
}

/* In a fork child. Without /proc a parent outside of our namespace still tells: its pid is 0. */
static void
namespace_look(void)
{
        char name[sizeof home];
        foreign = foreign || wci_syscall0(SYS_getppid) == 0 ||
                  (home[0] != '\0' && namespace_read(name) && !(wci_text_starts(name, home) && wci_text_starts(home, name)));
        if (foreign)
                wci_consumer_look();
}

static uint64_t
owner_word(uint32_t pid, uint32_t tid)
{
        if (foreign)
                tid |= WCI_FOREIGN_TID;
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

/* First use of a ring in this segment: its header, its counts and the first chunk of cells. */
static bool
ring_prepare(struct wci_ring *ring)
{
        if (ring->capacity != 0)
                return true;
        if (wci_quiet)
                return false;
        char *cells = (char *)wci_ring_cells(ring);
        if (!wci_populate(ring, (size_t)(cells - (char *)ring)) || !wci_ring_populate(ring, 0, WCI_CHUNK_CELLS))
                return false;
        ring->ready = WCI_CHUNK_CELLS;
        ring->slack = wci_ring_slack();
        ring->budget_tail = UINT64_MAX; /* no position: nothing is spent yet */
        ring->budget_tail = WCI_NO_TAIL;
        __atomic_store_n(&ring->capacity, wci_segment->ring_cells, __ATOMIC_RELEASE);
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
        for (uint32_t i = 0; i < used && !foreign; i++)
                if (*(uint64_t *)&ring_at(i)->owner_pid == self)
                        return ring_at(i);
        const uint32_t first = (uint32_t)(self >> 32);
        for (uint32_t probe = 0; !wci_quiet && !foreign && probe < 8 && probe < used; probe++) {
                struct wci_ring *ring = ring_at((first + probe) % used);
                const uint64_t owner = *(volatile uint64_t *)&ring->owner_pid;
                if (owner != 0 && owner_is_dead(owner) && ring_take(ring, owner, self))
                        return ring;
        }
        for (uint32_t i = 0; i < wci_segment->rings; i++) {
                struct wci_ring *ring = ring_at(i);
                if (i >= used && wci_quiet)
                        break;
                if (i >= used && !wci_populate(ring, 4096)) {
                        wci_degrade(WCI_LOSS_MEMORY);
                        break;
                }
                if (*(volatile uint64_t *)&ring->owner_pid == 0 && ring_take(ring, 0, self)) {
                        rings_used_raise(i);
                        return ring;
                }
        }
        for (uint32_t i = 0; !wci_quiet && !foreign && i < used; i++) {
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
        struct wci_cell *cell = wci_ring_reserve(ring, WCI_UNCOUNTED, 1, &stamp);
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
        for (uint32_t i = 0; (wci_samples || ring->sampled) && i < wci_targets; i++)
                wci_ring_counts(ring, i)->phase = wci_ring_counts(ring, i)->offered = 0;
        ring->depth = ring->ask_depth = 0;
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
        if (pid != ring->owner_pid && wci_control->follow == WCI_FOLLOW_NONE)
                return NULL;
        if (pid == ring->owner_pid) {
                wci_tls.vfork = NULL;
                wci_tls.ring = ring;
        }
        if (ring->record_pid != pid)
                write_identity(ring, pid == ring->owner_pid ? WCI_THREAD : WCI_PROCESS, pid,
                               pid == ring->owner_pid ? ring->owner_tid & ~WCI_FOREIGN_TID : pid,
                               pid == ring->owner_pid ? 0 : WCI_PROCESS_VFORK);
        return ring;
}

/* No ring for this thread: the call is counted where all such calls are, and reported as lost. */
static struct wci_ring *
count_without_ring(uint32_t target, enum wci_loss reason)
{
        if (wci_segment == NULL || (target & WCI_UNCOUNTED))
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
        if (ring != NULL && ring->owner_pid == wci_alive->pid && !(target & WCI_UNCOUNTED)) {
                wci_add_unlocked(&wci_ring_counts(ring, target)->calls, 1);
                wci_add_unlocked(&wci_ring_counts(ring, target)->suppressed, 1);
        }
        return NULL;
}

static enum wci_loss
why_no_ring(void)
{
        if (wci_quiet)
                return WCI_LOSS_QUIET;
        const bool memory = wci_segment != NULL && wci_segment->degraded == WCI_LOSS_MEMORY + 1;
        return memory ? WCI_LOSS_MEMORY : WCI_LOSS_RING;
}

/* --follow none: a fork child's calls are nobody's. */
static bool
is_unfollowed_child(void)
{
        return wci_control->follow == WCI_FOLLOW_NONE && wci_segment != NULL && wci_segment->pid != wci_alive->pid;
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
                namespace_look();
                reason = WCI_PROCESS_FORK;
                wci_tls.vfork = NULL;
                wci_tls.retry = 0;
        }
        if (is_unfollowed_child()) {
                __atomic_store_n(&wci_words, wci_no_words, __ATOMIC_RELAXED);
                return NULL;
        }
        if (wci_tls.vfork != NULL && wci_tls.vfork->owner_pid == wci_alive->pid)
                return ring_in_vfork();
        if (wci_tls.retry != 0) {
                wci_tls.retry--;
                return count_without_ring(target, why_no_ring());
        }
        wci_tls.error = wci_errno_location();
        wci_tls.ring = ring_claim(reason);
        if (wci_tls.ring != NULL && reason == WCI_PROCESS_FORK)
                wci_control_behind();
        if (wci_tls.ring != NULL)
                return wci_tls.ring;
        wci_tls.retry = WCI_RETRY_CALLS;
        return count_without_ring(target, why_no_ring());
}

/* The process's first record belongs to the thread that runs the constructor. */
void
wci_ring_first(void)
{
        namespace_read(home);
        wci_consumer_look();
        wci_tls.error = wci_errno_location();
        wci_tls.ring = ring_claim(WCI_PROCESS_EXEC);
}
