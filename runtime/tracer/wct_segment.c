/*
 * wct_segment.c: segments of the session.
 *
 * Called by wct_process.c: an image begins, is shared by a fork, ends. What a segment looks like is told in wc_abi.h; the
 * consumer cannot tell who wrote it. Rules: pages are claimed with MADV_POPULATE_WRITE before they are touched, which fails
 * where a write would raise SIGBUS, and within the
 * session's budget: of the counts, those of the targets that there are. A segment has a place for those of all that can be
 * added, which costs nothing until then.
 *
 * Absent on purpose: whose each ring is (wct_owner.c).
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

#include "wct_segment.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct wct_shape wct_shape;
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
        return pages(wct_shape.targets * sizeof(struct wci_count));
}

uint64_t
wct_counts_used(uint32_t targets)
{
        return WCT_PAGE + pages(targets * sizeof(struct wci_count));
}

static void
session_look(void)
{
        if (wct_shape.rings != 0)
                return;
        wct_shape.targets = wct_session.control->targets + WCI_CONTROL_ROOM;
        wct_shape.ring_cells = wct_session.control->ring_cells;
        wct_shape.rings = wct_session.control->rings;
        wct_shape.asks = wct_session.control->ask_ms != 0;
}

static struct wct_geometry
geometry_for(uint32_t rings)
{
        const uint64_t cells = (uint64_t)wct_shape.ring_cells * WCI_CELL_SIZE;
        struct wct_geometry g = {.rings = rings, .first_ring = WCT_PAGE + wct_counts_size()};
        g.stride = g.first_ring + ((cells + WCT_PAGE - 1) & ~(uint64_t)(WCT_PAGE - 1));
        g.stride += wct_shape.asks ? WCI_ASK_LEVELS * WCI_ASK_SIZE : 0;
        g.size = g.first_ring + g.stride * rings;
        return g;
}

/* As many rings as address space and the size of files allow, down to one. */
static struct wci_segment *
file_map(int fd, struct wct_geometry *g)
{
        struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
        getrlimit(RLIMIT_FSIZE, &limit); /* a file made larger raises SIGXFSZ */
        for (uint32_t rings = wct_shape.rings; rings != 0; rings /= 4) {
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
header_fill(struct wci_segment *map, const struct wct_geometry *g, pid_t pid, pid_t parent, const char *program)
{
        map->abi = WCI_ABI_VERSION;
        map->header_size = sizeof *map;
        map->manifest = wct_session.control->manifest;
        map->targets = wct_shape.targets;
        map->rings = g->rings;
        map->size = g->size;
        map->shared_counts = WCT_PAGE;
        map->first_ring = g->first_ring;
        map->ring_stride = g->stride;
        map->counts_offset = WCT_PAGE;
        map->cells_offset = WCT_PAGE + wct_counts_size();
        map->ring_cells = wct_shape.ring_cells;
        map->cell_size = WCI_CELL_SIZE;
        map->pid = (uint32_t)pid;
        map->parent = (uint32_t)parent;
        map->start = wct_clock();
        strncpy(map->program, program == NULL ? "" : program, sizeof map->program - 1);
        /* The magic last: a reader that sees it sees the rest. */
        __atomic_store_n(&map->magic, WCI_SEGMENT_MAGIC, __ATOMIC_RELEASE);
}

static struct wci_segment *
segment_map(pid_t pid, struct wct_geometry *g)
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
        if (map != NULL && wct_populate(map, wct_counts_used(wct_plan.head->targets))) {
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
        struct wct_geometry g;
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
        const uint64_t before = wct_counts_used(wct_plan.head->targets), after = wct_counts_used(targets);
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

/* --- whose memory it is ------------------------------------------------------------------------------------------- */

bool
wct_segment_has(const struct wct_segment *segment, const struct wci_ring *ring)
{
        return segment != NULL && (uintptr_t)ring - (uintptr_t)segment->map < segment->at.size;
}

struct wct_segment *
wct_segment_of(const struct wci_ring *ring)
{
        struct wct_segment *segment = segments;
        while (segment != NULL && !wct_segment_has(segment, ring))
                segment = segment->next;
        return segment;
}
