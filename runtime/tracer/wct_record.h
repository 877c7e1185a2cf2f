/*
 * wct_record.h: what the files that make records share with each other: wct_plan.c, wct_segment.c, wct_ring.c, wct_call.c,
 * wct_value.c, wct_capture.c, wct_kept.c, wct_length.c, wct_when.c, wct_variadic.c, wct_memory.c.
 * wct_return.c asks what a result is; nobody else includes it.
 */
#ifndef WCT_RECORD_H
#define WCT_RECORD_H

#include <sys/user.h>

#include "wct.h"

#define WCT_PAGE 4096u
#define WCT_PATH_LIMIT 4096u
#define WCT_TEXTS_ROOM 512u    /* bytes of one argv or envp, as the shim keeps them */
#define WCT_MOST_TEXTS 64u
#define WCT_VARIADIC_ROOM 256u /* bytes of one call's variadic arguments */
#define WCT_RECORD_BYTES (WCI_RECORD_CELLS * WCI_CONT_PAYLOAD)

static inline uint64_t
wct_smaller(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

/* --- the plan: what is known of a symbol beforehand (wct_plan.c) -------------------------------------------------- */

struct wct_facts {
        uint16_t stack_words; /* that its arguments take above the return address */
        uint8_t wide_words;  /* of arguments of several words, all but their first */
        bool vector;         /* an argument travels in a vector register */
        bool at_entry;       /* something behind a pointer is read at entry */
        bool at_exit;        /* or after the call */
        bool keeps;          /* something must outlive the entry: struct wct_kept */
        bool conditional;    /* a value stands as 0 unless its program says otherwise */
};

/* Words of an argument that are fetched: of one that does not stand in the record the first is, for programs. */
static inline uint32_t
wct_words(const struct wct_argument *argument)
{
        return argument->offset != 0 || argument->words == 0 ? argument->words : 1;
}
const struct wct_facts *wct_facts(const struct wct_symbol *symbol);

/* wct_tables.c, for wct_plan.c: a file that is sound becomes the plan, or a part of it. NULL, or why not. */
const char *wct_tables_open(const struct wct_plan *plan);
const char *wct_tables_add(const struct wct_plan *plan, uint32_t first_target, uint32_t first_symbol);
void wct_tables_forget(void);

/* --- several pieces of a tracee's memory in one system call (wct_memory.c) ---------------------------------------- */

struct wct_fetch {
        void *into;
        uint64_t from;
        uint32_t size;
        uint32_t got; /* less than size where a page is missing */
};
#define WCT_MOST_FETCHES 72u
void wct_read_many(pid_t tid, struct wct_fetch *fetches, uint32_t count);

/* --- rings (wct_ring.c): see the life of a cell in wc_abi.h ------------------------------------------------------- */

#define WCT_UNCOUNTED 0x80000000u /* in place of, or added to, a target: losing this record loses no call */

struct wct_open_record {
        struct wci_first *first; /* NULL: it was lost, and counted */
        uint32_t stamp;
        uint32_t cells;
};
struct wct_open_record wct_ring_open(struct wci_ring *ring, uint32_t target, uint32_t symbol, enum wci_kind kind,
                                     uint32_t cells);
void wct_ring_commit(const struct wct_open_record *record);
/* The head of a record that is no call's: identity, loss, control word, exec. */
static inline void
wct_event_begin(const struct wct_open_record *record, uint64_t clock, uint64_t duration, uint64_t result)
{
        record->first->clock = clock;
        record->first->duration = duration;
        record->first->result = result;
        record->first->error = 0;
}
bool wct_ring_lose(struct wci_ring *ring, uint32_t target, enum wci_loss reason); /* count a record as lost; false */
struct wci_count *wct_ring_count(struct wci_ring *ring, uint32_t target);
struct wci_cell *wct_ring_cells(struct wci_ring *ring);
uint64_t wct_ring_slack(void);
uint64_t wct_counts_size(void); /* of one ring, in whole pages */

/* wct_segment.c, wct_owner.c, for wct_ring.c and wct_call.c */
bool wct_populate(void *start, size_t size);
void wct_degrade(struct wci_ring *ring, enum wci_loss reason);
void wct_turn_off(struct wci_ring *ring); /* nobody reads any more */
/* The ring that a thread's next record goes to, claimed when it has none; NULL: there is none (counted as lost then). */
struct wci_ring *wct_ring_for_call(struct wct_tracee *tracee, uint32_t target);
bool wct_ring_is_live(const struct wct_tracee *tracee); /* its ring's segment is still there */
/* Where its owner's question stands, and how to say so to whoever answers. NULL: there is no room for questions. */
struct wci_question *wct_ring_question(struct wci_ring *ring, uint64_t *hint);

/* --- what is kept of a call (wct_capture.c, wct_value.c) ---------------------------------------------------------- */

struct wct_piece {
        uint32_t at; /* in wct_kept.bytes */
        uint32_t length;
        uint8_t flags; /* WCI_BLOB_*; 0: not captured */
};

struct wct_kept {
        struct wct_kept *next; /* among those to be used again */
        uint32_t room, used;
        struct wct_piece piece[WCT_MOST_BLOBS]; /* by order of the arguments that have one */
        uint8_t bytes[] __attribute__((aligned(16)));
};
#define WCT_SMALL_ROOM 2048u
#define WCT_LARGE_ROOM (2 * WCT_RECORD_BYTES + 4 * WCT_PATH_LIMIT) /* more than any record: texts are read a piece beyond */
struct wct_kept *wct_kept_new(uint32_t room); /* one of the two; NULL: no memory */
void wct_kept_free(struct wct_kept *kept);
bool wct_kept_room(struct wct_kept **kept, uint32_t size); /* for size more bytes, in a larger one if need be */

/* A call's values as they are at entry. Wide ones go into kept. */
void wct_values_take(struct wct_call *call, const struct wct_site *site);
void wct_values_store(const struct wct_call *call, uint8_t *record);
/* Its result as a record keeps it; what is wider than 64 bits is stored by wct_result_store. */
uint64_t wct_result_word(const struct wct_symbol *symbol, const struct wct_site *site);
void wct_result_store(const struct wct_symbol *symbol, const struct wct_site *site, uint8_t *record);
bool wct_result_is_failure(const struct wct_symbol *symbol, uint64_t word);

enum wct_moment { WCT_MOMENT_ENTRY, WCT_MOMENT_SUCCESS, WCT_MOMENT_FAILURE };
/* Read what is to be read at this moment: entry into call->kept, later into the returned one, which is the next call's. */
struct wct_kept *wct_captures_take(struct wct_call *call, const struct wct_site *site, enum wct_moment moment);
/* Cells of the record, with the captures behind the fixed part, at most WCI_RECORD_CELLS; what is cut is marked. */
uint32_t wct_captures_fit(const struct wct_symbol *symbol, struct wct_kept *entry, struct wct_kept *later);
void wct_captures_store(const struct wct_symbol *symbol, struct wct_kept *entry, struct wct_kept *later, uint8_t *record);

/* Copy bytes into a record's cells from cell on; returns the cell behind them. */
uint32_t wct_piece_store(struct wci_cell *record, uint32_t cell, const uint8_t *from, uint32_t length);

/* --- records of a call (wct_written.c) ----------------------------------------------------------------------------- */

bool wct_enters_only(const struct wct_symbol *symbol);
bool wct_has_enter_record(const struct wct_symbol *symbol);
bool wct_is_exec(const struct wct_call *call);
void wct_write_enter(struct wct_call *call, struct wci_ring *ring, const struct wct_site *site);
/*
 * As in the shim, the EXEC record stands for the call, which is counted here: its CALL record comes only if it fails. Where
 * it is lost, that one is not written either.
 */
void wct_write_exec(struct wct_call *call, struct wci_ring *ring, const struct wct_site *site);
void wct_write_exit(struct wct_call *call, struct wci_ring *ring, const struct wct_site *site);
/* The record that shows a call which waits, outside of a ring: an ENTER before it, a CALL after it. Returns its cells. */
uint32_t wct_write_question(struct wct_call *call, const struct wct_site *site, enum wci_kind kind, struct wci_cell *cell);

/* --- programs (wct_length.c) -------------------------------------------------------------------------------------- */

struct wct_evaluation {
        const struct wct_call *call;
        pid_t tid;
        uint64_t result;
};
uint64_t wct_length(const struct wct_evaluation *evaluation, uint32_t program);
const char *wct_length_refuse(const struct wct_symbol *symbol, uint32_t program); /* NULL, or what is wrong with it */

/* --- conditions (wct_when.c) -------------------------------------------------------------------------------------- */

bool wct_when_holds(const struct wct_call *call, const struct wct_site *site, uint32_t program);
const char *wct_when_refuse(const struct wct_symbol *symbol, uint32_t program); /* NULL, or what is wrong with it */

/* --- printf's and scanf's arguments (wct_variadic.c) -------------------------------------------------------------- */

/* Where the next variadic argument is. Kept from entry to exit for scanf. */
struct wct_source {
        uint64_t gp[6], fp[8];
        uint64_t overflow; /* address of the next argument on the stack */
        uint8_t gp_at, fp_at;
        bool fp_known;
        bool lost; /* an argument could not be read: what follows is unknown too */
        pid_t tid;
};
void wct_source_begin(struct wct_source *source, const struct wct_call *call, const struct wct_site *site);
uint32_t wct_variadic_printf(struct wct_source *source, const char *format, uint8_t *out);
uint32_t wct_variadic_scanf(struct wct_source *source, const char *format, int matched, uint8_t *out);

bool wct_vector_read(pid_t tid, struct user_fpregs_struct *registers);

#endif
