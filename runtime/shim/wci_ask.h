/*
 * wci_ask.h: a wrapper's question to somebody outside of the program (see wci_ask.c). Included by generated wrappers.
 *
 * A wrapper calls, in this order:  wci_asks -> captures -> wci_ask_begin -> stores -> wci_ask_before or wci_ask_after ->
 * wci_ask_number, wci_ask_text for each argument that may change -> wci_ask_end.
 */
#ifndef WCI_ASK_H
#define WCI_ASK_H

#include "wci_shim.h"

/* What a function returns when it fails, for a call that nobody decides about in time. */
enum wci_fails {
        WCI_FAILS_NEVER = 0,
        WCI_FAILS_ERRNO = 1, /* `failure`, and errno says why */
        WCI_FAILS_NUMBER = 2 /* the error number itself */
};

/* A question on the wrapper's stack. */
struct wci_ask {
        struct wci_question *level; /* NULL: it could not be asked */
        struct wci_ring *ring;
        uint64_t failure;
        uint32_t fails; /* enum wci_fails */
        uint32_t claims;
        uint32_t depth;
        uint32_t changed; /* as in struct wci_question, once it is answered */
        uint32_t texts;
        uint32_t cells;
};

/* Does this session decide about calls? */
WCI_INLINE bool
wci_asks(void)
{
        return wci_control->ask_ms != 0;
}

/* The record to show the call in: first is NULL when nobody can be asked; go on with the next step all the same. */
WCI_HIDDEN struct wci_record_head wci_ask_begin(struct wci_ask *ask, struct wci_call *call, uint32_t symbol, uint32_t kind,
                                                uint32_t cells, uint64_t result);
/* Wait for the answer. False: the call is not to be made, its result is *result, errno is set. */
WCI_HIDDEN bool wci_ask_before(struct wci_ask *ask, struct wci_call *call, uint64_t *result, uint32_t clocks);
/* The same behind the call. True: its result is to be *result. */
WCI_HIDDEN bool wci_ask_after(struct wci_ask *ask, struct wci_call *call, uint64_t *result);
/* The new value of an argument whose bit is in `changed`; of one in `texts` as well, its length with the NUL, a copy of it. */
WCI_HIDDEN uint64_t wci_ask_number(const struct wci_ask *ask, uint32_t field);
WCI_HIDDEN size_t wci_ask_size(const struct wci_ask *ask, uint32_t field);
WCI_HIDDEN char *wci_ask_text(const struct wci_ask *ask, uint32_t field, char *room, size_t size);
WCI_HIDDEN void wci_ask_end(const struct wci_ask *ask);

/* A longjmp to the frame at `stack` leaves the questions of deeper ones. */
WCI_HIDDEN void wci_ask_left(uintptr_t stack);

#endif
