/*
 * wci_tail.c: the C half of a tail-jump: an ENTER record, then the address to jump to.
 *
 * Called by wci_tail_common.S.  A tail-jumped call never comes back here, so that its record counts as its return.
 * vfork: from here until the parent's next call the thread's ring may be used by the child (R8).
 */
#include "wci_tail.h"

#include "wci_runtime.h"

#include <errno.h>

WCI_HIDDEN void *wci_tail_enter(uint32_t index, const uint64_t *registers);

static long
missing(void)
{
        errno = ENOSYS;
        return -1;
}

/* Three registers stand in the first cell from byte 40 on, three in the second from byte 72 on. */
static void
put_registers(void *record, const uint64_t *registers)
{
        for (uint32_t i = 0; i < 3; i++) {
                *(uint64_t *)((char *)record + 40 + 8 * i) = registers[i];
                *(uint64_t *)((char *)record + 72 + 8 * i) = registers[3 + i];
        }
}

static void
record_entry(const struct wci_tail *tail, const uint64_t *registers, struct wci_call *call)
{
        wci_count_returned(call);
        call->duration = WCI_NO_DURATION;
        call->error = 0;
        call->ring->depth = call->depth;
        uint32_t cells = 2;
        struct wci_capture text = {.from = NULL};
        if (tail->text >= 0)
                text = wci_capture_text((const void *)(uintptr_t)registers[tail->text], WCI_PATH_LIMIT, false);
        wci_capture_fit(&text, &cells);
        const struct wci_record_head record = wci_record(call, tail->symbol, WCI_ENTER, cells, 0);
        if (record.first == NULL)
                return;
        put_registers(record.first, registers);
        const struct wci_blob blob = wci_capture_put(record.first, 2, &text);
        __builtin_memcpy(record.first->args, &blob, sizeof blob);
        wci_commit(&record);
}

void *
wci_tail_enter(uint32_t index, const uint64_t *registers)
{
        const struct wci_tail *tail = &wci_tails[index];
        if (WCI_UNLIKELY(*tail->slot->pointer == NULL))
                wci_resolve(tail->slot);
        if (tail->before == WCI_TAIL_START)
                wci_handlers_load();
        struct wci_call call;
        if (wci_enter(&call, tail->target, tail->symbol, registers[0], WCI_CLOCK_AT_ENTRY))
                record_entry(tail, registers, &call);
        if (tail->before == WCI_TAIL_VFORK && wci_tls.ring != NULL && wci_tls.ring->owner_pid == wci_alive->pid) {
                wci_tls.vfork = wci_tls.ring;
                wci_tls.ring = NULL;
        }
        return *tail->slot->pointer != NULL ? *tail->slot->pointer : (void *)(uintptr_t)missing;
}
