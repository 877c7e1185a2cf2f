/*
 * wci_shim.h: what a generated wrapper is made of. Included by generated C and by the runtime's own files.
 *
 * A wrapper calls, in this order:  INITIAL -> wci_enter -> the real call, in exactly one place -> wci_returned ->
 * captures (wci_path, wci_string, ...) -> wci_record -> stores -> wci_commit -> wci_leave.
 *
 * Rules (numbered in ARCHITECTURE.md) that this file keeps:
 *   R1  no malloc, stdio, locale, lock, or system call per event; initial-exec TLS of at most 64 bytes
 *   R2  errno after a wrapper is what the real call left: nothing behind wci_returned touches it
 *   R3  the record path has no guard; a signal handler may write records in the middle of another
 *   R7  which pointer may be read directly, and when, is decided by the generator: wci_path and the _proven captures
 *       read directly, the others through process_vm_readv on ourselves
 *   R8  a fork child notices by wci_alive->pid, which is zero there
 * Absent on purpose: policy. What is captured, and how, is in the generated code.
 */
#ifndef WCI_SHIM_H
#define WCI_SHIM_H

#include "wc_abi.h"
#include "wci_sys.h"

#define WCI_HIDDEN __attribute__((visibility("hidden")))
#define WC_EXPORT __attribute__((visibility("default")))

/* Page of its own, wiped by the kernel in a fork child. */
struct wci_alive {
        uint32_t pid; /* whose memory this is; 0: nobody looked since the fork */
        uint32_t quiet;
        uint32_t control; /* wci_control.c's: the control thread; UINT32_MAX while it is being made; 0: none */
        uint32_t ending;  /* 1: that shall end */
        uint32_t clean;   /* 1: a fork that left nothing half loaded, or none */
};

/* R1: at most 64 bytes. */
struct wci_tls {
        struct wci_ring *ring;      /* NULL: ask wci_ring_acquire */
        int *error;                 /* &errno of this thread, set with ring */
        struct wci_ring *vfork;     /* the thread's ring while a vfork child may be using it */
        struct wci_ring *suspended; /* the thread's ring while a user handler runs */
        uintptr_t handler_frame;    /* frame that started the handler; 0: none */
        struct user_regs_struct *regs; /* what that handler sees */
        uint64_t result;            /* of a tail-jump that its handler skipped */
        uint32_t retry;             /* calls to let pass before the next attempt to claim a ring */
        uint32_t resolving;         /* inside dlsym: malloc's family is served from the bootstrap arena (R11) */
};

extern WCI_HIDDEN __thread struct wci_tls wci_tls __attribute__((tls_model("initial-exec")));
extern WCI_HIDDEN struct wci_alive *wci_alive;
extern WCI_HIDDEN const uint64_t *wci_words; /* control words: the session's, or all zero without one (R10) */
extern WCI_HIDDEN struct wci_control *wci_control;
extern WCI_HIDDEN struct wci_limit *wci_limits; /* by target; NULL without a session */
extern WCI_HIDDEN uint32_t wci_clock_kind;
extern WCI_HIDDEN uint32_t wci_string_limit;

/* From the generated part. */
extern WCI_HIDDEN const uint32_t wci_targets;
#ifndef WCI_TARGETS /* generated code knows the number */
#define WCI_TARGETS wci_targets
#endif
extern WCI_HIDDEN const uint64_t wci_manifest_hash;

/* One function pointer to fill. */
struct wci_slot {
        const char *name;
        const char *version; /* NULL: the default one */
        const char *library; /* NULL: libc */
        void **pointer;
};

struct wci_call {
        struct wci_ring *ring;
        uint64_t clock;
        uint64_t duration;
        uint32_t claims;
        uint32_t depth;
        int32_t error;
        uint32_t target;
};

#define WCI_CAPTURE_WINDOW 72u /* bytes of an unproven string that one system call brings */

struct wci_capture {
        const void *from;
        uint32_t length;
        uint8_t flags;
        uint8_t guarded;   /* read through the kernel */
        uint8_t in_window; /* already here */
        uint8_t spare;
        uint16_t cells;
        uint8_t window[WCI_CAPTURE_WINDOW];
};

/* An empty capture. Not an initialiser: that would clear the window with a call of memset, which may be our wrapper. */
WCI_INLINE void
wci_capture_begin(struct wci_capture *capture, const void *from, uint8_t flags)
{
        capture->from = from;
        capture->length = 0;
        capture->flags = flags;
        capture->guarded = capture->in_window = capture->spare = 0;
        capture->cells = 0;
}

/* R7: what the call's outcome proves about a string. */
#define WCI_PROVEN 1u       /* all of it was read or written */
#define WCI_PROVEN_FIRST 2u /* its first byte was, and so its page may be */

