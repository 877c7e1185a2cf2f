/*
 * wci_runtime.h: what the runtime's files share with each other and generated code does not see.
 */
#ifndef WCI_RUNTIME_H
#define WCI_RUNTIME_H

#include "wci_shim.h"

#define WCI_NO_TAIL UINT64_MAX /* wci_ring.budget_tail while no budget has been spent: no tail is that */

extern WCI_HIDDEN struct wci_segment *wci_segment; /* NULL: nothing is recorded (R4, R10) */
extern WCI_HIDDEN bool wci_quiet;                  /* R9: a seccomp filter may be in force: no system call at all */

/* From the generated part: tables of pointers to fill, handlers to look up, 1 if any target samples. */
struct wci_handler_names {
        uint32_t target;
        const char *enter; /* NULL: none */
        const char *leave;
};
extern WCI_HIDDEN const struct wci_slot *const *const wci_slot_tables[]; /* each ends with NULL, as do they */
extern WCI_HIDDEN const struct wci_handler_names wci_handler_names[];    /* ends with two NULL names */
extern WCI_HIDDEN const uint32_t wci_samples;
extern WCI_HIDDEN const uint32_t wci_has_questions; /* 1: a target asks, so that rings have room for questions */
extern WCI_HIDDEN const uint64_t wci_no_words[]; /* one zero word per target */

WCI_HIDDEN void wci_ring_first(void);
WCI_HIDDEN void wci_consumer_look(void);
WCI_HIDDEN bool wci_consumer_is_dead(uint64_t now);
WCI_HIDDEN bool wci_populate(void *start, size_t size);
WCI_HIDDEN void wci_degrade(enum wci_loss reason);
WCI_HIDDEN void wci_turn_off(void);
WCI_HIDDEN bool wci_turned_off(void);
WCI_HIDDEN uint64_t wci_monotonic_ns(void);
WCI_HIDDEN int *wci_errno_location(void);

WCI_HIDDEN bool wci_segment_open(const char *session);
#define WCI_CLOCK_FROZEN 2u /* wci_clock_kind, besides enum wci_clock */
WCI_HIDDEN void wci_clock_init(void);
WCI_HIDDEN void wci_clock_freeze(void);
WCI_HIDDEN void wci_resolve_all(void);
WCI_HIDDEN void wci_when_resolve(void); /* what `caller` in a `when` needs */
WCI_HIDDEN void *wci_dlopen(const char *name, int flags);
WCI_HIDDEN char *wci_dlerror(void);
WCI_HIDDEN void wci_handlers_load(void);
WCI_HIDDEN const char *wci_session_path(void);
WCI_HIDDEN char *const *wci_own_environment(void); /* WC_SESSION and LD_PRELOAD as we were started with; NULL ends it */

/* Up to size bytes of our own memory; fewer when a page is missing. */
WCI_HIDDEN uint32_t wci_guarded_read(void *to, uintptr_t from, uint32_t size);
WCI_HIDDEN uint32_t wci_read_text(const char *text, uint8_t *to, uint32_t limit, bool *more);

/* Text without libc. Every function bounds what it writes and ends it with NUL. */
struct wci_text {
        char *at;
        char *end;
};
WCI_HIDDEN void wci_text_add(struct wci_text *text, const char *string);
WCI_HIDDEN void wci_text_add_number(struct wci_text *text, uint64_t number, unsigned base);
WCI_HIDDEN size_t wci_text_length(const char *string);
WCI_HIDDEN bool wci_text_starts(const char *string, const char *prefix);

/* Claim the pages of the ring up to the cell index `upto`; false when there is no memory or no budget for them. */
WCI_INLINE bool
wci_ring_populate(struct wci_ring *ring, uint32_t from, uint32_t upto)
{
        char *start = (char *)(wci_ring_cells(ring) + from);
        return wci_populate(start, (upto - from) * sizeof(struct wci_cell));
}

/* How far head may run before tail. */
WCI_INLINE uint64_t
wci_ring_slack(void)
{
        return wci_control->policy == WCI_OVERWRITE ? 1ull << 62 : 1ull << 32;
}

#endif
