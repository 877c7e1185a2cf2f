/*
 * wct_break.c: breakpoints: planting them, taking them out, and what a thread that hits one does.
 *
 * wct_dispatch asks wct_break_hit of every SIGTRAP. A hit is one PTRACE_GETREGS, what its roles do, and registers that say
 * how the displaced instruction is done: on registers alone, or from a slot. The int3 stays where it is, so that no other
 * thread can pass; nobody is stopped for it.
 * Rules:
 *   T1  memory that cannot be written has gone: the breakpoint is then not there
 *   T4  a SIGTRAP without a breakpoint of ours in front of ip is the program's, and so is one of a breakpoint that stands
 *       where the program has an int3 itself
 *   R   an int3 is written only where the bytes are those of the file (an object that was replaced on disk while it runs has
 *       its functions elsewhere), and taken out only where it still stands
 *
 * Absent on purpose: hiding int3 from a program that reads its own code; SIGTRAP blocked or ignored by the program: the
 * kernel resets that at a breakpoint, for any debugger.
 */
#define _GNU_SOURCE
#include "wct_space.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define INT3 0xcc
#define LISTS 1024u

/* --- the table -------------------------------------------------------------------------------------------------------- */

static struct wct_break **
bucket_of(struct wct_space *space, uint64_t address)
{
        return &space->buckets[(address ^ address >> 10) % WCT_BREAK_BUCKETS];
}

struct wct_break *
wct_break_find(const struct wct_space *space, uint64_t address)
{
        struct wct_break *at = space != NULL ? space->buckets[(address ^ address >> 10) % WCT_BREAK_BUCKETS] : NULL;
        while (at != NULL && at->address != address)
                at = at->next;
        return at;
}

static struct wct_break *
add(struct wct_space *space, uint64_t address)
{
        struct wct_break *one = calloc(1, sizeof *one), **bucket = bucket_of(space, address);
        if (one == NULL)
                return NULL;
        one->address = address;
        one->next = *bucket;
        return *bucket = one;
}

/* Memory that is not there any more has no slots' owners and no breakpoints. Slots of it stay taken. */
void
wct_break_drop(struct wct_space *space, uint64_t low, uint64_t high)
{
        for (uint32_t i = 0; i < WCT_BREAK_BUCKETS; i++) {
                for (struct wct_break *at = space->buckets[i]; at != NULL; at = at->next) {
                        if (at->address < low || at->address >= high)
                                continue;
                        at->planted = false;
                        at->roles = 0;
                        at->size = 0;
                        at->wanted = NULL;
                        at->goal_known = false;
                        at->way = WCT_BY_NOTHING;
                }
        }
}

/* Lists are made once and shared, by all spaces: a program that executes thousands of others plants the same again and again. */
static struct wct_wanted *
list_of(const struct wct_symbol *symbol, struct wct_wanted *next)
{
        static struct wct_wanted *made[LISTS];
        struct wct_wanted **place = &made[symbol->id % LISTS];
        for (struct wct_wanted *at = *place; at != NULL; at = at->other) {
                if (at->symbol == symbol && at->next == next)
                        return at;
        }
        struct wct_wanted *wanted = malloc(sizeof *wanted);
        if (wanted == NULL)
                return next;
        *wanted = (struct wct_wanted){next, *place, symbol};
        return *place = wanted;
}

static struct wct_wanted *
list_with(struct wct_wanted *list, const struct wct_symbol *symbol)
{
        if (list == NULL || list->symbol->id > symbol->id)
                return list_of(symbol, list);
        return list->symbol == symbol ? list : list_of(list->symbol, list_with(list->next, symbol));
}

void
wct_break_want(struct wct_break *one, const struct wct_symbol *symbol)
{
        one->wanted = list_with(one->wanted, symbol);
}

/* --- planting --------------------------------------------------------------------------------------------------------- */

