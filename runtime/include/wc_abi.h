/*
 * wc_abi.h: the shared memory between a program under wc-intercept and its consumer.
 *
 * Included by the runtime (what is linked into every shim), by the tracer and by C tests.  The Python side of it is
 * consumer/abi.py; tests/test_abi.py compiles this header and compares every offset.  No other file may know a layout.
 *
 * WORDS
 *   target   one function to intercept          symbol   one exported name of it (several symbols, one target)
 *   record   one intercepted call               cell     64 bytes of ring; a record is 1 to 255 consecutive cells
 *   ring     one thread's records               segment  the rings of one executed image and its forked children
 *   control  one page set per session that says what each target does now
 *
 * THE PICTURE
 *   SESSION/control      struct wci_control, struct wci_asking at WCI_ASKING_AT, then u64 word[targets + room] at
 *                        WCI_CONTROL_WORDS, then struct wci_limit[targets + room] at limits_at
 *   SESSION/seg-*        struct wci_segment, then counts for calls without a ring (struct wci_count[targets]) at
 *                        shared_counts, then rings at first_ring, each ring_stride bytes:
 *                          + 0              struct wci_ring             (one page)
 *                          + counts_offset  struct wci_count[targets]
 *                          + cells_offset   struct wci_cell[ring_cells]
 *                          at the end       levels of struct wci_question, where a target asks
 *
 * A POSITION is a u64: (lap << 32) | index.  Laps count from 0; a record never wraps: when it does not fit behind the
 * last one, FILLER cells close the lap.  index == capacity is a valid position: it means "the lap is full".
 *
 * A CELL'S LIFE (who moves the arrow)
 *   old lap --reserve (writer, cmpxchg on head)--> old stamp --header with stamp 0 (writer)--> open
 *   open --body, then stamp = lap + 1 (writer, release; the first cell of a record last)--> committed
 *   The reader accepts a record when its first cell carries the stamp of the lap that it expects.
 *
 * ABSENT ON PURPOSE: pointers (a segment is mapped anywhere), bit fields, types without an explicit width.
 */
#ifndef WC_ABI_H
#define WC_ABI_H

#include <stddef.h>
#include <stdint.h>

#define WCI_ABI_VERSION 1u
#define WCI_CONTROL_MAGIC 0x3130304c54434357ull /* "WCCTL001" */
#define WCI_SEGMENT_MAGIC 0x3130304745534357ull /* "WCSEG001" */
#define WCI_MANIFEST_MAGIC 0x3130304e414d4357ull /* "WCMAN001" */

#define WCI_CELL_SIZE 64u
#define WCI_RECORD_CELLS 255u  /* most cells of one record: count is a u8 */
#define WCI_FIRST_ARGS 36u     /* offset of the arguments in a record's first cell */
#define WCI_CONT_PAYLOAD 56u   /* bytes of a continuation cell that carry payload */
#define WCI_CHUNK_CELLS 1024u  /* 64 KiB: what one MADV_POPULATE_WRITE claims */
#define WCI_INFLIGHT 64u       /* calls that one ring remembers as being inside */
#define WCI_CLAIMS 8u
#define WCI_CONTROL_WORDS 4096u
#define WCI_CONTROL_ROOM 1024u /* targets that a running session may get */
#define WCI_SYMBOL_NONE 0xffffu

enum wci_kind {
        WCI_NOTHING = 0,
        WCI_CALL = 1,         /* a call that returned */
        WCI_ENTER = 2,        /* written before the call: record "entry" or "both", noreturn, tail-jump */
        WCI_EXEC = 3,         /* before exec*, after posix_spawn*: struct wci_exec; result 1: stands for a target's call */
        WCI_PROCESS = 4,      /* first record of a process: struct wci_identity */
        WCI_THREAD = 5,       /* the records that follow are this thread's: struct wci_identity */
        WCI_CONTROL_SEEN = 6, /* the target acted on a new control word for the first time */
        WCI_LOST = 7,         /* result records of this ring were lost between clock and clock + duration */
        WCI_CONTINUATION = 8, /* not a record: a later cell of one; count is its ordinal, 1.. */
        WCI_FILLER = 9        /* not a record: closes a lap, or what a longjmp left open; count: cells to skip (1..255) */
};