/* In place of, or added to, a target: a record whose loss is no loss of a call (the runtime's own, half of a call). */
#define WCI_UNCOUNTED 0x80000000u

/* What a target's configuration fixes at generation. */
#define WCI_CLOCK_AT_ENTRY 1u
#define WCI_CLOCK_AT_EXIT 2u
#define WCI_LIMIT_LATE 4u  /* the wrapper asks wci_limited itself: handlers come first */
#define WCI_LIMIT_EARLY 8u /* what it writes before the call counts: no limit can wait for the duration */

/* In a call's claims: its target's limits are still to be asked. So marked, the call is not taken for an ordinary one. */
#define WCI_CALL_LIMITED 0x80000000u

WCI_HIDDEN struct wci_ring *wci_ring_acquire(uint32_t target, uintptr_t frame);
WCI_HIDDEN bool wci_ring_make_room(struct wci_ring *ring, uint32_t target, uint32_t cells);
WCI_HIDDEN uint64_t wci_clock_slow(void);
WCI_HIDDEN void wci_resolve(const struct wci_slot *slot);
WCI_HIDDEN struct wci_capture wci_capture_text(const void *from, uint32_t limit, uint32_t proof);
WCI_HIDDEN struct wci_capture wci_capture_text_within(const void *from, uint64_t size, uint32_t limit, uint32_t proof);
WCI_HIDDEN struct wci_capture wci_capture_bytes(const void *from, uint64_t length, uint32_t limit, bool proven);
WCI_HIDDEN struct wci_capture wci_capture_texts(char *const *from, uint32_t limit, uint8_t *room, uint32_t size);
WCI_HIDDEN struct wci_blob wci_capture_put(void *record, uint32_t ordinal, const struct wci_capture *capture);
WCI_HIDDEN uint32_t wci_varargs_printf(const char *format, __builtin_va_list args, uint8_t *out, uint32_t room,
                                       uint32_t text_limit);
WCI_HIDDEN uint32_t wci_varargs_scanf(const char *format, __builtin_va_list args, int matched, uint8_t *out,
                                      uint32_t room, uint32_t text_limit);

#define WCI_PATH_LIMIT 4096u
#define WCI_AHEAD 8u /* cells; may lie behind the ring, a prefetch never faults */

WCI_INLINE struct wci_count *
wci_ring_counts(struct wci_ring *ring, uint32_t target)
{
        return (struct wci_count *)((char *)ring + 4096) + target;
}

WCI_INLINE struct wci_cell *
wci_ring_cells(struct wci_ring *ring)
{
        const size_t counts = (WCI_TARGETS * sizeof(struct wci_count) + 4095u) & ~(size_t)4095u;
        return (struct wci_cell *)((char *)ring + 4096 + counts);
}

WCI_INLINE uint64_t
wci_clock(void)
{
        return WCI_LIKELY(wci_clock_kind == WCI_CLOCK_TSC) ? wci_rdtsc() : wci_clock_slow();
}

/* Note that the thread is inside the call. Entries left behind by a longjmp are those of deeper frames: drop them. */
WCI_INLINE void
wci_inside_push(struct wci_ring *ring, struct wci_call *call, uint32_t symbol, uint64_t argument, uintptr_t frame)
{
        uint32_t depth = ring->depth;
        while (WCI_UNLIKELY(depth != 0 && depth <= WCI_INFLIGHT && ring->inside[depth - 1].frame <= frame))
                depth--;
        if (WCI_LIKELY(depth < WCI_INFLIGHT)) {
                struct wci_inside *inside = &ring->inside[depth];
                inside->clock = call->clock;
                inside->frame = frame;
                inside->argument = argument;
                inside->symbol = (uint16_t)symbol;
                WCI_ORDER(); /* a reader that sees the new depth must see whose entry it is */
        }
        ring->depth = depth + 1;
        call->depth = depth;
}

/* These take values, not the call: so it stays in registers. */
WCI_HIDDEN uint32_t wci_enter_unusual(struct wci_ring *ring, uint64_t word, uint32_t target, uint32_t clocks);
WCI_HIDDEN bool wci_returned_limited(struct wci_ring *ring, uint32_t claims, uint32_t depth, uint32_t target,
                                     uint64_t duration, uint32_t clocks);
WCI_HIDDEN bool wci_limit_ask(struct wci_ring *ring, uint32_t target, uint64_t duration);
WCI_HIDDEN void wci_control_seen(struct wci_ring *ring, uint64_t word, uint32_t target, uint32_t symbol);

/*
 * A call of a target that is on: count it. Returns false when it is sampled out, over the target's limit, suppressed, or
 * there is no ring to be had.
 */
