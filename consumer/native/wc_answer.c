/*
 * wc_answer.c: finds the questions of waiting calls and writes their answers (struct wci_question in wc_abi.h): what a
 * program waits for, and Python would take three times as long for. Loaded by consumer/answering.py through ctypes.
 *
 * One thread calls all of this. Rules: segments and the control file are the programs' too and may hold anything: they are
 * read by pread, and mapped only to wake who sleeps there; an answer is written before its number; no file stays
 * open for writing for more than a moment, since it would look like a program that runs (consumer/segment.py).
 * Absent on purpose: what a question means, and who is asked.
 */
#define _GNU_SOURCE
#include "wc_abi.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WC_API __attribute__((visibility("default")))
#define FIRST_CELLS 4u /* read with the question itself: most records have no more */
#define BUSY_NS 2000000 /* so long after an answer the next is expected, and the file stays open for it */
#define PAGE 4096u
#define LOOK_EVERYWHERE (-1)

struct segment {
        struct segment *next;
        char *path;
        void **pages; /* by ring and level: where it is mapped, to wake; NULL: not yet */
        int64_t first_ring;
        int64_t stride;
        uint32_t rings;
        uint32_t pid;
        int file;
};

struct wc_answerer {
        struct segment *segments;
        const void *control_page;
        int control;
        uint32_t seen; /* of control->asking */
        uint32_t answers; /* to questions that are counted */
        struct segment *writing; /* whose file is open for writing; NULL: none's */
        int writer;
        /* Where looking everywhere goes on; NULL: nowhere. */
        struct segment *scan;
        uint32_t scan_slot;
        /* The question that was found last, until it is answered. */
        struct segment *segment;
        uint32_t slot;
        uint32_t number;
        uint8_t question[WCI_ASK_CELLS + WCI_RECORD_CELLS * WCI_CELL_SIZE] __attribute__((aligned(8)));
};

WC_API struct wc_answerer *wc_answerer_new(int control);
WC_API int wc_answerer_add(struct wc_answerer *all, const char *path, uint32_t pid, int64_t first_ring, int64_t stride,
                           uint32_t rings);
WC_API void wc_answerer_drop(struct wc_answerer *all, const char *path);
WC_API void wc_answerer_scan(struct wc_answerer *all);
WC_API int wc_answerer_next(struct wc_answerer *all, int verdict, const void *rest, int64_t size, int64_t most_ns);
WC_API const void *wc_answerer_question(const struct wc_answerer *all);
WC_API int wc_answerer_extra(struct wc_answerer *all, const void *data, int64_t size, int64_t offset);

WC_API struct wc_answerer *
wc_answerer_new(int control)
{
        struct wc_answerer *all = calloc(1, sizeof *all);
        if (all == NULL)
                return NULL;
        void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, control, 0);
        all->control_page = page == MAP_FAILED ? NULL : page;
        all->control = control;
        return all;
}

/* A program's file. Returns 0, or an error number. */
WC_API int
wc_answerer_add(struct wc_answerer *all, const char *path, uint32_t pid, int64_t first_ring, int64_t stride, uint32_t rings)
{
        struct segment *segment = calloc(1, sizeof *segment);
        if (segment == NULL)
                return ENOMEM;
        *segment = (struct segment){.path = strdup(path), .first_ring = first_ring, .stride = stride, .rings = rings, .pid = pid};
        segment->pages = calloc((size_t)rings * WCI_ASK_LEVELS, sizeof(void *));
        segment->file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (segment->path == NULL || segment->pages == NULL || segment->file < 0) {
                const int error = segment->file < 0 ? errno : ENOMEM;
                if (segment->file >= 0)
                        close(segment->file);
                free(segment->path);
                free(segment->pages);
                free(segment);
                return error;
        }
        segment->next = all->segments;
        all->segments = segment;
        return 0;
}

static void
stop_writing(struct wc_answerer *all)
{
        if (all->writing != NULL)
                close(all->writer);
        all->writing = NULL;
}