/* The first 8 bytes of every cell. Written by the ring's owner; read by the consumer. */
struct wci_cell_header {
        uint32_t stamp;  /* lap + 1 once committed (release), 0 while open; never 0 when valid */
        uint16_t symbol; /* index into the manifest's symbols */
        uint8_t kind;    /* enum wci_kind */
        uint8_t count;   /* first cell: cells of the record */
};

/* The first cell of a record, before its arguments. */
struct wci_first {
        struct wci_cell_header header;
        uint64_t clock;    /* at entry, in clock ticks (wci_control.clock); 0 when the target's clock is "none" */
        uint64_t duration; /* ticks; WCI_NO_DURATION when not measured or not returned */
        uint64_t result;   /* the return value, sign extended to 64 bits, or the bits of a double; 0 without one */
        int32_t error;     /* errno as the call left it */
        uint8_t args[28];  /* from WCI_FIRST_ARGS on: the symbol's layout */
};

#define WCI_NO_DURATION UINT64_MAX

/* The byte of a record at the manifest's Symbol.injected: what the target's inject did in this call. */
#define WCI_INJECTED 1u /* its result is the rule's: the call was not made */
#define WCI_DELAYED 2u

struct wci_cell {
        struct wci_cell_header header;
        uint8_t payload[WCI_CONT_PAYLOAD];
};

/*
 * What a captured string, buffer, struct or out-parameter leaves in the fixed part of the record. The bytes stand in
 * continuation cells, starting at the payload of cell `cell` of the record and going on over the payloads behind it.
 */
struct wci_blob {
        uint16_t length; /* bytes kept */
        uint8_t flags;   /* WCI_BLOB_* */
        uint8_t cell;    /* ordinal of the first cell in the record, 0 when no bytes were kept */
};

#define WCI_BLOB_KEPT 1u       /* the argument was looked at; without it the pointer alone is known */
#define WCI_BLOB_TRUNCATED 2u  /* there was more than was kept */
#define WCI_BLOB_UNREADABLE 4u /* the pointer could not be read */
#define WCI_BLOB_NULL 8u       /* the pointer was NULL */

/* args of PROCESS and THREAD records; their clock says since when. */
struct wci_identity {
        uint32_t pid;
        uint32_t tid;
        uint32_t parent; /* pid of the parent, PROCESS only */
        uint32_t reason; /* PROCESS: enum wci_process_reason */
};

/* args of EXEC records; the path stands in the blob. */
struct wci_exec {
        struct wci_blob path;
        uint32_t pid; /* who runs it: the caller for exec*, the child for posix_spawn* */
};

/* args of CONTROL_SEEN records: from this call on, this ring obeys the word. The header's symbol is the one called. */
struct wci_seen {
        uint32_t target;
        uint32_t generation;
        uint32_t frequency;
        uint32_t flags; /* WCI_WORD_*, without ON: a target that is off is not called here */
        uint32_t most;  /* struct wci_limit's, 0 without WCI_WORD_LIMITED */
        uint32_t shortest_ns[2]; /* low word first */
};

enum wci_process_reason { WCI_PROCESS_EXEC = 1, WCI_PROCESS_FORK = 2, WCI_PROCESS_VFORK = 3 };

enum wci_loss {
        WCI_LOSS_FULL = 0,   /* ring full and policy drop, or block_ms spent */
        WCI_LOSS_MEMORY = 1, /* no page to be had for the ring */
        WCI_LOSS_RING = 2,   /* no ring free for this thread */
        WCI_LOSS_QUIET = 3,  /* after a seccomp filter: would have needed a system call */
        WCI_LOSS_NESTED = 4, /* ring full in a signal handler that interrupted an open record */
        WCI_LOSSES = 8
};

