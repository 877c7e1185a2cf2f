/* wci_far.c: the record path as functions, for wrappers in which a call more does not show (see wci_shim.h). */
#include "wci_shim.h"

bool
wci_enter_far(struct wci_call *call, uint64_t word, uint32_t target, uint32_t symbol, uint64_t argument,
              uint32_t clocks)
{
        return wci_enter_on(call, word, target, symbol, argument, clocks);
}

bool
wci_returned_far(struct wci_call *call, uint32_t clocks)
{
        return wci_returned(call, clocks);
}

struct wci_record_head
wci_record_far(struct wci_call *call, uint32_t symbol, uint32_t kind, uint32_t cells, uint64_t result)
{
        return wci_record(call, symbol, kind, cells, result);
}

void
wci_commit_far(const struct wci_record_head *head)
{
        wci_commit(head);
}