WCI_INLINE bool
wci_enter_count(struct wci_call *call, uint64_t word, uint32_t target, uint32_t symbol, uint32_t clocks, uintptr_t frame)
{
        struct wci_ring *ring = wci_tls.ring;
        if (WCI_UNLIKELY(ring == NULL || ring->owner_pid != wci_alive->pid)) {
                ring = wci_ring_acquire(target, frame);
                if (ring == NULL)
                        return false;
        }
        struct wci_count *count = wci_ring_counts(ring, target);
        if (WCI_UNLIKELY(count->generation != WCI_WORD_GENERATION(word)))
                wci_control_seen(ring, word, target, symbol);
        wci_add_unlocked(&count->calls, 1);
        call->ring = ring;
        call->claims = ring->claims;
        call->target = target;
        if (WCI_LIKELY(!(word & WCI_WORD_UNUSUAL)))
                return true;
        call->claims = wci_enter_unusual(ring, word, target, clocks);
        return call->claims != 0;
}

/* It is to be recorded: take the time, and note that the thread is inside it. */
WCI_INLINE void
wci_enter_begin(struct wci_call *call, uint32_t symbol, uint64_t argument, uint32_t clocks, uintptr_t frame)
{
        call->clock = clocks & WCI_CLOCK_AT_ENTRY ? wci_clock() : 0;
        wci_inside_push(call->ring, call, symbol, argument, frame);
}

/*
 * Enter a call of a target that is on. Returns false when this call is not to be recorded: sampled out, suppressed, or
 * no ring to be had; then it has been counted as that.
 */
WCI_INLINE bool
wci_enter_on(struct wci_call *call, uint64_t word, uint32_t target, uint32_t symbol, uint64_t argument, uint32_t clocks)
{
        const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
        if (!wci_enter_count(call, word, target, symbol, clocks, frame))
                return false;
        wci_enter_begin(call, symbol, argument, clocks, frame);
        return true;
}

WCI_INLINE bool
wci_enter(struct wci_call *call, uint32_t target, uint32_t symbol, uint64_t argument, uint32_t clocks)
{
        const uint64_t word = __atomic_load_n(&wci_words[target], __ATOMIC_RELAXED);
        if (WCI_LIKELY(!(word & WCI_WORD_ON)))
                return false;
        return wci_enter_on(call, word, target, symbol, argument, clocks);
}

/*
 * The real call is back: take the time and errno. Returns false when the call is not this process's to record: a fork
 * child that comes back through a wrapper its parent entered (R8), or a ring that has found a new owner; or when the
 * target's limits are against it.
 */
WCI_INLINE bool
wci_returned(struct wci_call *call, uint32_t clocks)
{
        if (clocks & WCI_CLOCK_AT_EXIT)
                call->duration = wci_clock() - call->clock;
        else
                call->duration = WCI_NO_DURATION;
        struct wci_ring *ring = call->ring;
        if (WCI_UNLIKELY(ring->owner_pid != wci_alive->pid || ring->claims != call->claims) &&
            !wci_returned_limited(ring, call->claims, call->depth, call->target, call->duration, clocks))
                return false;
        call->error = *wci_tls.error;
        return true;
}

/* Whether the target's limits are against recording a call that they were not asked about yet: then it is counted so. */
WCI_INLINE bool
wci_limited(struct wci_call *call, uint64_t duration)
{
        if (WCI_LIKELY(!(call->claims & WCI_CALL_LIMITED)))
                return false;
        call->claims &= ~WCI_CALL_LIMITED;
        return !wci_limit_ask(call->ring, call->target, duration);
}

/* The call is recorded, or lost: the thread is inside it no more. Not before: see abandoned in wci_ring.c. */
WCI_INLINE void
wci_leave(const struct wci_call *call)
{
        call->ring->depth = call->depth;
}

/* Room for cells: true when the record fits behind head in this lap and the reader has freed the place. */
WCI_INLINE bool
wci_ring_fits(const struct wci_ring *ring, uint64_t head, uint32_t cells)
{
        const uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
        return (int64_t)(tail + ring->slack - (head + cells)) >= 0;
}

WCI_INLINE struct wci_cell *
wci_ring_reserve(struct wci_ring *ring, uint32_t target, uint32_t cells, uint32_t *stamp)
{
        uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
        for (;;) {
                if (WCI_UNLIKELY((uint32_t)head + cells > ring->ready || !wci_ring_fits(ring, head, cells))) {
                        if (!wci_ring_make_room(ring, target, cells))
                                return NULL;
                        head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
                        continue;
                }
                if (WCI_LIKELY(wci_cmpxchg_unlocked(&ring->head, &head, head + cells)))
                        break;
        }
        *stamp = (uint32_t)(head >> 32) + 1;
        struct wci_cell *cell = wci_ring_cells(ring) + (uint32_t)head;
        /* The reader's processor has the lines of the next records since the last lap: ask for them ahead of time. */
        __asm__ volatile("prefetchw %0" ::"m"(cell[WCI_AHEAD]));
        return cell;
}