/*
 * Per target and ring, monotone. Writer: the ring's owner, one unlocked instruction each.
 * calls = sampled + filtered + suppressed + returned + inside, where inside (a difference of counters, not a counter)
 * are the calls that never came back: unfinished when the program ended in them, else abandoned (longjmp, exception,
 * cancellation, thread exit).  A call whose ENTER (noreturn, tail-jump, record "entry") or EXEC record stands for it
 * counts as returned when that record is written, not again later.
 */
struct wci_count {
        uint64_t calls;      /* made while the target was on */
        uint64_t sampled;    /* sampled out by frequency */
        uint64_t filtered;
        uint64_t suppressed; /* made inside a handler */
        uint64_t lost;
        uint64_t returned;   /* recorded (counted just behind the commit) or lost: see consumer/accounting.py for the rest */
        uint64_t phase;      /* calls of the present owner, for frequency; not part of the identity */
        uint32_t generation; /* of the control word that this ring acted on last; 0 at the start, as the words' own */
        uint32_t offered;    /* calls of the present owner that came to the target's inject rule; not part of the identity */
};

/* One call that the ring's owner is inside of. Advisory: nothing's safety depends on it. */
struct wci_inside {
        uint64_t clock;
        uint64_t frame;    /* address of the wrapper's frame */
        uint64_t argument; /* the first one */
        uint32_t serial;   /* changes whenever the slot is taken */
        uint16_t symbol;
        uint16_t spare;
};

struct wci_claim {
        uint64_t position; /* head when the ring was claimed */
        uint32_t pid;
        uint32_t tid;
};

struct wci_ring {
        /* The writer's line. */
        uint64_t head;       /* position of the next free cell; unlocked cmpxchg; a hint to the reader, never a truth */
        uint32_t owner_pid;  /* 0: free. Changed by locked cmpxchg of the pair (owner_pid, owner_tid) as one u64 */
        uint32_t owner_tid;
        uint32_t record_pid; /* whose records are being written: owner_pid but for a vfork child */
        uint32_t ready;      /* cells usable now: populated in the first lap, then capacity */
        uint32_t capacity;   /* cells of a lap; shrinks once if memory ends in the first lap */
        uint32_t sampled;    /* 1 once a call of this ring was subject to a frequency: phases are not all zero */
        uint32_t claims;     /* times this ring was claimed; claim[(claims - 1) % WCI_CLAIMS] is the present one */
        uint32_t lost_any;   /* 1 while pending_lost waits to be told */
        uint64_t pending_lost; /* lost since the last LOST record */
        uint64_t pending_clock; /* clock of the first of them */
        uint64_t slack; /* how far head may be before tail: one lap, or without limit when overwriting */

        /* The reader's line. */
        uint64_t tail; /* position up to which the consumer has taken everything; pwrite by the consumer */
        uint64_t reader_spare[7];

        /* The meeting line: written by a blocked writer, watched by the consumer. */
        uint32_t waiting;   /* 1 while the owner sleeps in futex on wake */
        uint32_t wake;      /* futex word; the consumer adds 1 and wakes */
        uint64_t stalls;    /* times the owner had to wait */
        uint64_t stall_ticks;
        uint64_t budget_tail; /* tail when the last block budget was spent: drop until it moves */
        uint64_t high_water;  /* most cells in use at once, seen when waiting */
        uint64_t meeting_spare[3];

        uint64_t losses[WCI_LOSSES]; /* records lost, by reason */

        struct wci_claim claim[WCI_CLAIMS];

