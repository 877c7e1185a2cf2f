/*
 * wct_slot.c: memory in the tracee where displaced instructions run.
 *
 * Called by wct_break.c when a breakpoint is planted whose instruction needs memory. A pool is 64 KiB, readable and
 * executable, mapped by a system call made in the tracee within a gigabyte of the code that it serves, so that what counts
 * from rip still reaches. Slot 0 is ours: `syscall; int3`.
 * Rules: T3 (the tracee may have unmapped or overwritten it: it then breaks itself only); a slot is never given to another
 * address while its space lives, since a thread may be in it.
 */
#define _GNU_SOURCE
#include "wct_space.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define REACH (1ull << 30)
#define FAR (16ull << 30)
#define LOWEST 0x10000ull
#define MOST_TRIES 16

static uint64_t
distance(uint64_t a, uint64_t b)
{
        return a > b ? a - b : b - a;
}

/* The heap grows upwards and stacks downwards: their neighbourhood is theirs. What lies far above a heap is not. */
static bool
may_stand_between(const struct wct_mapping *below, const struct wct_mapping *above)
{
        const bool heap = below != NULL && strcmp(below->path, "[heap]") == 0 && above->low - below->high < FAR;
        return !heap && above != NULL && strcmp(above->path, "[stack]") != 0;
}

/* The gap that ends highest of those below `near` and within reach; else the lowest above. Returns 0: there is none. */
static uint64_t
find_gap(const struct wct_maps *maps, uint64_t near)
{
        uint64_t best = 0;
        for (uint32_t i = 0; i < maps->count; i++) {
                const struct wct_mapping *below = i > 0 ? &maps->all[i - 1] : NULL, *above = &maps->all[i];
                const uint64_t low = below != NULL ? below->high : LOWEST;
                if (above->low < low || above->low - low < 3 * WCT_POOL_SIZE || !may_stand_between(below, above))
                        continue;
                const uint64_t at = above->low - 2 * WCT_POOL_SIZE;
                if (distance(at, near) < REACH && (best == 0 || distance(at, near) < distance(best, near)))
                        best = at;
        }
        return best;
}

static uint64_t
map_at(struct wct_tracee *tracee, uint64_t hint)
{
        const uint64_t args[6] = {hint, WCT_POOL_SIZE, PROT_READ | PROT_EXEC,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0};
        int64_t got;
        if (!wct_inject_syscall(tracee, SYS_mmap, args, &got) || (uint64_t)got != hint)
                return 0;
        return hint;
}

static struct wct_pool *
pool_new(struct wct_tracee *tracee, uint64_t near)
{
        struct wct_space *space = tracee->process->space;
        struct wct_maps maps;
        if (space->no_pools || !wct_maps_read(tracee->tid, &maps))
                return NULL;
        const uint64_t hint = find_gap(&maps, near);
        wct_maps_free(&maps);
        const uint64_t base = hint != 0 ? map_at(tracee, hint) : 0;
        struct wct_pool *pool = base != 0 ? calloc(1, sizeof *pool) : NULL;
        if (pool == NULL || !wct_write(tracee->tid, base, "\x0f\x05\xcc\xcc\xcc\xcc\xcc\xcc", 8)) {
                free(pool);
                space->no_pools = base == 0;
                return NULL;
        }
        pool->base = base;
        pool->used = 1;
        pool->next = space->pools;
        return space->pools = pool;
}

struct wct_pool *
wct_pool_get(struct wct_tracee *tracee, uint64_t near)
{
        struct wct_pool *pool = tracee->process->space->pools;
        while (pool != NULL && near != 0 && (distance(pool->base, near) >= REACH || pool->used == WCT_SLOTS))
                pool = pool->next;
        if (pool != NULL)
                return pool;
        const struct user_regs_struct *regs = wct_regs(tracee);
        return regs != NULL ? pool_new(tracee, near != 0 ? near : regs->rip) : NULL;
}

bool
wct_slot_make(struct wct_tracee *tracee, struct wct_break *one)
{
        struct wct_pool *pool = wct_pool_get(tracee, one->address);
        struct wct_moved moved;
        if (pool == NULL)
                return false;
        const uint64_t slot = pool->base + (uint64_t)pool->used * WCT_SLOT_SIZE;
        if (!wct_insn_move(&moved, &one->insn, one->code, one->address, slot) ||
            !wct_write(tracee->tid, slot, moved.bytes, moved.size))
                return false;
        pool->slots[pool->used++] = one;
        one->slot = slot;
        one->done = moved.done;
        one->pushed = moved.pushed;
        return true;
}

struct wct_break *
wct_slot_owner(const struct wct_space *space, uint64_t ip, uint32_t *offset)
{
        const struct wct_pool *pool = space->pools;
        while (pool != NULL && ip - pool->base >= WCT_POOL_SIZE)
                pool = pool->next;
        if (pool == NULL)
                return NULL;
        *offset = (uint32_t)((ip - pool->base) % WCT_SLOT_SIZE);
        return pool->slots[(ip - pool->base) / WCT_SLOT_SIZE];
}

/* No thread is in a slot any more. */
void
wct_pools_unmap(struct wct_tracee *tracee)
{
        struct wct_space *space = tracee->process->space;
        while (space->pools != NULL) {
                struct wct_pool *pool = space->pools;
                const uint64_t args[6] = {pool->base, WCT_POOL_SIZE};
                int64_t result;
                wct_inject_syscall(tracee, SYS_munmap, args, &result);
                space->pools = pool->next;
                free(pool);
        }
}
