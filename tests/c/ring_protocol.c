/*
 * ring_protocol.c: the ring's protocol in one process: the runtime's own ring, claim and segment code, linked in, with a
 * reader written from wc_abi.h beside it. Built with sanitizers. The session around it is made up here.
 *
 *     ring_protocol laps FIRST_LAP | memory CHUNKS | abandoned | takeover | threads
 *
 * A record's payload is its ordinal, in every word: the reader checks each. Exit status 0: all was as it should be.
 * lint-flags: -pthread -D_GNU_SOURCE -Iruntime/shim -fno-strict-aliasing -fno-builtin */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wci_runtime.h"

#define CELLS 4096u

const uint32_t wci_targets = 1;
const uint32_t wci_samples = 0;
const uint32_t wci_has_questions = 0;
const uint64_t wci_manifest_hash = 1;
const uint64_t wci_no_words[1] = {0};
__thread struct wci_tls wci_tls __attribute__((tls_model("initial-exec")));
struct wci_alive *wci_alive;
const uint64_t *wci_words;
struct wci_control *wci_control;
uint32_t wci_string_limit = 64;
bool wci_quiet;

static struct wci_alive alive;
static struct wci_control control;
static const uint64_t words[1] = {WCI_WORD_ON};

void
wci_turn_off(void)
{
        abort();
}

bool
wci_turned_off(void)
{
        return false;
}

int *
wci_errno_location(void)
{
        return &errno;
}

bool
wci_handler_left(uintptr_t frame)
{
        (void)frame;
        return false;
}

void
wci_handler_forget(void)
{
}

void
wci_control_behind(void)
{
}

