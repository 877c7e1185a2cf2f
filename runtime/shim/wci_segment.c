/*
 * wci_segment.c: the segment of this executed image: its file, its pages, and the clock.
 *
 * Called by the constructor and by the ring's slow paths.  Rules: R4 (no memory: less is recorded, and said), R5 (the
 * file is opened by path, mapped, closed).  Pages are claimed with MADV_POPULATE_WRITE, which fails with an error on a
 * full tmpfs where touching a page would raise SIGBUS; the session's budget is kept by adding what was claimed.
 */
#include "wci_runtime.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct wci_segment *wci_segment;
uint32_t wci_clock_kind;
static uint64_t frozen_clock;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

void
wci_degrade(enum wci_loss reason)
{
        if (wci_segment != NULL && wci_segment->degraded == 0)
                wci_segment->degraded = (uint32_t)reason + 1;
}

/*
 * Linux before 5.14 has no MADV_POPULATE_WRITE. There the kernel adds 0 to a word of each page (FUTEX_WAKE_OP), which takes
 * the page as a write would, changes nothing, and where there is none fails with EFAULT.
 */
static bool
populate_by_word(char *start, size_t size)
{
        const long add_nothing = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);
        for (char *page = start; page < start + size; page += 4096)
                if (wci_syscall6(SYS_futex, (long)page, FUTEX_WAKE_OP, 0, 0, (long)page, add_nothing) < 0)
                        return false;
        return true;
}

static bool
populate(void *start, size_t size)
{
        const long result = wci_syscall3(SYS_madvise, start, size, MADV_POPULATE_WRITE);
        return result == 0 || (result == -EINVAL && populate_by_word(start, size));
}

/* Claim pages for writing. False: no memory or no budget; nothing was touched. */
bool
wci_populate(void *start, size_t size)
{
        const uint64_t used = __atomic_fetch_add(&wci_control->used, size, __ATOMIC_RELAXED);
        if (used + size <= wci_control->budget && populate(start, size))
                return true;
        __atomic_fetch_sub(&wci_control->used, size, __ATOMIC_RELAXED);
        return false;
}

/* The clock_gettime behind us: a vDSO call, no system call. */
void
wci_clock_init(void)
{
        wci_clock_kind = wci_control->clock;
        *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
}

uint64_t
wci_monotonic_ns(void)
{
        struct timespec now = {0, 0};
        if (wci_clock_kind == WCI_CLOCK_FROZEN && wci_quiet)
                return 0;
        if (real_clock_gettime != NULL && wci_clock_kind != WCI_CLOCK_FROZEN)
                real_clock_gettime(CLOCK_MONOTONIC, &now);
        else if (!wci_quiet)
                wci_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, &now, 0);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/*
 * From here on no thread reads a clock: where a program has asked for SIGSEGV at rdtsc, as strict seccomp does, the
 * vDSO's clocks raise it too. Time stands still then.
 */
void
wci_clock_freeze(void)
{
        if (wci_control == NULL || wci_clock_kind == WCI_CLOCK_FROZEN)
                return;
        frozen_clock = wci_clock();
        wci_clock_kind = WCI_CLOCK_FROZEN;
}

WCI_COLD uint64_t
wci_clock_slow(void)
{
        if (wci_clock_kind == WCI_CLOCK_FROZEN)
                return frozen_clock;
        const int error = errno;
        const uint64_t now = wci_monotonic_ns();
        errno = error;
        return now;
}

static uint64_t
page_up(uint64_t size)
{
        return (size + 4095) & ~(uint64_t)4095;
}

struct geometry {
        uint64_t counts;
        uint64_t stride;
        uint64_t first_ring;
        uint64_t size;
        uint32_t rings;
};

static struct geometry
geometry_for(uint32_t rings)
{
        struct geometry g = {.rings = rings, .counts = page_up(wci_targets * sizeof(struct wci_count))};
        g.stride = 4096 + g.counts + page_up((uint64_t)wci_control->ring_cells * WCI_CELL_SIZE);
        g.stride += wci_has_questions ? WCI_ASK_LEVELS * WCI_ASK_SIZE : 0;
        g.first_ring = 4096 + g.counts;
        g.size = g.first_ring + g.stride * rings;
        return g;
}

static long
file_create(const char *session)
{
        char path[256];
        struct wci_text text = {path, path + sizeof path};
        wci_text_add(&text, session);
        wci_text_add(&text, "/seg-");
        wci_text_add_number(&text, wci_alive->pid, 10);
        wci_text_add(&text, "-");
        wci_text_add_number(&text, wci_rdtsc(), 16);
        return wci_syscall6(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600, 0,
                            0);
}

/* A file made larger than this raises SIGXFSZ. */
static uint64_t
file_limit(void)
{
        struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
        wci_syscall6(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0);
        return limit.rlim_cur;
}

/* As many rings as address space (RLIMIT_AS) and the size of files (RLIMIT_FSIZE) allow, down to one. */
static struct wci_segment *
file_map(long fd, struct geometry *g)
{
        const uint64_t most = file_limit();
        for (uint32_t rings = wci_control->rings; rings != 0; rings /= 4) {
                *g = geometry_for(rings);
                if (g->size > most || wci_syscall3(SYS_ftruncate, fd, g->size, 0) < 0)
                        continue;
                const long map = wci_syscall6(SYS_mmap, 0, (long)g->size, PROT_READ | PROT_WRITE,
                                              MAP_SHARED | MAP_NORESERVE, fd, 0);
                if (map >= 0 || map <= -4096)
                        return (struct wci_segment *)map;
        }
        return NULL;
}

static void
header_fill(struct wci_segment *segment, const struct geometry *g)
{
        segment->abi = WCI_ABI_VERSION;
        segment->header_size = sizeof *segment;
        segment->manifest = wci_manifest_hash;
        segment->targets = wci_targets;
        segment->rings = g->rings;
        segment->size = g->size;
        segment->shared_counts = 4096;
        segment->first_ring = g->first_ring;
        segment->ring_stride = g->stride;
        segment->counts_offset = 4096;
        segment->cells_offset = 4096 + g->counts;
        segment->ring_cells = wci_control->ring_cells;
        segment->cell_size = WCI_CELL_SIZE;
        segment->pid = wci_alive->pid;
        segment->parent = (uint32_t)wci_syscall0(SYS_getppid);
        segment->start = wci_clock();
        wci_syscall3(SYS_readlink, "/proc/self/exe", segment->program, sizeof segment->program - 1);
        /* The magic last: a reader that sees it sees the rest. */
        __atomic_store_n(&segment->magic, WCI_SEGMENT_MAGIC, __ATOMIC_RELEASE);
}

bool
wci_segment_open(const char *session)
{
        struct geometry g;
        const long fd = file_create(session);
        if (fd < 0)
                return false;
        struct wci_segment *segment = file_map(fd, &g);
        wci_syscall3(SYS_close, fd, 0, 0);
        if (segment == NULL)
                return false;
        if (!wci_populate(segment, g.first_ring)) {
                wci_syscall3(SYS_munmap, segment, g.size, 0);
                return false;
        }
        wci_syscall3(SYS_madvise, segment, g.size, MADV_DONTDUMP);
        wci_segment = segment;
        header_fill(segment, &g);
        return true;
}
