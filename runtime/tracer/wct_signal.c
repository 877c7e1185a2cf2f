/*
 * wct_signal.c: signals on their way to a tracee, and group-stops.
 *
 * Called by wct_loop.c.  Rules:
 *   G1  a signal goes on as it came: the same number at the very next resume, so that the kernel keeps its siginfo
 *   G2  SIGTRAP is ours only when the kernel itself raised it and the address is one of our breakpoints; programs raise
 *       it themselves (assertions, debuggers, just-in-time compilers)
 *   G3  a group-stop is kept: PTRACE_LISTEN until SIGCONT or a SIGKILL ends it
 *   G4  when a signal with a handler comes upon a call that may be restarted, one step onto the handler's first instruction
 *       shows in its frame whether the call has ended with EINTR
 * What a process catches is read from /proc only at the first such signal of its kind: a handler that ran once is remembered
 * until the exec. Was it removed since, the step ends elsewhere, which wct_on_step sees.
 */
#define _GNU_SOURCE
#include "wct_loop.h"

#include <signal.h>

static bool
is_caught(struct wct_tracee *tracee, int number)
{
        struct wct_process *process = tracee->process;
        const uint64_t bit = 1ull << (number - 1);
        if (!(process->handled & bit) && wct_status_of(tracee->tid, "SigCgt:", 16) & (long long)bit)
                process->handled |= bit;
        return (process->handled & bit) != 0;
}

/* G2. True: it was ours and is dealt with. */
static bool
is_our_trap(struct wct_tracee *tracee)
{
        siginfo_t info;
        const bool broken = tracee->process->space != NULL;
        if (!tracee->framing)
                return broken && wct_break_hit(tracee); /* it asks where it must: a breakpoint's stop counts every system call */
        if (ptrace(PTRACE_GETSIGINFO, tracee->tid, 0, &info) != 0)
                return true; /* gone, or stopped for another reason: nothing to deliver */
        return info.si_code > 0 && (wct_on_step(tracee) || (broken && wct_break_hit(tracee)));
}

void
wct_on_signal(struct wct_tracee *tracee, int number)
{
        if (number != SIGTRAP || !is_our_trap(tracee)) {
                tracee->signal = number;
                wct_break_leave(tracee); /* no signal frame, and no handler of a fault, sees a slot */
                if (tracee->restarting)
                        tracee->framing = is_caught(tracee, number);
        }
        wct_resume(tracee);
}

void
wct_on_stop(struct wct_tracee *tracee, int number)
{
        tracee->group_stop = number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
        wct_resume(tracee);
}