#define CHECK(what)                                                                                                    \
        do {                                                                                                           \
                if (!(what)) {                                                                                         \
                        fprintf(stderr, "line %d: not so: %s\n", __LINE__, #what);                                     \
                        exit(1);                                                                                       \
                }                                                                                                      \
        } while (0)

static uint64_t
now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void
session_begin(const char *directory, uint32_t policy, uint64_t budget)
{
        alive.pid = (uint32_t)getpid();
        wci_alive = &alive;
        wci_words = words;
        wci_control = &control;
        control = (struct wci_control){.policy = policy, .block_ms = 20000, .clock = WCI_CLOCK_MONOTONIC, .rings = 64,
                                       .ring_cells = CELLS, .budget = budget, .consumer_pid = alive.pid};
        control.heartbeat = now();
        wci_clock_init();
        CHECK(wci_segment_open(directory));
}

/* One call of the only target, with a record of `cells` cells. False: lost. */
static __attribute__((noinline)) bool
call_record(uint32_t cells, uint64_t ordinal)
{
        struct wci_call call;
        CHECK(wci_enter(&call, 0, 0, ordinal, WCI_CLOCK_AT_ENTRY));
        CHECK(wci_returned(&call, 0));
        const struct wci_record_head record = wci_record(&call, 0, WCI_CALL, cells, ordinal);
        if (record.first == NULL) {
                wci_leave(&call);
                return false;
        }
        struct wci_cell *cell = (struct wci_cell *)record.first;
        for (uint32_t i = 1; i < cells; i++)
                for (uint32_t byte = 0; byte < WCI_CONT_PAYLOAD; byte += 8)
                        memcpy(cell[i].payload + byte, &ordinal, 8);
        wci_commit(&record);
        wci_count_returned(&call);
        wci_leave(&call);
        return true;
}

struct reader {
        struct wci_ring *ring;
        uint64_t tail, calls, told, first_ordinal;
        uint32_t identities;
};

static bool
reader_takes(struct reader *reader, struct wci_cell *cell)
{
        uint64_t ordinal;
        const struct wci_first *first = (struct wci_first *)cell;
        if (cell->header.kind == WCI_LOST) {
                reader->told += first->result;
        } else if (cell->header.kind == WCI_CALL) {
                for (uint32_t i = 1; i < cell->header.count; i++) {
                        CHECK(cell[i].header.stamp == cell->header.stamp && cell[i].header.kind == WCI_CONTINUATION);
                        CHECK(cell[i].header.count == i);
                        for (uint32_t byte = 0; byte < WCI_CONT_PAYLOAD; byte += 8) {
                                memcpy(&ordinal, cell[i].payload + byte, 8);
                                CHECK(ordinal == first->result);
                        }
                }
                CHECK(first->result >= reader->first_ordinal);
                reader->first_ordinal = first->result + 1;
                reader->calls++;
        } else {
                CHECK(cell->header.kind == WCI_PROCESS || cell->header.kind == WCI_THREAD);
                reader->identities++;
        }
        reader->tail += cell->header.count;
        return true;
}

/* Take one record, filler or lap's end; false when there is none. head is not looked at: stamps alone decide. */
static bool
reader_step(struct reader *reader)
{
        struct wci_ring *ring = reader->ring;
        const uint32_t capacity = __atomic_load_n(&ring->capacity, __ATOMIC_RELAXED);
        const uint32_t index = (uint32_t)reader->tail, lap = (uint32_t)(reader->tail >> 32);
        if (capacity == 0)
                return false;
        if (index >= capacity) {
                reader->tail = (uint64_t)(lap == UINT32_MAX - 1 ? 0 : lap + 1) << 32;
                return true;
        }
        struct wci_cell *cell = wci_ring_cells(ring) + index;
        if (__atomic_load_n(&cell->header.stamp, __ATOMIC_ACQUIRE) != lap + 1)
                return false;
        if (cell->header.kind != WCI_FILLER)
                return reader_takes(reader, cell);
        CHECK(cell->header.count != 0 && index + cell->header.count <= capacity);
        reader->tail += cell->header.count;
        return true;
}

static void
reader_take_all(struct reader *reader)
{
        while (reader_step(reader))
                ;
        __atomic_store_n(&reader->ring->tail, reader->tail, __ATOMIC_RELEASE);
}

static const uint32_t SIZES[] = {1, 1, 2, 3, 1, 255, 17, 1, 254, 128, 5, 1, 64, 200, 9};

static uint32_t
size_of(uint64_t ordinal)
{
        return SIZES[ordinal % (sizeof SIZES / sizeof *SIZES)];
}

/* Many laps from first_lap on; the reader comes every `burst` records. Returns records lost. */
static uint64_t
go_round(struct reader *reader, uint64_t first, uint64_t records, uint64_t burst)
{
        uint64_t lost = 0;
        for (uint64_t i = first; i < first + records; i++) {
                lost += !call_record(size_of(i), i);
                if (i % burst == 0)
                        reader_take_all(reader);
        }
        reader_take_all(reader);
        return lost;
}

static void
laps(const char *directory, uint32_t first_lap)
{
        session_begin(directory, WCI_DROP, UINT64_MAX);
        wci_ring_first();
        struct reader reader = {.ring = wci_tls.ring};
        CHECK(go_round(&reader, 0, 500, 7) == 0);
        CHECK(reader.identities == 1 && reader.calls == 500 && reader.tail == reader.ring->head);
        reader.tail = (uint64_t)first_lap << 32 | (uint32_t)reader.tail;
        reader.ring->head = reader.ring->tail = reader.tail;
        memset(wci_ring_cells(reader.ring), 0, CELLS * sizeof(struct wci_cell)); /* no stamp is 2^32 laps old */
        const uint64_t lost = go_round(&reader, 500, 20000, 7);
        CHECK(reader.tail == reader.ring->head);
        CHECK(reader.calls + lost == 20500 && reader.told == lost);
        CHECK(wci_ring_counts(reader.ring, 0)->lost == lost && wci_ring_counts(reader.ring, 0)->returned == 20500);
        CHECK(lost == 0 || first_lap > UINT32_MAX - 200); /* at the wrap a lap ends early for those who drop */
        CHECK(lost < 100);
        const uint64_t more = go_round(&reader, 20500, 5000, 1000000);
        CHECK(more > 4000 && go_round(&reader, 25500, 2, 1) == 0);
        CHECK(reader.told == lost + more);
}

/*
 * A wrapper that a longjmp leaves: after the reservation, the headers, the bodies, or all stamps but the first. Its frame is
 * where call_record's will be (neither is inlined): one above would look like a wrapper that goes on.
 */
static __attribute__((noinline)) void
leave_record(uint32_t cells, uint32_t stage)
{
        struct wci_call call;
        uint32_t stamp;
        CHECK(wci_enter(&call, 0, 0, 0, WCI_CLOCK_AT_ENTRY) && wci_returned(&call, 0));
        struct wci_cell *cell = wci_ring_reserve(call.ring, 0, cells, &stamp);
        if (cell == NULL)
                return;
        if (stage > 0)
                wci_cells_open(cell, 0, WCI_CALL, cells);
        if (stage > 1)
                memset(cell->payload, 0x55, sizeof cell->payload);
        for (uint32_t i = cells - 1; stage > 2 && i > 0; i--)
                __atomic_store_n(&cell[i].header.stamp, stamp, __ATOMIC_RELEASE);
}

/* The reader here never steps over anything: it depends on the writer to close what was left open. */
static void
abandoned_records(const char *directory)
{
        session_begin(directory, WCI_DROP, UINT64_MAX);
        wci_ring_first();
        struct reader reader = {.ring = wci_tls.ring};
        uint64_t lost = 0;
        for (uint64_t i = 0; i < 60000; i++) {
                lost += !call_record(size_of(i), i);
                if (i % 97 == 0)
                        leave_record(size_of(i / 97), (uint32_t)(i / 97) % 4);
                if (i % 5 == 0)
                        reader_take_all(&reader);
        }
        for (uint64_t i = 60000; reader.tail != reader.ring->head; i++) {
                lost += !call_record(1, i);
                reader_take_all(&reader);
                CHECK(i < 80000);
        }
        const struct wci_count *count = wci_ring_counts(reader.ring, 0);
        CHECK(count->returned - count->lost == reader.calls);
        CHECK(count->lost >= lost && reader.told + reader.ring->pending_lost == count->lost);
        CHECK(count->calls - count->returned > 200); /* those that were left, but for some that were lost before */
        CHECK(reader.calls > 1000);
}

static void
memory(const char *directory, uint32_t chunks)
{
        const uint64_t fixed = 4096 + 4096 + 4096 + 4096; /* segment and its counts, ring and its counts */
        session_begin(directory, WCI_DROP, fixed + (uint64_t)chunks * WCI_CHUNK_CELLS * WCI_CELL_SIZE + 4096);
        wci_ring_first();
        struct reader reader = {.ring = wci_tls.ring};
        CHECK(go_round(&reader, 0, 20000, chunks == 1 ? 1 : 3) == 0);
        CHECK(reader.ring->capacity == chunks * WCI_CHUNK_CELLS && reader.calls == 20000);
        CHECK(wci_segment->degraded == WCI_LOSS_MEMORY + 1);
        CHECK(control.used <= control.budget);
}

static struct wci_ring *
claimed_again(void)
{
        wci_tls.ring = NULL;
        CHECK(call_record(1, 0));
        return wci_tls.ring;
}

static void
owner_is(struct wci_ring *ring, uint32_t pid, uint32_t tid)
{
        ring->owner_pid = pid;
        ring->owner_tid = tid;
}

/* R12: one's own stale ring first; then one whose owner is dead; a living owner's never. */
static void
takeover(const char *directory)
{
        const uint32_t dead = 4194303; /* beyond any pid here, or at least never this process's thread */
        session_begin(directory, WCI_DROP, UINT64_MAX);
        wci_ring_first();
        struct wci_ring *first = wci_tls.ring;
        CHECK(claimed_again() == first && first->claims == 2 && wci_segment->rings_used == 1);
        owner_is(first, alive.pid, dead);
        CHECK(claimed_again() == first && first->owner_tid == alive.pid && first->claims == 3);
        owner_is(first, 1, 1); /* lives */
        struct wci_ring *second = claimed_again();
        CHECK(second != first && wci_segment->rings_used == 2);
        CHECK(wci_ring_counts(first, 0)->calls == 2 && wci_ring_counts(second, 0)->calls == 1); /* counters survive */
        owner_is(first, alive.pid, alive.pid);
        owner_is(second, dead, dead);
        CHECK(claimed_again() == first);
        const struct wci_claim *claim = &first->claim[(first->claims - 1) % WCI_CLAIMS];
        CHECK(claim->pid == alive.pid && claim->tid == alive.pid && (uint32_t)claim->position != 0);
}

#define WRITERS 4
#define RECORDS 20000
static int running = WRITERS;

static void *
writer(void *unused)
{
        for (uint64_t i = 0; i < RECORDS; i++)
                CHECK(call_record(size_of(i), i));
        __atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
        return unused;
}

static void
threads(const char *directory)
{
        pthread_t ids[WRITERS];
        struct reader readers[WRITERS + 1] = {0};
        session_begin(directory, WCI_BLOCK, UINT64_MAX);
        for (int i = 0; i < WRITERS; i++)
                pthread_create(&ids[i], NULL, writer, NULL);
        for (bool last = false; !last;) {
                last = __atomic_load_n(&running, __ATOMIC_ACQUIRE) == 0;
                const uint32_t used = __atomic_load_n(&wci_segment->rings_used, __ATOMIC_ACQUIRE);
                __atomic_store_n(&control.heartbeat, now(), __ATOMIC_RELAXED);
                for (uint32_t i = 0; i < used && i <= WRITERS; i++) {
                        readers[i].ring =
                            (struct wci_ring *)((char *)wci_segment + wci_segment->first_ring + i * wci_segment->ring_stride);
                        reader_take_all(&readers[i]);
                }
        }
        uint64_t calls = 0, lost = 0;
        for (int i = 0; i < WRITERS; i++) {
                pthread_join(ids[i], NULL);
                calls += readers[i].calls;
                lost += readers[i].ring == NULL ? 0 : wci_ring_counts(readers[i].ring, 0)->lost;
        }
        CHECK(calls == (uint64_t)WRITERS * RECORDS && lost == 0);
}

int
main(int argc, char **argv)
{
        const char *directory = argv[1], *what = argv[2];
        const uint32_t number = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 0) : 0;
        if (strcmp(what, "laps") == 0)
                laps(directory, number);
        else if (strcmp(what, "memory") == 0)
                memory(directory, number);
        else if (strcmp(what, "abandoned") == 0)
                abandoned_records(directory);
        else if (strcmp(what, "takeover") == 0)
                takeover(directory);
        else
                threads(directory);
        return 0;
}