/* What is there now, and whether it is what should be. */
static bool
read_code(struct wct_tracee *tracee, struct wct_break *one, const uint8_t *expected, uint8_t size)
{
        const size_t got = wct_read(tracee->tid, one->code, one->address, sizeof one->code);
        if (got == 0)
                return false;
        one->size = wct_insn_decode(&one->insn, one->code, got) ? one->insn.length : 0;
        const uint8_t same = one->size == 0 ? 1 : one->size < size ? one->size : size;
        return expected == NULL || memcmp(one->code, expected, same) == 0;
}

enum change { CHANGES_IP, CHANGES_MORE, CHANGES_MEMORY };

/* Tried on registers that differ in every bit. */
static enum change
changes_of(const struct wct_break *one)
{
        enum change most = CHANGES_IP;
        for (int i = 0; i < 2; i++) {
                struct user_regs_struct before, after;
                memset(&before, i == 0 ? 0 : 0xff, sizeof before);
                after = before;
                if (!wct_insn_emulate(&one->insn, one->code, one->address, &after))
                        return CHANGES_MEMORY;
                after.rip = before.rip;
                if (memcmp(&before, &after, sizeof before) != 0)
                        most = CHANGES_MORE;
        }
        return most;
}

/* To write the ip alone costs half as much as all registers; so what changes more is emulated only where no slot can be. */
static enum wct_way
choose_way(struct wct_tracee *tracee, struct wct_break *one)
{
        if (one->size == 0)
                return WCT_BY_STEP;
        const enum change change = changes_of(one);
        if (change == CHANGES_IP)
                return WCT_BY_EMULATION;
        if (one->slot != 0 || wct_slot_make(tracee, one))
                return WCT_BY_SLOT;
        return change == CHANGES_MORE ? WCT_BY_EMULATION : WCT_BY_STEP;
}

static bool
plant(struct wct_tracee *tracee, struct wct_break *one)
{
        const uint8_t int3 = INT3;
        one->planted = wct_write(tracee->tid, one->address, &int3, 1);
        return one->planted;
}

struct wct_break *
wct_break_plant(struct wct_tracee *tracee, uint64_t address, enum wct_role role, const uint8_t *expected, uint8_t size)
{
        struct wct_space *space = tracee->process->space;
        struct wct_break *one = wct_break_find(space, address);
        if (one == NULL)
                one = add(space, address);
        if (one == NULL)
                return NULL;
        if (!one->planted && !read_code(tracee, one, expected, size))
                return NULL;
        if (one->way == WCT_BY_NOTHING && role != WCT_ROLE_START)
                one->way = (uint8_t)choose_way(tracee, one);
        if (!one->planted && !plant(tracee, one))
                return NULL;
        one->roles |= (uint8_t)role;
        one->idle = 0;
        return one;
}

/* Only what still is our int3 is replaced: the program may have written something else there. */
static void
restore(const struct wct_break *one, pid_t tid)
{
        uint8_t there;
        if (wct_read(tid, &there, one->address, 1) == 1 && there == INT3)
                wct_write(tid, one->address, one->code, 1);
}

void
wct_break_lift(struct wct_break *one, pid_t tid)
{
        if (one->planted)
                restore(one, tid);
        one->planted = false;
}

/* --- passing ---------------------------------------------------------------------------------------------------------- */

struct wct_step_over *
wct_over(struct wct_tracee *tracee)
{
        static struct wct_step_over nobody; /* without memory, what is kept of a thread is lost */
        if (tracee->over == NULL)
                tracee->over = calloc(1, sizeof *tracee->over);
        if (tracee->over == NULL)
                nobody = (struct wct_step_over){0};
        return tracee->over != NULL ? tracee->over : &nobody;
}

void
wct_break_pass(struct wct_tracee *tracee, struct wct_break *one)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        if (regs == NULL)
                return;
        regs->rip = one->address;
        wct_regs_touch(tracee);
        if (one->way == WCT_BY_EMULATION) {
                wct_insn_emulate(&one->insn, one->code, one->address, regs);
        } else if (one->way == WCT_BY_SLOT) {
                regs->rip = one->slot;
        } else {
                wct_break_lift(one, tracee->tid);
                wct_over(tracee)->stepping = one;
                tracee->stepping = true;
        }
}

