/*
 * wct_segment.c: segments of the session, and whose each ring is.
 *
 * Called by wct_process.c (an image begins, is shared by a fork, ends), wct_tracee.c (a thread ends) and wct_call.c (a
 * thread's first record). What a segment looks like is told in wc_abi.h; the consumer cannot tell who wrote it. Rules: pages
 * are claimed with MADV_POPULATE_WRITE before they are touched, which fails where a write would raise SIGBUS, and within the
 * session's budget: of the counts, those of the targets that there are. A segment has a place for those of all that can be
 * added, which costs nothing until then. The writer of all rings is this one thread, so that whose a ring is needs no
 * atomics: the owner words are for the reader, and stay as they are when the thread has ended.
 *
 * A ring whose last owner ended inside of a call shows that call as unfinished for as long as nobody else takes the ring:
 * it is taken only when no other is left.
 *
 * Absent on purpose: room in a ring (wct_ring.c).
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wct_record.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define RETRY_CALLS 1024u /* calls without a ring that are let pass before one is looked for again */

/* Kept here: programs have the control page mapped, and could write over it by mistake. */
static struct {
        uint32_t targets, ring_cells, rings;
} session;

struct geometry {
        uint64_t stride, first_ring, size;
        uint32_t rings;
};

struct wct_segment {
        struct wct_segment *next;
        struct wci_segment *map;
        struct geometry at;
        uint32_t used; /* rings ever taken */
        uint32_t users;
        uint32_t retry;
        bool claimed; /* ever: the first claim is the image's own */
        bool *taken;  /* by ring */
};

static struct wct_segment *segments;

/* --- pages -------------------------------------------------------------------------------------------------------- */

/* Linux before 5.14: the kernel adds 0 to a word of each page, which takes the page as a write would (see wci_segment.c). */
static bool
populate_by_word(char *start, size_t size)
{
        const long add_nothing = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);
        for (char *page = start; page < start + size; page += WCT_PAGE)
                if (syscall(SYS_futex, page, FUTEX_WAKE_OP, 0, 0, page, add_nothing) < 0)
                        return false;
        return true;
}

bool
wct_populate(void *start, size_t size)
{
        struct wci_control *control = wct_session.control;
        const uint64_t used = __atomic_fetch_add(&control->used, size, __ATOMIC_RELAXED);
        if (used + size <= control->budget && (madvise(start, size, MADV_POPULATE_WRITE) == 0 ||
                                               (errno == EINVAL && populate_by_word(start, size))))
                return true;
        __atomic_fetch_sub(&control->used, size, __ATOMIC_RELAXED);
        return false;
}

/* --- a segment comes and goes ------------------------------------------------------------------------------------- */

static uint64_t
pages(uint64_t size)
{
        return (size + WCT_PAGE - 1) & ~(uint64_t)(WCT_PAGE - 1);
}

uint64_t
wct_counts_size(void)
{
        return pages(session.targets * sizeof(struct wci_count));
}

/* The page in front of them, and the counts of so many targets. */
static uint64_t
counts_used(uint32_t targets)
{
        return WCT_PAGE + pages(targets * sizeof(struct wci_count));
}

static void
session_look(void)
{
        if (session.rings != 0)
                return;
        session.targets = wct_session.control->targets + WCI_CONTROL_ROOM;
        session.ring_cells = wct_session.control->ring_cells;
        session.rings = wct_session.control->rings;
}

static struct geometry
geometry_for(uint32_t rings)
{
        const uint64_t cells = (uint64_t)session.ring_cells * WCI_CELL_SIZE;
        struct geometry g = {.rings = rings, .first_ring = WCT_PAGE + wct_counts_size()};
        g.stride = g.first_ring + ((cells + WCT_PAGE - 1) & ~(uint64_t)(WCT_PAGE - 1));
        g.size = g.first_ring + g.stride * rings;
        return g;
}

/* As many rings as address space and the size of files allow, down to one. */
static struct wci_segment *
file_map(int fd, struct geometry *g)
{
        struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
        getrlimit(RLIMIT_FSIZE, &limit); /* a file made larger raises SIGXFSZ */
        for (uint32_t rings = session.rings; rings != 0; rings /= 4) {
                *g = geometry_for(rings);
                if (g->size > limit.rlim_cur || ftruncate(fd, (off_t)g->size) != 0)
                        continue;
                void *map = mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
                if (map != MAP_FAILED)
                        return map;
        }
        return NULL;
}

static void
header_fill(struct wci_segment *map, const struct geometry *g, pid_t pid, pid_t parent, const char *program)
{
        map->abi = WCI_ABI_VERSION;
        map->header_size = sizeof *map;
        map->manifest = wct_session.control->manifest;
        map->targets = session.targets;
        map->rings = g->rings;
        map->size = g->size;
        map->shared_counts = WCT_PAGE;
        map->first_ring = g->first_ring;
        map->ring_stride = g->stride;
        map->counts_offset = WCT_PAGE;
        map->cells_offset = WCT_PAGE + wct_counts_size();
        map->ring_cells = session.ring_cells;
        map->cell_size = WCI_CELL_SIZE;
        map->pid = (uint32_t)pid;
        map->parent = (uint32_t)parent;
        map->start = wct_clock();
        strncpy(map->program, program == NULL ? "" : program, sizeof map->program - 1);
        /* The magic last: a reader that sees it sees the rest. */
        __atomic_store_n(&map->magic, WCI_SEGMENT_MAGIC, __ATOMIC_RELEASE);
}

