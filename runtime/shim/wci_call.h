/*
 * wci_call.h: handlers of wc_call.h in the program: what they are told of a call, and what they make of it (wci_call.c).
 *
 * A handler slot is one word: the function's address, with bit 63 set for a handler that WC_HANDLER has marked. No address
 * of a program has that bit.
 */
#ifndef WCI_CALL_H
#define WCI_CALL_H

#include "wc_value.h"
#include "wci_shim.h"

#include <sys/user.h>

/* What is known of a call beforehand: constant data of its wrapper. generator/shape.py makes it. */
struct wci_shape {
        uint16_t texts;  /* bytes from here to the texts: the target's name, then the others */
        uint16_t symbol; /* offset in the texts: what was called */
        uint8_t arguments;
        uint8_t result; /* enum wct_value */
        uint8_t result_size;
        uint8_t result_means; /* enum wct_means */
        uint8_t fail;         /* enum wct_fail */
        uint8_t noreturn;
};

struct wci_shape_argument {
        uint16_t name; /* offset in the texts */
        uint8_t type;  /* enum wct_value */
        uint8_t size;  /* of the C type */
        uint8_t means; /* enum wct_means */
        uint8_t where; /* enum wct_where: up to WCT_ON_STACK */
        uint8_t place;
        uint8_t spare;
};
_Static_assert(sizeof(struct wci_shape) == 10, "generator/shape.py: HEAD");
_Static_assert(sizeof(struct wci_shape_argument) == 8, "generator/shape.py: ARGUMENT");

/* The call as one handler has it. regs, and the words that rsp leads to, are what the wrapper takes back. */
struct wci_view {
        struct wc_call call; /* first: it is what the handler gets */
        struct user_regs_struct *regs;
        const struct wci_shape *shape;
        unsigned long *vectors; /* floating arguments; NULL: there are none */
        int error;              /* errno: of the real call at exit; what the handler has set */
        bool has_error;         /* it has set one */
        bool has_result;        /* and a result */
};

/* The word for a slot: of `name` in a handler library, whichever kind it is. NULL: it is not there, and `warn` was told. */
WCI_HIDDEN void *wci_handler_find(void *library, const char *name, void (*warn)(const char *what, const char *why));

#define WCI_MARKED (1ull << 63)
WCI_INLINE bool
wci_handler_is_marked(const void *handler)
{
        return ((uintptr_t)handler & WCI_MARKED) != 0;
}

WCI_HIDDEN void wci_view_begin(struct wci_view *view, const struct wci_call *call, struct user_regs_struct *regs,
                               const struct wci_shape *shape, unsigned long *vectors, bool at_exit);
WCI_INLINE void
wci_view_run(const void *handler, struct wci_view *view)
{
        void (*run)(struct wc_call *call);
        *(uintptr_t *)(void *)&run = (uintptr_t)handler & ~WCI_MARKED;
        run(&view->call);
}

#endif