static int
code_of(struct wct_tracee *tracee)
{
        siginfo_t info;
        return ptrace(PTRACE_GETSIGINFO, tracee->tid, 0, &info) == 0 ? info.si_code : SI_USER;
}

static bool
finish_step(struct wct_tracee *tracee)
{
        struct wct_break *one = tracee->over != NULL ? tracee->over->stepping : NULL;
        if (one == NULL)
                return false;
        tracee->over->stepping = NULL;
        if (one->roles != 0)
                plant(tracee, one);
        return true;
}

/* --- hits ------------------------------------------------------------------------------------------------------------- */

/* An int3 raises SI_KERNEL. Asked only where a SIGTRAP by kill could find the ip behind a breakpoint of one byte. */
static bool
is_by_int3(struct wct_tracee *tracee, const struct wct_break *one)
{
        return (one->planted && one->size > 1) || code_of(tracee) == SI_KERNEL;
}

static void
note_resolver(struct wct_tracee *tracee, const struct wct_break *one)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        struct wct_resolving *resolving = malloc(sizeof *resolving);
        uint64_t back;
        if (regs == NULL || resolving == NULL || wct_read(tracee->tid, &back, regs->rsp, 8) != 8 ||
            !wct_space_executable(tracee, back) || !wct_break_plant(tracee, back, WCT_ROLE_RETURN, NULL, 0)) {
                free(resolving);
                return;
        }
        struct wct_space *space = tracee->process->space;
        *resolving = (struct wct_resolving){space->resolving, back, regs->rsp, one};
        space->resolving = resolving;
}

/* Returns false when the displaced instruction is not to be done: the thread has been sent elsewhere. */
static bool
do_roles(struct wct_tracee *tracee, struct wct_break *one)
{
        const uint8_t roles = one->roles;
        if (roles & WCT_ROLE_START) {
                one->roles &= (uint8_t)~WCT_ROLE_START;
                wct_break_lift(one, tracee->tid);
                tracee->process->space->starting = false;
                tracee->process->space->started = true;
                wct_space_look(tracee, false);
                return false;
        }
        if (roles & WCT_ROLE_OBJECTS)
                wct_space_look(tracee, !tracee->process->space->relocated);
        if (roles & WCT_ROLE_RETURN)
                wct_return_hit(tracee, one);
        if (roles & WCT_ROLE_RESOLVER)
                note_resolver(tracee, one);
        return !(roles & WCT_ROLE_ENTRY) || wct_entry_hit(tracee, one);
}

bool
wct_break_hit(struct wct_tracee *tracee)
{
        const struct wct_space *space = tracee->process != NULL ? tracee->process->space : NULL;
        if (space == NULL)
                return false;
        if (tracee->over != NULL && tracee->over->stepping != NULL && code_of(tracee) > 0)
                return finish_step(tracee);
        struct user_regs_struct *regs = wct_regs(tracee);
        struct wct_break *one = regs != NULL ? wct_break_find(space, regs->rip - 1) : NULL;
        if (one == NULL || one->size == 0 || !is_by_int3(tracee, one))
                return false;
        const bool own = one->insn.flow == WCT_FLOW_TRAP;
        if (own && !one->planted)
                return false;
        regs->rip = one->address;
        wct_regs_touch(tracee);
        if (!one->planted)
                return true; /* taken out since: what was there is there again */
        const bool pass = do_roles(tracee, one);
        regs = wct_regs(tracee);
        if (regs == NULL || !pass)
                return true;
        if (own) {
                regs->rip = one->address + 1;
                wct_regs_touch(tracee);
                return false;
        }
        if (one->planted && (tracee->paused != 0 || tracee->question != NULL))
                tracee->pause_passes = true;
        else if (one->planted)
                wct_break_pass(tracee, one);
        return true;
}

void
wct_break_go_on(struct wct_tracee *tracee)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        const struct wct_space *space = tracee->process != NULL ? tracee->process->space : NULL;
        struct wct_break *one = regs != NULL && space != NULL ? wct_break_find(space, regs->rip) : NULL;
        tracee->pause_passes = false;
        if (one != NULL && one->size != 0 && one->planted)
                wct_break_pass(tracee, one);
}