/* Write the open headers: stamp 0 first, so that an old stamp never vouches for a new body. */
WCI_INLINE void
wci_cells_open(struct wci_cell *cell, uint32_t symbol, uint32_t kind, uint32_t cells)
{
        const uint64_t first = (uint64_t)symbol << 32 | (uint64_t)kind << 48 | (uint64_t)cells << 56;
        __atomic_store_n((uint64_t *)&cell->header, first, __ATOMIC_RELAXED);
        for (uint32_t i = 1; WCI_UNLIKELY(i < cells); i++)
                __atomic_store_n((uint64_t *)&cell[i].header,
                                 (uint64_t)symbol << 32 | (uint64_t)WCI_CONTINUATION << 48 | (uint64_t)i << 56,
                                 __ATOMIC_RELAXED);
        WCI_ORDER(); /* headers before bodies */
}

struct wci_record_head {
        struct wci_first *first;
        uint32_t stamp;
        uint32_t cells;
};

/* Reserve and open the record of a call; NULL when it was lost (and counted). The caller stores and commits. */
WCI_INLINE struct wci_record_head
wci_record(struct wci_call *call, uint32_t symbol, uint32_t kind, uint32_t cells, uint64_t result)
{
        struct wci_record_head head = {.cells = cells};
        struct wci_cell *cell = wci_ring_reserve(call->ring, call->target, cells, &head.stamp);
        if (WCI_UNLIKELY(cell == NULL))
                return head;
        wci_cells_open(cell, symbol, kind, cells);
        head.first = (struct wci_first *)cell;
        head.first->clock = call->clock;
        head.first->duration = call->duration;
        head.first->result = result;
        head.first->error = call->error;
        return head;
}

/* Commit: stamps with release, continuations first, the first cell last. */
WCI_INLINE void
wci_commit(const struct wci_record_head *head)
{
        struct wci_cell *cell = (struct wci_cell *)head->first;
        WCI_ORDER(); /* bodies before stamps */
        for (uint32_t i = head->cells; WCI_UNLIKELY(--i != 0);)
                __atomic_store_n(&cell[i].header.stamp, head->stamp, __ATOMIC_RELEASE);
        __atomic_store_n(&cell->header.stamp, head->stamp, __ATOMIC_RELEASE);
}

/* The record is committed: a longjmp out of anything before leaves a call that never returned. */
WCI_INLINE void
wci_count_returned(const struct wci_call *call)
{
        wci_add_unlocked(&wci_ring_counts(call->ring, call->target)->returned, 1);
}

/*
 * The same out of line, for wrappers that capture what is behind pointers or are hardly ever on: there a call more does
 * not show, and generated code stays a third of the size (which is what compiling it costs).
 */
WCI_HIDDEN bool wci_enter_far(struct wci_call *call, uint64_t word, uint32_t target, uint32_t symbol, uint64_t argument,
                              uint32_t clocks);
WCI_HIDDEN bool wci_returned_far(struct wci_call *call, uint32_t clocks);
WCI_HIDDEN struct wci_record_head wci_record_far(struct wci_call *call, uint32_t symbol, uint32_t kind, uint32_t cells,
                                                 uint64_t result);
WCI_HIDDEN void wci_commit_far(const struct wci_record_head *head);

WCI_INLINE bool
wci_enter_if_on(struct wci_call *call, uint32_t target, uint32_t symbol, uint64_t argument, uint32_t clocks)
{
        const uint64_t word = __atomic_load_n(&wci_words[target], __ATOMIC_RELAXED);
        if (WCI_LIKELY(!(word & WCI_WORD_ON)))
                return false;
        return wci_enter_far(call, word, target, symbol, argument, clocks);
}

/* errno values which prove that the kernel read the whole path; EFAULT and ENAMETOOLONG do not. */
WCI_HIDDEN bool wci_errno_proves_path(int error);

/* Take as many of the capture's cells as the record has left; what does not fit is cut. */
WCI_INLINE void
wci_capture_fit(struct wci_capture *capture, uint32_t *cells)
{
        if (WCI_UNLIKELY(*cells + capture->cells > WCI_RECORD_CELLS)) {
                capture->cells = (uint16_t)(WCI_RECORD_CELLS - *cells);
                capture->length = capture->cells * WCI_CONT_PAYLOAD;
                capture->flags |= WCI_BLOB_TRUNCATED;
        }
        *cells += capture->cells;
}

#endif