        /* In-flight stack: depth first, in a line of its own. */
        uint32_t depth; /* calls inside; those beyond WCI_INFLIGHT have no entry */
        uint32_t serial;
        uint32_t ask_depth; /* questions of this ring that wait for their answers, or are just answered */
        uint32_t ask_ready; /* levels of questions whose pages are claimed */
        uint64_t inside_spare[6];
        struct wci_inside inside[WCI_INFLIGHT];
};

/*
 * A question: a call that waits until somebody outside of the program has decided about it. Only shims with a target that
 * asks have room for them: WCI_ASK_LEVELS of WCI_ASK_SIZE bytes at the end of each ring. A level is one question; the next
 * is for a signal handler that makes such a call meanwhile. In a level: this struct, at WCI_ASK_CELLS the record that shows
 * the call (an ENTER before it, a CALL after it; stamps are 0), at WCI_ASK_TEXT the strings of the answer.
 * Order: cells, asked (release), asking, hint, wake -> answer, then answered with verdict (a write of its own), wake.
 * The tracer asks for its tracees in the same way, each in the first level of its ring.
 */
#define WCI_ASK_LEVELS 4u
#define WCI_ASK_SIZE 28672u
#define WCI_ASK_CELLS 512u
#define WCI_ASK_TEXT 16896u
#define WCI_ASK_VALUES 32u
#define WCI_ASKING_AT 3520u /* in the control file: struct wci_asking */
#define WCI_HINTS 64u
#define WCI_HINT(pid, ring, level) ((uint64_t)(pid) << 32 | (uint64_t)(ring) << 8 | (level)) /* pid: the segment's */

struct wci_asking {
        uint32_t asking; /* futex word: by programs, plus 1 for each question that is there to be answered */
        uint32_t answers; /* futex word: by who answers, plus 1 for each answer to a question with `counted` */
        uint64_t hint[WCI_HINTS]; /* the question that made asking n + 1 has left hint[n % WCI_HINTS] (WCI_HINT) */
};

struct wci_question {
        /* The asker's line. */
        uint32_t asked;  /* number of the question that waits; 0: none */
        uint32_t serial; /* of the last one; skips 0 */
        uint32_t cells;
        uint32_t pid;
        uint32_t tid;
        uint32_t counted; /* 1: who asks waits for many answers, on asking.answers: nobody sleeps on `answered` */
        uint64_t frame;  /* address in the wrapper that asks */
        uint64_t asker_spare[4];

        /* The answerer's lines. */
        uint32_t answered; /* futex word: number of the question that this answers */
        uint32_t verdict;  /* WCI_VERDICT(answered, enum wci_verdict): written with answered, and valid only with it */
        int32_t error;     /* WCI_RESULT: what errno is to be, 0: as it is */
        uint32_t changed;  /* bit i: value[i] replaces the argument of the symbol's field i */
        uint32_t texts;    /* bit i: value[i] is an offset behind WCI_ASK_TEXT; there stands a string */
        uint32_t answer_spare32;
        uint64_t result;
        uint64_t delay_ns; /* the call waits so long before it goes on, or returns */
        uint64_t answer_spare[3];
        uint64_t value[WCI_ASK_VALUES]; /* numbers sign extended, floating ones as the bits of a double */
};

/* WCI_GO: nothing else is said, and the rest of the answer is an older one's. */
enum wci_verdict { WCI_GO = 0, WCI_RESULT = 1, WCI_CHANGED = 2 };
#define WCI_VERDICT(number, verdict) ((uint32_t)(number) << 8 | (verdict))