/* --- letting go ------------------------------------------------------------------------------------------------------- */

/* The call that begins there is counted; a signal comes first, whose handler may meet breakpoints and signals itself. */
static void
owe(struct wct_tracee *tracee, uint64_t address, uint64_t sp)
{
        struct wct_step_over *over = wct_over(tracee);
        uint32_t place = 0;
        while (place < WCT_MOST_OWED && over->owed[place].address != 0)
                place++;
        if (place == WCT_MOST_OWED) /* handlers that did not return */
                place = over->next_owed++ % WCT_MOST_OWED;
        over->owed[place].address = address;
        over->owed[place].sp = sp;
}

/* Where a thread that is inside a slot would be without it. */
static void
leave_slot(struct wct_tracee *tracee, struct user_regs_struct *regs, const struct wct_break *one, uint32_t offset)
{
        uint8_t code[WCT_INSN_MOST];
        struct wct_insn insn;
        wct_regs_touch(tracee);
        if (offset == 0 || (one->pushed != 0 && offset == one->pushed)) {
                regs->rsp += offset == 0 ? 0 : 8;
                regs->rip = one->address;
                owe(tracee, one->address, regs->rsp);
                return;
        }
        if (one->done != 0 && offset == one->done) {
                regs->rip = one->address + one->size;
                return;
        }
        const size_t got = wct_read(tracee->tid, code, regs->rip, sizeof code); /* one of a branch's two jumps */
        if (!wct_insn_decode(&insn, code, got))
                return;
        if (insn.flow == WCT_FLOW_JUMP)
                regs->rip = wct_insn_goal(&insn, code, regs->rip);
        else if (insn.flow == WCT_FLOW_JUMP_BY && got >= 14)
                memcpy(&regs->rip, code + 6, 8);
}

/* A breakpoint was hit, but its SIGTRAP stands behind another stop: it is taken now, and the ip put back. */
static void
take_pending_trap(struct wct_tracee *tracee, const struct wct_break *one)
{
        siginfo_t pending[32];
        const struct __ptrace_peeksiginfo_args which = {0, 0, 32};
        const long count = ptrace(PTRACE_PEEKSIGINFO, tracee->tid, &which, pending);
        bool there = false;
        for (long i = 0; i < count; i++)
                there = there || (pending[i].si_signo == SIGTRAP && pending[i].si_code == SI_KERNEL);
        if (!there || ptrace(PTRACE_CONT, tracee->tid, 0, 0) != 0)
                return;
        const int status = wct_wait_for(tracee);
        struct user_regs_struct *regs = status >= 0 ? wct_regs(tracee) : NULL;
        if (regs == NULL || status >> 8 != SIGTRAP || regs->rip != one->address + 1)
                return;
        regs->rip = one->address;
        wct_regs_touch(tracee);
}

void
wct_break_leave(struct wct_tracee *tracee)
{
        const struct wct_space *space = tracee->process != NULL ? tracee->process->space : NULL;
        struct user_regs_struct *regs = space != NULL && wct_plan.has_functions ? wct_regs(tracee) : NULL;
        uint32_t offset;
        if (regs == NULL)
                return;
        if (tracee->over != NULL && tracee->over->stepping != NULL) {
                if (regs->rip == tracee->over->stepping->address)
                        owe(tracee, regs->rip, regs->rsp);
                finish_step(tracee);
                tracee->stepping = false;
                return;
        }
        const struct wct_break *slot = wct_slot_owner(space, regs->rip, &offset);
        if (slot != NULL) {
                leave_slot(tracee, regs, slot, offset);
                return;
        }
        const struct wct_break *one = wct_break_find(space, regs->rip - 1);
        if (one != NULL && one->size > 0 && one->insn.flow != WCT_FLOW_TRAP)
                take_pending_trap(tracee, one);
}

void
wct_break_forget(struct wct_tracee *tracee)
{
        free(tracee->over);
        tracee->over = NULL;
}
