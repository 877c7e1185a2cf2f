/*
 * wci_tail.c: the C half of a tail-jump: an ENTER record, then the address to jump to.
 *
 * Called by wci_tail_common.S.  A tail-jumped call never comes back here, so that its record counts as its return.
 * vfork: from here until the parent's next call the thread's ring may be used by the child (R8).
 */
#include "wci_tail.h"

#include "wci_ask.h"
#include "wci_hooks.h"
#include "wci_runtime.h"

#include <errno.h>

#define WCI_TAIL_FRAME 25 /* words from the saved registers to the return address: wci_tail_common.S */

WCI_HIDDEN void *wci_tail_enter(uint32_t index, uint64_t *registers);

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
        call->duration = WCI_NO_DURATION;
        call->error = 0;
        uint32_t cells = 2;
        struct wci_capture text;
        wci_capture_begin(&text, NULL, 0);
        if (tail->text >= 0)
                text = wci_capture_text((const void *)(uintptr_t)registers[tail->text], WCI_PATH_LIMIT, false);
        wci_capture_fit(&text, &cells);
        const struct wci_record_head record = wci_record(call, tail->symbol, WCI_ENTER, cells, 0);
        if (record.first == NULL) {
                wci_leave(call);
                return;
        }
        put_registers(record.first, registers);
        const struct wci_blob blob = wci_capture_put(record.first, 2, &text);
        __builtin_memcpy(record.first->args, &blob, sizeof blob);
        wci_commit(&record);
        wci_count_returned(call);
        wci_leave(call);
}

/* Returns false when the handler wants the call skipped. What it leaves in the registers is what the callee gets. */
static bool
handle(const struct wci_tail *tail, wci_handler handler, uint64_t *registers, struct wci_call *call)
{
        struct user_regs_struct regs;
        wci_words_clear(&regs, sizeof regs / 8);
        regs.rdi = registers[0];
        regs.rsi = registers[1];
        regs.rdx = registers[2];
        regs.rcx = registers[3];
        regs.r8 = registers[4];
        regs.r9 = registers[5];
        regs.rip = (uintptr_t)*tail->slot->pointer;
        regs.rsp = (uintptr_t)(registers + WCI_TAIL_FRAME);
        const bool goes_on = wci_handler_enter(handler, call, &regs, WCI_CLOCK_AT_ENTRY, tail->shape, NULL);
        const uint64_t left[6] = {regs.rdi, regs.rsi, regs.rdx, regs.rcx, regs.r8, regs.r9};
        for (uint32_t i = 0; i < 6; i++)
                registers[i] = left[i];
        wci_tls.result = regs.rax;
        return goes_on;
}

static long
skipped(void)
{
        return (long)wci_tls.result;
}

/* What a tail-jump does besides recording. Returns where to jump instead, or NULL. */
static void *
before(const struct wci_tail *tail, const uint64_t *registers)
{
        if (tail->before == WCI_TAIL_START)
                wci_handlers_load();
        if (tail->before == WCI_TAIL_ALONE)
                wci_control_end();
        if (tail->before == WCI_TAIL_LONGJMP) {
                wci_handler_longjmp((const void *)registers[0]);
                wci_ask_left(wci_handler_jump((const void *)registers[0]));
        }
        if (tail->before == WCI_TAIL_PTRACE &&
            wci_handler_answers((int)registers[0], (int)registers[1], (uintptr_t)__builtin_frame_address(0)))
                return (void *)(uintptr_t)wci_handler_ptrace;
        return NULL;
}

void *
wci_tail_enter(uint32_t index, uint64_t *registers)
{
        const struct wci_tail *tail = &wci_tails[index];
        if (WCI_UNLIKELY(*tail->slot->pointer == NULL))
                wci_resolve(tail->slot);
        void *instead = before(tail, registers);
        if (WCI_UNLIKELY(instead != NULL))
                return instead;
        struct wci_call call;
        const uint32_t clocks = tail->handled ? WCI_CLOCK_AT_ENTRY | WCI_LIMIT_LATE : WCI_CLOCK_AT_ENTRY;
        if (wci_enter(&call, tail->target, tail->symbol, registers[0], clocks)) {
                const struct wci_handlers *handlers = tail->handled ? wci_handlers_of(tail->target) : NULL;
                if (handlers != NULL && handlers->enter != NULL && !handle(tail, handlers->enter, registers, &call))
                        instead = (void *)(uintptr_t)skipped;
                if (wci_limited(&call, WCI_NO_DURATION))
                        wci_leave(&call);
                else
                        record_entry(tail, registers, &call);
        }
        if (instead != NULL)
                return instead;
        if (tail->before == WCI_TAIL_VFORK && wci_tls.ring != NULL && wci_tls.ring->owner_pid == wci_alive->pid) {
                wci_tls.vfork = wci_tls.ring;
                wci_tls.ring = NULL;
        }
        return *tail->slot->pointer != NULL ? *tail->slot->pointer : (void *)(uintptr_t)missing;
}
