/*
 * wct_inject.c: system calls and functions, called in a stopped tracee.
 *
 * Called by wct_slot.c (mmap, munmap), wct_space.c and wct_errno.c (functions without arguments), and by whoever includes
 * wct.h. Registers, vector registers and the signal mask are afterwards what they were; the tracee stands in a stop from
 * which a system call that was interrupted by the first stop is restarted as it would have been.
 * Rules:
 *   T1  the tracee may end at any point: false
 *   T4  signals wait in the kernel: they are blocked meanwhile, but for those which a fault of the call itself raises. What
 *       cannot be blocked, a stop, is asked for again afterwards
 *   T5  whatever stop comes, the tracee is resumed until the call is through, and is stopped then
 * A system call is made at an instruction `syscall` of the vDSO, stepped; a function returns to an int3 of ours (the pool's).
 *
 * Absent on purpose: arguments of functions, and calls made while the tracee is inside a system call's own stop.
 */
#define _GNU_SOURCE
#include "wct_loop.h"
#include "wct_space.h"

#include <elf.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define RED_ZONE 128u
#define MOST_STOPS 1000
#define VECTOR_ROOM 16384u

struct injection {
        struct wct_tracee *tracee;
        struct user_regs_struct before;
        uint64_t mask;
        uint8_t vectors[VECTOR_ROOM];
        size_t vector_size; /* 0: not kept */
        bool stopped; /* a group-stop has begun meanwhile */
        int signal;   /* SIGSTOP has come: it cannot be blocked */
};

/* --- before and after ------------------------------------------------------------------------------------------------- */

static bool
mask_signals(struct injection *it)
{
        const int faults[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};
        uint64_t blocked = ~0ull;
        for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
                blocked &= ~(1ull << (faults[i] - 1));
        return ptrace(PTRACE_GETSIGMASK, it->tracee->tid, (void *)8, &it->mask) == 0 &&
               ptrace(PTRACE_SETSIGMASK, it->tracee->tid, (void *)8, &blocked) == 0;
}

static void
keep_vectors(struct injection *it)
{
        struct iovec piece = {it->vectors, sizeof it->vectors};
        if (ptrace(PTRACE_GETREGSET, it->tracee->tid, (void *)NT_X86_XSTATE, &piece) == 0)
                it->vector_size = piece.iov_len;
}

static bool
begin(struct injection *it, struct wct_tracee *tracee)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        it->tracee = tracee;
        it->vector_size = 0;
        it->stopped = false;
        it->signal = 0;
        if (regs == NULL)
                return false;
        it->before = *regs;
        return mask_signals(it);
}

static void
finish(struct injection *it)
{
        struct wct_tracee *tracee = it->tracee;
        struct iovec piece = {it->vectors, it->vector_size};
        ptrace(PTRACE_SETSIGMASK, tracee->tid, (void *)8, &it->mask);
        if (it->vector_size > 0)
                ptrace(PTRACE_SETREGSET, tracee->tid, (void *)NT_X86_XSTATE, &piece);
        tracee->regs = it->before;
        tracee->regs_known = true;
        wct_regs_touch(tracee);
        if (it->signal != 0)
                tracee->signal = it->signal;
        else if (it->stopped)
                ptrace(PTRACE_INTERRUPT, tracee->tid, 0, 0); /* the kernel tells of the group-stop once more */
}

/* --- running ---------------------------------------------------------------------------------------------------------- */

static bool
go(struct injection *it, const struct user_regs_struct *regs, int request)
{
        return (regs == NULL || ptrace(PTRACE_SETREGS, it->tracee->tid, 0, regs) == 0) &&
               ptrace((enum __ptrace_request)request, it->tracee->tid, 0, 0) == 0;
}

/* A stop that is not the awaited one: noted. */
static void
note(struct injection *it, int status)
{
        const int number = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_STOP && number != SIGTRAP)
                it->stopped = true;
        else if (event == 0 && number == SIGSTOP)
                it->signal = SIGSTOP;
}

enum stop { STOP_TRAP, STOP_FAULT, STOP_OTHER };

static enum stop
kind_of(int status)
{
        if (status >> 16 != 0)
                return STOP_OTHER;
        switch (WSTOPSIG(status)) {
        case SIGTRAP: return STOP_TRAP;
        case SIGSEGV: case SIGBUS: case SIGILL: case SIGFPE: case SIGSYS: return STOP_FAULT;
        default: return STOP_OTHER;
        }
}

/* Until the tracee has trapped at an address, or `behind` bytes later. False: it faulted, or has ended. */
static bool
run_to(struct injection *it, uint64_t address, uint32_t behind, int request)
{
        for (int stops = 0; stops < MOST_STOPS; stops++) {
                const int status = wct_wait_for(it->tracee);
                if (status < 0)
                        return false;
                const enum stop kind = kind_of(status);
                struct user_regs_struct *regs = wct_regs(it->tracee);
                if (regs == NULL || kind == STOP_FAULT)
                        return false;
                if (kind == STOP_TRAP && (regs->rip == address || regs->rip == address + behind))
                        return true;
                struct wct_break *one = kind == STOP_TRAP ? wct_break_find(it->tracee->process->space, regs->rip - 1) : NULL;
                if (one != NULL && one->way != WCT_BY_STEP) {
                        wct_break_pass(it->tracee, one);
                        wct_regs_flush(it->tracee);
                } else if (kind == STOP_TRAP && request == PTRACE_CONT) {
                        return false;
                } else {
                        note(it, status);
                }
                if (!go(it, NULL, request))
                        return false;
        }
        return false;
}

