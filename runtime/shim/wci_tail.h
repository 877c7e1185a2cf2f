/* wci_tail.h: the table behind the tail-jump stubs. Filled by generated code, read by wci_tail.c. */
#ifndef WCI_TAIL_H
#define WCI_TAIL_H

#include "wci_handler.h"
#include "wci_shim.h"

struct wci_tail {
        const struct wci_slot *slot;
        uint32_t target;
        uint16_t symbol;
        int8_t text;   /* number of the register that holds a string, -1: none */
        uint8_t before; /* WCI_TAIL_* */
        uint8_t handled; /* 1: its target may have a handler */
        const struct wci_shape *shape; /* of one that may */
};

#define WCI_TAIL_VFORK 1   /* the caller's memory and thread-local storage are about to be shared with a child */
#define WCI_TAIL_START 2   /* the program is about to start: load its handlers */
#define WCI_TAIL_LONGJMP 3 /* may leave a handler */
#define WCI_TAIL_ALONE 5   /* refuses processes of several threads: ours ends before */
#define WCI_TAIL_PTRACE 4  /* answered in process when a handler asks about its own call */

extern WCI_HIDDEN const struct wci_tail wci_tails[];

#endif