static struct wci_segment *
segment_map(pid_t pid, struct geometry *g)
{
        static uint64_t ticks; /* two segments of one process must not have one name, however coarse the clock is */
        char path[4096];
        const uint64_t now = wct_clock();
        ticks = now > ticks ? now : ticks + 1;
        snprintf(path, sizeof path, "%s/seg-%d-%llx", wct_session.path, pid, (unsigned long long)ticks);
        const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return NULL;
        struct wci_segment *map = file_map(fd, g);
        close(fd);
        if (map != NULL && wct_populate(map, counts_used(wct_plan.head->targets))) {
                madvise(map, g->size, MADV_DONTDUMP);
                return map;
        }
        if (map != NULL)
                munmap(map, g->size);
        unlink(path);
        return NULL;
}

struct wct_segment *
wct_segment_new(pid_t pid, pid_t parent, const char *program)
{
        struct geometry g;
        session_look();
        if (wct_session.over || __atomic_load_n(&wct_session.control->closed, __ATOMIC_ACQUIRE))
                return NULL;
        struct wct_segment *segment = calloc(1, sizeof *segment);
        if (segment != NULL && (segment->map = segment_map(pid, &g)) != NULL) {
                segment->taken = calloc(g.rings, sizeof *segment->taken);
                if (segment->taken != NULL) {
                        segment->at = g;
                        segment->users = 1;
                        segment->next = segments;
                        segments = segment;
                        header_fill(segment->map, &g, pid, parent, program);
                        return segment;
                }
                munmap(segment->map, g.size); /* never ready: the reader deletes it when nobody has it */
        }
        free(segment);
        __atomic_fetch_add(&wct_session.control->no_segment, 1, __ATOMIC_RELAXED);
        return NULL;
}

struct wct_segment *
wct_segment_share(struct wct_segment *segment)
{
        if (segment != NULL)
                segment->users++;
        return segment;
}

void
wct_segment_release(struct wct_segment *segment)
{
        struct wct_segment **link = &segments;
        if (segment == NULL || --segment->users != 0)
                return;
        while (*link != segment)
                link = &(*link)->next;
        *link = segment->next;
        munmap(segment->map, segment->at.size);
        free(segment->taken);
        free(segment);
}

/* More pages of counts at `start`, a segment's or a ring's. What is there already stays as it is. */
static bool
counts_grow(void *start, uint32_t targets)
{
        const uint64_t before = counts_used(wct_plan.head->targets), after = counts_used(targets);
        return after == before || wct_populate((char *)start + before, after - before);
}

bool
wct_segments_grow(uint32_t targets)
{
        bool grown = true;
        for (struct wct_segment *at = segments; at != NULL && grown; at = at->next) {
                grown = counts_grow(at->map, targets);
                for (uint32_t i = 0; i < at->used && grown; i++)
                        grown = counts_grow((char *)at->map + at->at.first_ring + i * at->at.stride, targets);
        }
        return grown;
}

/* --- whose a ring is ---------------------------------------------------------------------------------------------- */

static struct wci_ring *
ring_at(const struct wct_segment *segment, uint32_t index)
{
        return (struct wci_ring *)(void *)((char *)segment->map + segment->at.first_ring + index * segment->at.stride);
}

static bool
has_ring(const struct wct_segment *segment, const struct wci_ring *ring)
{
        return segment != NULL && (uintptr_t)ring - (uintptr_t)segment->map < segment->at.size;
}

static struct wct_segment *
segment_of(const struct wci_ring *ring)
{
        struct wct_segment *segment = segments;
        while (segment != NULL && !has_ring(segment, ring))
                segment = segment->next;
        return segment;
}

bool
wct_ring_is_live(const struct wct_tracee *tracee)
{
        return tracee->ring != NULL && (has_ring(tracee->process->segment, tracee->ring) || segment_of(tracee->ring) != NULL);
}

void
wct_degrade(struct wci_ring *ring, enum wci_loss reason)
{
        struct wct_segment *segment = segment_of(ring);
        if (segment != NULL && segment->map->degraded == 0)
                segment->map->degraded = (uint32_t)reason + 1;
}

void
wct_turn_off(struct wci_ring *ring)
{
        struct wct_segment *segment = segment_of(ring);
        wct_session.over = true;
        if (segment != NULL)
                __atomic_store_n(&segment->map->closed, 1, __ATOMIC_RELAXED);
}

/* First use of a ring in its segment: its header, its counts and the first chunk of cells. */
static bool
ring_prepare(struct wci_ring *ring)
{
        const uint32_t cells = session.ring_cells;
        const uint32_t first = cells < WCI_CHUNK_CELLS ? cells : WCI_CHUNK_CELLS;
        if (!wct_populate(ring, counts_used(wct_plan.head->targets)) ||
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
        if (has_ring(segment, tracee->ring))
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
        struct wct_segment *segment = tracee->ring == NULL ? NULL : segment_of(tracee->ring);
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
        if (__builtin_expect(has_ring(segment, tracee->ring), 1))
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
