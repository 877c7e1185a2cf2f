/*
 * wci_inject.h: what a generated wrapper whose target has an "inject" is made of. Included by wci_wrapper.h.
 */
#ifndef WCI_INJECT_H
#define WCI_INJECT_H

#include "wc_inject.h"
#include "wci_shim.h"

/*
 * A call that is recorded comes to its rule: count it; if it is meant, wait for the rule's delay. Returns the call's mark
 * (WCI_INJECTED, WCI_DELAYED), 0 when it is not meant. A wrapper that gets WCI_INJECTED does not make the call.
 */
WCI_HIDDEN uint32_t wci_inject_enter(const struct wci_call *call, const struct wc_rule *rule);
/* The delay behind the call, once it is recorded. */
WCI_HIDDEN void wci_inject_leave(uint32_t mark, const struct wc_rule *rule);

#endif