struct wci_segment {
        uint64_t magic;
        uint32_t abi;
        uint32_t header_size; /* sizeof(struct wci_segment) */
        uint64_t manifest;    /* the manifest's hash: must be the session's */
        uint32_t targets;
        uint32_t rings;
        uint64_t size;        /* of the file */
        uint64_t shared_counts;
        uint64_t first_ring;
        uint64_t ring_stride;
        uint64_t counts_offset; /* within a ring */
        uint64_t cells_offset;
        uint32_t ring_cells;
        uint32_t cell_size;
        uint32_t pid;         /* of the executed image */
        uint32_t parent;
        uint64_t start;       /* clock ticks */
        uint32_t rings_used;  /* rings ever claimed: the reader looks at no others */
        uint32_t degraded;    /* WCI_LOSS_* + 1 of the first thing that went wrong, 0 if nothing */
        uint32_t quiet;       /* a seccomp filter may be in force */
        uint32_t closed;      /* the runtime has turned itself off */
        uint64_t shared_losses[WCI_LOSSES];
        char program[256];    /* path of the executed image, cut */
};

enum wci_policy { WCI_BLOCK = 0, WCI_DROP = 1, WCI_OVERWRITE = 2 };
enum wci_clock { WCI_CLOCK_TSC = 0, WCI_CLOCK_MONOTONIC = 1 };

/* One per session. Created by wc-run before the program starts; the fields' owner is wc-run unless said otherwise. */
struct wci_control {
        uint64_t magic;
        uint32_t abi;
        uint32_t targets;
        uint64_t manifest;
        uint64_t size;
        uint32_t policy;       /* enum wci_policy */
        uint32_t block_ms;
        uint32_t clock;        /* enum wci_clock */
        uint32_t ring_cells;
        uint32_t rings;        /* per segment */
        uint32_t string_limit; /* bytes; paths are never cut */
        uint32_t follow;       /* enum wci_follow */
        uint32_t consumer_pid;

        uint64_t heartbeat;    /* CLOCK_MONOTONIC ns, by the consumer at least every 50 ms */
        uint64_t closed;       /* 1: wrappers pass through. By wc-run at the end, or by a program whose consumer died */
        uint64_t spare1[4];
        uint32_t ask_ms;       /* how long a call waits for its answer; 0: this session asks nothing */
        uint32_t ask_default;  /* errno of a call that got no answer; 0: it goes on */
        uint32_t asked_by;     /* pid of who answers; 0: nobody (any more). By who answers, and by wc-run */
        uint32_t asked_spare32;

        uint64_t budget;       /* bytes that all segments of the session may populate */
        uint64_t used;         /* bytes populated so far; locked add by programs */
        uint64_t no_segment;   /* images that ran without recording because no segment could be made */
        uint32_t room;         /* words and limits behind those of targets, zero: for targets that come later */
        uint32_t spare32;
        uint64_t limits_at;    /* offset of struct wci_limit[targets + room] */
        uint64_t spare2[3];
};

enum wci_follow { WCI_FOLLOW_NONE = 0, WCI_FOLLOW_DEFAULT = 1, WCI_FOLLOW_ALL = 2 };

/*
 * A target's control word:
 *   bit 0        enabled
 *   bits 1..7    flags: WCI_WORD_*
 *   bits 16..31  its generation: changes with every change of the word
 *   bits 32..63  frequency: record and handle every Nth call; 0 and 1 both mean each
 */
#define WCI_WORD_ON 1ull
#define WCI_WORD_DROP 2ull /* on_full: drop, in a block session */
#define WCI_WORD_LIMITED 4ull /* the target's struct wci_limit says more */
#define WCI_WORD_UNUSUAL (WCI_WORD_LIMITED | ~0x1ffffffffull) /* any of these: not every call is recorded */
#define WCI_WORD_GENERATION(word) ((uint32_t)((word) >> 16) & 0xffffu)
#define WCI_WORD_FREQUENCY(word) ((uint32_t)((word) >> 32))

/*
 * What a target with WCI_WORD_LIMITED obeys besides its word. A line of its own: `window` is written by every thread of the
 * session. The rest is stored by whoever changes the word, before the word.
 */
struct wci_limit {
        uint64_t window;       /* (number of the second << 32) | records let through in it; locked cmpxchg by programs */
        uint64_t second;       /* ticks of a second */
        uint64_t most;         /* records in a second, of all threads together; 0: any number */
        uint64_t shortest;     /* ticks; calls that took less are filtered; 0: none */
        uint64_t shortest_ns;  /* the same as it was given */
        uint64_t spare[3];
};