/* Its file once more, for writing: by the one that is open, since its name may be gone. */
static int
open_again(const struct segment *segment)
{
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", segment->file);
        const int file = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
        return file >= 0 ? file : open(segment->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

/* Write to a segment. Returns 0, or an error number. */
static int
put(struct wc_answerer *all, struct segment *segment, const void *data, int64_t size, int64_t at)
{
        if (all->writing != segment) {
                stop_writing(all);
                all->writer = open_again(segment);
                if (all->writer < 0)
                        return errno;
                all->writing = segment;
        }
        return pwrite(all->writer, data, (size_t)size, at) == size ? 0 : errno;
}

WC_API void
wc_answerer_drop(struct wc_answerer *all, const char *path)
{
        struct segment **link = &all->segments;
        while (*link != NULL && strcmp((*link)->path, path) != 0)
                link = &(*link)->next;
        struct segment *segment = *link;
        if (segment == NULL)
                return;
        *link = segment->next;
        all->scan = NULL;
        if (all->segment == segment)
                all->segment = NULL;
        if (all->writing == segment)
                stop_writing(all);
        for (uint32_t i = 0; i < segment->rings * WCI_ASK_LEVELS; i++)
                if (segment->pages[i] != NULL)
                        munmap(segment->pages[i], PAGE);
        close(segment->file);
        free(segment->path);
        free(segment->pages);
        free(segment);
}

/* From now on wc_answerer_next looks at all there is, before it waits. */
WC_API void
wc_answerer_scan(struct wc_answerer *all)
{
        all->scan = all->segments;
        all->scan_slot = 0;
}

static int64_t
place(const struct segment *segment, uint32_t slot)
{
        const int64_t ring = slot / WCI_ASK_LEVELS, level = slot % WCI_ASK_LEVELS;
        return segment->first_ring + (ring + 1) * segment->stride - (WCI_ASK_LEVELS - level) * (int64_t)WCI_ASK_SIZE;
}

/* Take the question at a place. Returns its cells, or 0 when none waits there. */
static int
take(struct wc_answerer *all, struct segment *segment, uint32_t slot)
{
        const size_t first = WCI_ASK_CELLS + FIRST_CELLS * WCI_CELL_SIZE;
        const struct wci_question *question = (const struct wci_question *)all->question;
        const int64_t at = place(segment, slot);
        if (pread(segment->file, all->question, first, at) != (ssize_t)first)
                return 0;
        const uint32_t asked = question->asked;
        if (asked == 0 || asked == question->answered)
                return 0;
        uint32_t cells = question->cells, again = 0;
        cells = cells == 0 ? 1 : cells > WCI_RECORD_CELLS ? WCI_RECORD_CELLS : cells;
        const size_t rest = cells > FIRST_CELLS ? (cells - FIRST_CELLS) * WCI_CELL_SIZE : 0;
        if (rest != 0 && pread(segment->file, all->question + first, rest, at + (int64_t)first) != (ssize_t)rest)
                return 0;
        /* Withdrawn, and perhaps another's already: what was read may be of both. */
        if (pread(segment->file, &again, sizeof again, at) != sizeof again || again != asked)
                return 0;
        all->segment = segment;
        all->slot = slot;
        all->number = asked;
        return (int)cells;
}

static int
take_hint(struct wc_answerer *all, uint64_t hint)
{
        const uint32_t pid = (uint32_t)(hint >> 32), ring = (uint32_t)(hint >> 8) & 0xffffffu, level = hint & 0xff;
        for (struct segment *segment = all->segments; segment != NULL; segment = segment->next) {
                if (segment->pid != pid || ring >= segment->rings || level >= WCI_ASK_LEVELS)
                        continue;
                const int cells = take(all, segment, ring * WCI_ASK_LEVELS + level);
                if (cells != 0)
                        return cells;
        }
        return LOOK_EVERYWHERE; /* an unknown program, or the hint is not there yet */
}

static int
take_scanned(struct wc_answerer *all)
{
        while (all->scan != NULL) {
                struct segment *segment = all->scan;
                uint32_t used = 0;
                if (pread(segment->file, &used, sizeof used, offsetof(struct wci_segment, rings_used)) != sizeof used)
                        used = 0;
                if (used > segment->rings)
                        used = segment->rings;
                while (all->scan_slot < used * WCI_ASK_LEVELS) {
                        const int cells = take(all, segment, all->scan_slot++);
                        if (cells != 0)
                                return cells;
                }
                all->scan = segment->next;
                all->scan_slot = 0;
        }
        return 0;
}

static void
wait(const struct wc_answerer *all, int64_t most_ns)
{
        const struct timespec most = {most_ns / 1000000000, most_ns % 1000000000};
        const char *word = (const char *)all->control_page + WCI_ASKING_AT + offsetof(struct wci_asking, asking);
        if (all->control_page == NULL)
                nanosleep(&(struct timespec){0, 1000000}, NULL);
        else
                syscall(SYS_futex, word, FUTEX_WAIT, all->seen, &most, 0, 0);
}

/* Who waits for many answers waits for their count. */
static void
tell_count(struct wc_answerer *all)
{
        const int64_t at = WCI_ASKING_AT + (int64_t)offsetof(struct wci_asking, answers);
        all->answers++;
        if (pwrite(all->control, &all->answers, sizeof all->answers, at) == sizeof all->answers && all->control_page != NULL)
                syscall(SYS_futex, (const char *)all->control_page + at, FUTEX_WAKE, INT_MAX, 0, 0, 0);
}

/* The number of a question and its verdict, then what else there is to say: as in struct wci_question from answered on. */
static void
reply(struct wc_answerer *all, uint32_t verdict, const void *rest, int64_t size)
{
        struct segment *segment = all->segment;
        const int64_t question = place(segment, all->slot);
        const int64_t at = question + (int64_t)offsetof(struct wci_question, answered);
        const uint32_t last[2] = {all->number, WCI_VERDICT(all->number, verdict)};
        all->segment = NULL;
        if (size != 0 && put(all, segment, rest, size, at + (int64_t)sizeof last) != 0)
                return;
        if (put(all, segment, last, sizeof last, at) != 0)
                return;
        if (((const struct wci_question *)all->question)->counted) {
                tell_count(all);
                return;
        }
        void **page = &segment->pages[all->slot];
        if (*page == NULL) {
                void *mapped = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, segment->file, question);
                *page = mapped == MAP_FAILED ? NULL : mapped;
        }
        if (*page != NULL)
                syscall(SYS_futex, (char *)*page + offsetof(struct wci_question, answered), FUTEX_WAKE, INT_MAX, 0, 0, 0);
}

/*
 * Answer the last question, if there is a verdict, and wait for the next, at most most_ns. Returns how many cells it has;
 * 0: none came; LOOK_EVERYWHERE: one came, but from a program that is not known, or its place is not told yet: look which
 * files there are, and have all of them scanned.
 */
WC_API int
wc_answerer_next(struct wc_answerer *all, int verdict, const void *rest, int64_t size, int64_t most_ns)
{
        if (verdict >= 0 && all->segment != NULL)
                reply(all, (uint32_t)verdict, rest, size);
        const int scanned = take_scanned(all);
        if (scanned != 0)
                return scanned;
        struct wci_asking asking = {.asking = all->seen};
        wait(all, all->writing != NULL ? BUSY_NS : most_ns);
        if (pread(all->control, &asking, sizeof asking, WCI_ASKING_AT) != sizeof asking)
                return 0;
        if (asking.asking == all->seen) {
                stop_writing(all);
                return 0;
        }
        if (asking.asking - all->seen > WCI_HINTS) {
                all->seen = asking.asking;
                return LOOK_EVERYWHERE;
        }
        return take_hint(all, asking.hint[all->seen++ % WCI_HINTS]);
}

WC_API const void *
wc_answerer_question(const struct wc_answerer *all)
{
        return all->question;
}

/* Write what else belongs to the answer of the question found last, offset bytes behind its start. 0, or an error number. */
WC_API int
wc_answerer_extra(struct wc_answerer *all, const void *data, int64_t size, int64_t offset)
{
        return all->segment == NULL ? 0 : put(all, all->segment, data, size, place(all->segment, all->slot) + offset);
}
