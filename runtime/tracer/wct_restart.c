/*
 * wct_restart.c: system calls that a signal came upon: made again, ended by the signal's handler, or left by it.
 *
 * Called by wct_syscall.c and, for steps, by wct_signal.c. Rules: S3 of wct_syscall.c.
 * Absent on purpose: how a call begins and ends (wct_syscall.c).
 */
#define _GNU_SOURCE
#include "wct_loop.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

/* errno.h of the kernel: never seen by a program. */
enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };

bool
wct_is_restart(int64_t result)
{
        return result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND ||
               result == -ERESTART_RESTARTBLOCK;
}

static struct wct_call *
innermost(struct wct_tracee *tracee)
{
        return &tracee->calls[tracee->depth - 1];
}

/* --- entries while calls wait ---------------------------------------------------------------------------------------- */

static void
wait_no_more(struct wct_tracee *tracee, struct wct_call *call)
{
        call->waiting = false;
        tracee->waiting--;
        tracee->returning -= call->frame != 0;
        call->frame = 0;
}

/* A signal handler returns: the call that it came upon may go on now. */
static void
handler_returns(struct wct_tracee *tracee, uint64_t sp)
{
        for (uint32_t i = tracee->depth; i-- != 0;) {
                struct wct_call *call = &tracee->calls[i];
                if (!call->waiting || call->frame != sp)
                        continue;
                call->frame = 0;
                tracee->returning--;
                return;
        }
}

/* S3. The call that goes on, if this is one; what a longjmp out of a handler has left above it is dropped. */
static bool
goes_on(struct wct_tracee *tracee, uint64_t number, uint64_t ip, uint64_t sp)
{
        for (uint32_t i = tracee->depth; i-- != 0;) {
                struct wct_call *call = &tracee->calls[i];
                const bool same = call->waiting && call->frame == 0 && call->back == ip && call->sp == sp;
                if (!same || (number != SYS_restart_syscall && number != (uint64_t)call->symbol->number))
                        continue;
                while (tracee->depth > i + 1)
                        wct_call_pop(tracee);
                wait_no_more(tracee, call);
                tracee->exit_wanted = true;
                return true;
        }
        return false;
}

/* Whether an entry with this sp shows that the call's frame is gone: it is made from there, or from farther up the stack. */
static bool
is_left(const struct wct_call *call, uint64_t sp)
{
        const bool handler_elsewhere = call->frame > call->sp && sp <= call->frame; /* on a stack of its own, above */
        return call->waiting && call->sp <= sp && !handler_elsewhere;
}

static void
drop_left(struct wct_tracee *tracee, uint64_t sp)
{
        while (tracee->depth != 0 && is_left(innermost(tracee), sp))
                wct_call_pop(tracee);
}

bool
wct_restart_enter(struct wct_tracee *tracee, uint64_t number, uint64_t ip, uint64_t sp)
{
        if (tracee->returning != 0 && number == SYS_rt_sigreturn)
                handler_returns(tracee, sp);
        else if (goes_on(tracee, number, ip, sp))
                return true;
        else
                drop_left(tracee, sp);
        return false;
}

/* --- a handler upon a call that waits ----------------------------------------------------------------------------- */

/*
 * What ends the call sees the registers as they would be without the signal, and changes what the frame gives back. answer: NULL,
 * it has just ended.
 */
static void frame_answered(struct wct_tracee *tracee, const struct wct_answer *answer);

static void
finish_in_frame(struct wct_tracee *tracee, const greg_t *saved, uint64_t at, const struct wct_answer *answer)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        const struct user_regs_struct here = *regs;
        greg_t now[NGREG];
        regs->rdi = (uint64_t)saved[REG_RDI], regs->rsi = (uint64_t)saved[REG_RSI], regs->rdx = (uint64_t)saved[REG_RDX];
        regs->r10 = (uint64_t)saved[REG_R10], regs->r8 = (uint64_t)saved[REG_R8], regs->r9 = (uint64_t)saved[REG_R9];
        regs->rax = (uint64_t)saved[REG_RAX], regs->rip = (uint64_t)saved[REG_RIP], regs->rsp = (uint64_t)saved[REG_RSP];
        regs->orig_rax = (uint64_t)innermost(tracee)->symbol->number;
        if (answer == NULL)
                wct_syscall_end(tracee, saved[REG_RAX], frame_answered);
        else
                wct_syscall_answered(tracee, answer);
        memcpy(now, saved, sizeof now);
        now[REG_RDI] = (greg_t)regs->rdi, now[REG_RSI] = (greg_t)regs->rsi, now[REG_RDX] = (greg_t)regs->rdx;
        now[REG_R10] = (greg_t)regs->r10, now[REG_R8] = (greg_t)regs->r8, now[REG_R9] = (greg_t)regs->r9;
        now[REG_RAX] = (greg_t)regs->rax;
        *regs = here;
        if (memcmp(now, saved, sizeof now) != 0)
                wct_write(tracee->tid, at, now, sizeof now);
}

static uint64_t
frame_at(const struct user_regs_struct *regs)
{
        return regs->rdx + offsetof(ucontext_t, uc_mcontext.gregs);
}

static void
frame_answered(struct wct_tracee *tracee, const struct wct_answer *answer)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        greg_t saved[NGREG];
        if (regs != NULL && wct_read(tracee->tid, saved, frame_at(regs), sizeof saved) == sizeof saved)
                finish_in_frame(tracee, saved, frame_at(regs), answer);
}

/* The kernel makes it again, now or when the handler has returned. */
static void
note_restart(struct wct_tracee *tracee, struct wct_call *call, const struct user_regs_struct *regs)
{
        tracee->restarting = regs->rip == call->back;
        if (tracee->restarting || call->frame != 0)
                return;
        call->frame = regs->rsp + 8; /* the handler's return address is popped by its ret */
        tracee->returning++;
}

/*
 * One step after a signal came upon a call that waits. Where a handler begins, the kernel has decided: its frame (rdx: ucontext)
 * goes back in front of the instruction, or behind it with the call's result. Where none began after all, the call was made
 * again and the step is its end.
 */
bool
wct_on_step(struct wct_tracee *tracee)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        greg_t saved[NGREG];
        tracee->framing = false;
        if (regs == NULL)
                return true;
        if (tracee->depth == 0 || !innermost(tracee)->waiting)
                return false;
        struct wct_call *call = innermost(tracee);
        const uint64_t at = frame_at(regs);
        const bool again = regs->rip == call->back;
        if (!again && wct_read(tracee->tid, saved, at, sizeof saved) != sizeof saved)
                return true;
        const bool ended = again ? !wct_is_restart((int64_t)regs->rax) : (uint64_t)saved[REG_RIP] == call->back;
        if (!ended) {
                note_restart(tracee, call, regs);
                return true;
        }
        tracee->restarting = false;
        wait_no_more(tracee, call);
        if (again)
                wct_syscall_finish(tracee, (int64_t)regs->rax);
        else
                finish_in_frame(tracee, saved, at, NULL);
        return true;
}
