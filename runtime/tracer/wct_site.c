/*
 * wct_site.c: what a call instruction calls.
 *
 * Called by wct_entry.c: a library's function that jumps to another one of it leaves the program's return address in place, so
 * that the second looks as if the program had called it. The instruction in front of that address tells: when it calls another
 * function of the same library, directly or through a procedure linkage table, the program has not called this one.
 * Rules: T3 (bytes in front of an address are a guess; one that leads nowhere says nothing).
 *
 * Absent on purpose: calls through registers; whatever they call, they may have meant it.
 */
#include "wct_space.h"

#include <string.h>

#define BEFORE 7u /* bytes of the longest form that is looked at, and one that tells it from a shorter one */

static uint64_t
word_at(struct wct_tracee *tracee, uint64_t at)
{
        uint64_t word;
        return wct_read(tracee->tid, &word, at, sizeof word) == sizeof word ? word : 0;
}

/* endbr64; bnd jmp *there(%rip): then what stands there. Else the address itself. */
static uint64_t
through_table(struct wct_tracee *tracee, uint64_t at)
{
        uint8_t code[WCT_INSN_MOST + 5];
        const size_t got = wct_read(tracee->tid, code, at, sizeof code);
        struct wct_insn insn;
        size_t skip = got > 4 && memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0 ? 4 : 0;
        if (got == 0 || !wct_insn_decode(&insn, code + skip, got - skip) || insn.flow != WCT_FLOW_JUMP_BY || !insn.rip)
                return at;
        int32_t displacement;
        memcpy(&displacement, code + skip + insn.disp_at, 4);
        return word_at(tracee, at + skip + insn.length + (uint64_t)(int64_t)displacement);
}

static uint64_t
find_goal(struct wct_tracee *tracee, uint64_t back)
{
        uint8_t code[BEFORE];
        int32_t distance;
        if (wct_read(tracee->tid, code, back - BEFORE, BEFORE) != BEFORE)
                return 0;
        const uint8_t *call = code + BEFORE - 5;
        const bool by_register = call[3] == 0xff && (call[4] & 0xf8) == 0xd0;
        memcpy(&distance, call + 1, 4);
        if (call[-1] == 0xff && call[0] == 0x15) /* call *there(%rip) */
                return word_at(tracee, back + (uint64_t)(int64_t)distance);
        if (call[0] != 0xe8 || by_register)
                return 0;
        return through_table(tracee, back + (uint64_t)(int64_t)distance);
}

/* The function that the instruction in front of `back` calls; 0: it does not say. */
uint64_t
wct_site_goal(struct wct_tracee *tracee, uint64_t back)
{
        struct wct_break *one = wct_break_find(tracee->process->space, back);
        if (one == NULL)
                return find_goal(tracee, back);
        if (!one->goal_known)
                one->goal = find_goal(tracee, back);
        one->goal_known = true;
        return one->goal;
}