/* --- a place for it ---------------------------------------------------------------------------------------------------- */

static uint64_t
search(struct wct_tracee *tracee, uint64_t low, uint64_t high)
{
        uint8_t page[4096];
        for (uint64_t at = low; at < high; at += sizeof page) {
                const size_t got = wct_read(tracee->tid, page, at, sizeof page);
                const uint8_t *found = memmem(page, got, "\x0f\x05", 2);
                if (found != NULL)
                        return at + (uint64_t)(found - page);
        }
        return 0;
}

/* An instruction `syscall`, whoever's: the vDSO's first, as nobody unmaps it. */
static uint64_t
find_syscall(struct wct_tracee *tracee)
{
        struct wct_maps maps;
        uint64_t found = 0;
        if (!wct_maps_read(tracee->tid, &maps))
                return 0;
        for (uint32_t i = 0; i < maps.count && found == 0; i++) {
                if (strcmp(maps.all[i].path, "[vdso]") == 0)
                        found = search(tracee, maps.all[i].low, maps.all[i].high);
        }
        for (uint32_t i = 0; i < maps.count && found == 0; i++) {
                if (maps.all[i].executable && maps.all[i].path[0] == '/')
                        found = search(tracee, maps.all[i].low, maps.all[i].high);
        }
        wct_maps_free(&maps);
        return found;
}

/* Before the call, or behind it, in user mode: there a system call can begin. */
bool
wct_is_between_calls(pid_t tid)
{
        struct __ptrace_syscall_info info;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof info, &info) <= 0)
                return false;
        return info.op != PTRACE_SYSCALL_INFO_ENTRY && info.op != PTRACE_SYSCALL_INFO_SECCOMP;
}

/*
 * Step over the instruction. In an event of a fork or exec the tracee is still inside that system call: the first step ends
 * there, in front of our instruction, with its result in rax; that is what it finds afterwards.
 */
static bool
step_call(struct injection *it, const struct user_regs_struct *regs)
{
        for (int tries = 0; tries < 3; tries++) {
                const struct user_regs_struct *after;
                if (!go(it, regs, PTRACE_SINGLESTEP) || !run_to(it, regs->rip, 2, PTRACE_SINGLESTEP) ||
                    (after = wct_regs(it->tracee)) == NULL)
                        return false;
                if (after->rip != regs->rip)
                        return true;
                if (after->rax != regs->rax)
                        it->before.rax = after->rax;
        }
        return false;
}

bool
wct_inject_syscall(struct wct_tracee *tracee, long number, const uint64_t args[6], int64_t *result)
{
        struct wct_space *space = wct_space_of(tracee);
        struct injection it;
        if (space != NULL && space->syscall_at == 0)
                space->syscall_at = find_syscall(tracee);
        if (space == NULL || space->syscall_at == 0 || !wct_is_between_calls(tracee->tid) || !begin(&it, tracee))
                return false;
        struct user_regs_struct regs = it.before;
        regs.rax = (unsigned long long)number;
        regs.orig_rax = (unsigned long long)-1;
        regs.rdi = args[0], regs.rsi = args[1], regs.rdx = args[2];
        regs.r10 = args[3], regs.r8 = args[4], regs.r9 = args[5];
        regs.rip = space->syscall_at;
        const struct user_regs_struct *after = step_call(&it, &regs) ? wct_regs(tracee) : NULL;
        if (after != NULL)
                *result = (int64_t)after->rax;
        finish(&it);
        return after != NULL;
}

bool
wct_inject_call(struct wct_tracee *tracee, uint64_t function, uint64_t *result)
{
        struct wct_space *space = wct_space_of(tracee);
        struct wct_pool *pool = space != NULL ? wct_pool_get(tracee, 0) : NULL;
        struct injection it;
        if (pool == NULL || !wct_is_between_calls(tracee->tid) || !begin(&it, tracee))
                return false;
        keep_vectors(&it);
        struct user_regs_struct regs = it.before;
        const uint64_t back = pool->base + 2, sp = ((regs.rsp - RED_ZONE) & ~15ull) - 8;
        regs.rsp = sp;
        regs.rip = function;
        regs.rax = 0;
        regs.orig_rax = (unsigned long long)-1;
        regs.eflags &= ~0x400ull; /* DF, as at any function's entry */
        uint64_t under;
        bool done = wct_read(tracee->tid, &under, sp, 8) == 8 && wct_write(tracee->tid, sp, &back, 8);
        done = done && go(&it, &regs, PTRACE_CONT) && run_to(&it, back + 1, 0, PTRACE_CONT);
        const struct user_regs_struct *after = done ? wct_regs(tracee) : NULL;
        if (after != NULL)
                *result = after->rax;
        finish(&it);
        return after != NULL;
}
