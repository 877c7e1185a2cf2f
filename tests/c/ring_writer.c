/*
 * ring_writer.c: a program that writes records as the runtime does, but for the wrappers: by wc_abi.h alone.
 *
 *     ring_writer SEGMENT RING COUNT CELLS POLICY
 *
 * maps SEGMENT (made by tests/segment_builder.py), claims RING with a PROCESS record and writes COUNT records of symbol 0
 * with 1 to CELLS cells each (0: all of one cell); a record's clock is its ordinal from 1, and so are all bytes behind its
 * first cell. POLICY: block (sleeps on the futex), overwrite, or drop. Writes "done\n" at the end, then waits for its
 * standard input to close.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <wc_abi.h>

static struct wci_ring *ring;
static struct wci_count *count;
static struct wci_cell *cells;
static int overwrite;
static int drop;

static int
fits(uint64_t head, uint32_t needed)
{
        const uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
        return overwrite || (int64_t)(tail + (1ull << 32) - (head + needed)) >= 0;
}

static int
make_room(uint64_t head, uint32_t needed)
{
        while (!fits(head, needed)) {
                if (drop)
                        return 0;
                const struct timespec slice = {0, 10000000};
                const uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
                const uint32_t wake = __atomic_load_n(&ring->wake, __ATOMIC_ACQUIRE);
                __atomic_store_n(&ring->waiting, 1, __ATOMIC_SEQ_CST);
                if (__atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST) == tail)
                        syscall(SYS_futex, &ring->wake, FUTEX_WAIT, wake, &slice, 0, 0);
                __atomic_store_n(&ring->waiting, 0, __ATOMIC_RELAXED);
                ring->stalls++;
        }
        return 1;
}

static void
header(struct wci_cell *cell, uint64_t symbol, uint64_t kind, uint64_t number)
{
        __atomic_store_n((uint64_t *)&cell->header, symbol << 32 | kind << 48 | number << 56, __ATOMIC_RELAXED);
}

static struct wci_cell *
reserve(uint32_t needed, uint32_t *stamp)
{
        uint64_t head = ring->head;
        if ((uint32_t)head + needed > ring->capacity) {
                const uint32_t rest = ring->capacity - (uint32_t)head;
                if (!make_room(head, rest))
                        return NULL;
                ring->head = ((head >> 32) + 1) << 32;
                if (rest != 0) {
                        header(&cells[(uint32_t)head], WCI_SYMBOL_NONE, WCI_FILLER, rest);
                        __atomic_store_n(&cells[(uint32_t)head].header.stamp, (uint32_t)(head >> 32) + 1,
                                         __ATOMIC_RELEASE);
                }
                head = ring->head;
        }
        if (!make_room(head, needed))
                return NULL;
        __atomic_store_n(&ring->head, head + needed, __ATOMIC_RELAXED);
        *stamp = (uint32_t)(head >> 32) + 1;
        return &cells[(uint32_t)head];
}

static void
write_record(uint32_t kind, uint32_t symbol, uint64_t ordinal, uint32_t needed, const void *args, size_t size)
{
        uint32_t stamp;
        struct wci_cell *cell = reserve(needed, &stamp);
        if (cell == NULL) {
                count->lost++;
                return;
        }
        for (uint32_t i = 0; i < needed; i++)
                header(&cell[i], symbol, i ? WCI_CONTINUATION : kind, i ? i : needed);
        __asm__ volatile("" ::: "memory");
        struct wci_first *first = (struct wci_first *)cell;
        first->clock = ordinal;
        first->duration = 1;
        first->result = 0;
        first->error = 0;
        memcpy(first->args, args, size);
        for (uint32_t i = 1; i < needed; i++)
                memset(cell[i].payload, (int)(ordinal & 0xff), sizeof cell[i].payload);
        __asm__ volatile("" ::: "memory");
        for (uint32_t i = needed; i-- != 0;)
                __atomic_store_n(&cell[i].header.stamp, stamp, __ATOMIC_RELEASE);
}

int
main(int argc, char **argv)
{
        if (argc != 6)
                return 2;
        struct stat status;
        const int fd = open(argv[1], O_RDWR);
        if (fd < 0 || fstat(fd, &status) < 0)
                return 3;
        char *start = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        struct wci_segment *segment = (struct wci_segment *)start;
        const uint32_t index = (uint32_t)atoi(argv[2]);
        ring = (struct wci_ring *)(start + segment->first_ring + index * segment->ring_stride);
        count = (struct wci_count *)((char *)ring + segment->counts_offset);
        cells = (struct wci_cell *)((char *)ring + segment->cells_offset);
        overwrite = !strcmp(argv[5], "overwrite");
        drop = !strcmp(argv[5], "drop");
        ring->capacity = ring->ready = segment->ring_cells;
        ring->owner_pid = ring->owner_tid = (uint32_t)getpid();
        ring->claim[0] = (struct wci_claim){0, (uint32_t)getpid(), (uint32_t)getpid()};
        ring->claims = 1;
        if (segment->rings_used <= index)
                __atomic_store_n(&segment->rings_used, index + 1, __ATOMIC_RELEASE);
        const struct wci_identity self = {(uint32_t)getpid(), (uint32_t)getpid(), (uint32_t)getppid(), WCI_PROCESS_EXEC};
        write_record(WCI_PROCESS, WCI_SYMBOL_NONE, 0, 1, &self, sizeof self);
        const uint64_t many = strtoull(argv[3], NULL, 10);
        const uint64_t most = strtoull(argv[4], NULL, 10);
        for (uint64_t i = 1; i <= many; i++) {
                count->calls++;
                count->returned++;
                write_record(WCI_CALL, 0, i, most ? (uint32_t)(i * 2654435761u % most) + 1 : 1, &i, sizeof i);
        }
        if (write(1, "done\n", 5) != 5)
                return 4;
        char none;
        return read(0, &none, 1) == 0 ? 0 : 5;
}