/*
 * The manifest, in section .wc_manifest of every shim:
 *   u64 magic, u32 abi, u32 targets, u64 hash, u32 json bytes, u32 0, u64 word[targets], then UTF-8 JSON
 */
struct wci_manifest_head {
        uint64_t magic;
        uint32_t abi;
        uint32_t targets;
        uint64_t hash;
        uint32_t json_size;
        uint32_t spare;
};

#define WCI_ASSERT_LAYOUT(what, why) _Static_assert(what, why)
WCI_ASSERT_LAYOUT(sizeof(struct wci_cell) == WCI_CELL_SIZE, "a cell is one cache line");
WCI_ASSERT_LAYOUT(sizeof(struct wci_first) == WCI_CELL_SIZE, "a small record is one cell");
WCI_ASSERT_LAYOUT(offsetof(struct wci_first, args) == WCI_FIRST_ARGS, "layouts start at 36");
WCI_ASSERT_LAYOUT(sizeof(struct wci_blob) == 4, "a blob is described in 4 bytes");
WCI_ASSERT_LAYOUT(sizeof(struct wci_identity) <= 28, "an identity fits its record");
WCI_ASSERT_LAYOUT(sizeof(struct wci_seen) <= 28, "a word seen fits its record");
WCI_ASSERT_LAYOUT(sizeof(struct wci_count) == 64, "counters of one target share one line");
WCI_ASSERT_LAYOUT(offsetof(struct wci_ring, owner_pid) == 8, "the owner is compared as one aligned u64");
WCI_ASSERT_LAYOUT(offsetof(struct wci_ring, tail) == 64, "reader and writer do not share a line");
WCI_ASSERT_LAYOUT(offsetof(struct wci_ring, waiting) == 128, "the meeting line is nobody's hot line");
WCI_ASSERT_LAYOUT(offsetof(struct wci_ring, depth) % 64 == 0, "the in-flight stack has lines of its own");
WCI_ASSERT_LAYOUT(sizeof(struct wci_ring) <= 4096, "a ring's header is one page");
WCI_ASSERT_LAYOUT(sizeof(struct wci_segment) <= 4096, "a segment's header is one page");
WCI_ASSERT_LAYOUT(offsetof(struct wci_question, answered) == 64, "asker and answerer do not share a line");
WCI_ASSERT_LAYOUT(sizeof(struct wci_question) <= WCI_ASK_CELLS, "cells begin behind the question");
WCI_ASSERT_LAYOUT(WCI_ASK_CELLS + WCI_RECORD_CELLS * WCI_CELL_SIZE <= WCI_ASK_TEXT, "any record is a question");
WCI_ASSERT_LAYOUT(WCI_ASK_SIZE % 4096 == 0 && WCI_ASK_TEXT + 2 * 4096 < WCI_ASK_SIZE, "two paths fit an answer");
WCI_ASSERT_LAYOUT(sizeof(struct wci_control) <= WCI_ASKING_AT, "asking stands behind the control struct");
WCI_ASSERT_LAYOUT(WCI_ASKING_AT + sizeof(struct wci_asking) <= WCI_CONTROL_WORDS, "and before the words");
WCI_ASSERT_LAYOUT(WCI_ASKING_AT % 64 == 0, "asking has its own line");
WCI_ASSERT_LAYOUT(sizeof(struct wci_control) <= WCI_CONTROL_WORDS, "the words have a page of their own");
WCI_ASSERT_LAYOUT(sizeof(struct wci_limit) == 64, "limits of one target share one line, and no other's");
WCI_ASSERT_LAYOUT(offsetof(struct wci_control, heartbeat) % 64 == 0, "the heartbeat has its own line");

#endif
