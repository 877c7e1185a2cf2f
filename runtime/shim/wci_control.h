/*
 * wci_control.h: what wci_control.c (the thread) and wci_swap.c (what it does) offer each other and the rest of the runtime.
 */
#ifndef WCI_CONTROL_H
#define WCI_CONTROL_H

#include "wc_table.h"
#include "wci_shim.h"

extern WCI_HIDDEN struct wci_table *wci_table; /* NULL: handlers stay what they are */

WCI_HIDDEN void wci_table_open(const char *session);
WCI_HIDDEN void wci_swap_warn(const char *what, const char *why);
WCI_HIDDEN bool wci_swap_is_behind(void);
WCI_HIDDEN void wci_swap_look(struct wci_answer *answer);

/* At the program's start, before anything is loaded: what this thread does now is not the program's. */
WCI_HIDDEN void wci_control_claim(void);
/* At the program's start: one thread, all signals blocked. */
WCI_HIDDEN void wci_control_begin(void);
/* In slow paths of a wrapper: where the process has no such thread, and one is needed, and may be made. */
WCI_HIDDEN void wci_control_behind(void);

#endif
