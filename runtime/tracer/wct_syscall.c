/*
 * wct_syscall.c: system calls: entry, exit, restart, skip.
 *
 * Called by wct_loop.c (stops) and wct_process.c (the end of an execve).  Rules:
 *   S1  the kernel is asked at each stop what it is (PTRACE_GET_SYSCALL_INFO): nothing toggles
 *   S2  an entry is seen by the filter's stop, by PTRACE_SYSCALL's, or by both, then in this order: `entered` says so; where
 *       no filter knows the number no stop follows, and the next one is of another number
 *   S3  a call that ends with ERESTART* has not ended: it waits in the stack. The same thread's next entry of the same number
 *       (or of restart_syscall) with the same ip and sp is the same call. A handler that runs meanwhile makes an end of it,
 *       or not: wct_on_step reads from its frame what the kernel has decided. Until such a handler's rt_sigreturn, which
 *       PTRACE_SYSCALL shows, the same place means that a longjmp has left the handler: it is another call
 *   S4  exit and exit_group have their ENTER record; a successful execve ends at its event; rt_sigreturn's result is what it
 *       restores, whatever it looks like
 *   S5  a stop that a filter of the program's own asked for gets the answer that the program would have without a tracer
 *
 * Absent on purpose: other architectures' calls (int 0x80, x32): they are passed on, and said once.
 */
#define _GNU_SOURCE
#include "wct_loop.h"

#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define FILTER_MARK 0x5743u /* seccomp.py: what our filter says with its stops */
#define X32_BIT 0x40000000u

/* errno.h of the kernel: never seen by a program. */
enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };

static bool
is_restart(int64_t result)
{
        return result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND ||
               result == -ERESTART_RESTARTBLOCK;
}

static struct wct_call *
innermost(struct wct_tracee *tracee)
{
        return &tracee->calls[tracee->depth - 1];
}

/* --- entry -------------------------------------------------------------------------------------------------------- */

struct entry {
        uint64_t number, ip, sp;
        const uint64_t *args;
};

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
goes_on(struct wct_tracee *tracee, const struct entry *entry)
{
        for (uint32_t i = tracee->depth; i-- != 0;) {
                struct wct_call *call = &tracee->calls[i];
                const bool same = call->waiting && call->frame == 0 && call->back == entry->ip && call->sp == entry->sp;
                if (!same || (entry->number != SYS_restart_syscall && entry->number != (uint64_t)call->symbol->number))
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

static const struct wct_symbol *
symbol_for(struct wct_tracee *tracee, const struct entry *entry)
{
        const struct wct_process *process = tracee->process;
        if (!process->watched || wct_session.over)
                return NULL;
        const struct wct_symbol *symbol = wct_plan_syscall((long)entry->number);
        if (symbol == NULL || (symbol->flags & WCT_FALLBACK && process->coverage != WCT_EVERYTHING))
                return NULL;
        if (!process->launched && !(symbol->flags & WCT_EXECS))
                return NULL;
        if (process->coverage == WCT_TARGETS && wct_ip_is_hidden(tracee, entry->ip))
                return NULL;
        return symbol;
}

static void
site_of(struct wct_site *site, struct wct_tracee *tracee, const struct wct_call *call, const uint64_t *registers)
{
        *site = (struct wct_site){.tracee = tracee, .registers = registers, .sp = call->sp, .back = call->back};
}

/* The target's handler, with the registers of the stop; what it changes counts. */
static void
handle_entry(struct wct_tracee *tracee)
{
        const struct wct_symbol *symbol = innermost(tracee)->symbol;
        const bool skips = wct_handler_enter(tracee, symbol);
        const struct user_regs_struct *regs = wct_regs(tracee);
        struct wct_call *call = innermost(tracee);
        if (regs == NULL)
                return;
        if (skips) {
                call->skipped = true;
                call->result = (int64_t)regs->rax;
        }
        const uint64_t args[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
        struct wct_site site;
        site_of(&site, tracee, call, args);
        wct_call_changed(call, &site);
}

static void
begin(struct wct_tracee *tracee, const struct wct_symbol *symbol, const struct entry *entry)
{
        struct wct_call *call = wct_call_push(tracee);
        struct wct_site site;
        call->sp = entry->sp;
        call->back = entry->ip;
        site_of(&site, tracee, call, entry->args);
        wct_call_enter(call, symbol, &site);
        if (!call->recorded) {
                wct_call_pop(tracee);
                return;
        }
        if (wct_has_handler(symbol))
                handle_entry(tracee);
        call = innermost(tracee);
        if (!call->skipped)
                wct_fault_enter(tracee, call);
        tracee->exit_wanted = true;
}

static bool
is_foreign(uint32_t arch, uint64_t number)
{
        static bool told;
        if (arch == AUDIT_ARCH_X86_64 && !((uint32_t)number & X32_BIT && number != (uint64_t)-1))
                return false;
        if (!told)
                wct_tell("warn system calls of 32-bit code (int 0x80, x32) are not recorded");
        told = true;
        return true;
}

/* The first execve's record stands in the segment of the image that it begins. */
static void
segment_early(struct wct_process *process, pid_t tid, uint64_t path)
{
        char program[4096];
        bool ended;
        program[wct_read_text(tid, program, path, sizeof program - 1, &ended)] = 0;
        process->segment = wct_segment_new(process->pid, process->parent, program);
}

static void
on_entry(struct wct_tracee *tracee, uint32_t arch, const struct entry *entry)
{
        struct wct_process *process = tracee->process;
        tracee->restarting = tracee->framing = false;
        if (is_foreign(arch, entry->number))
                return;
        if (tracee->returning != 0 && entry->number == SYS_rt_sigreturn)
                handler_returns(tracee, entry->sp);
        else if (tracee->waiting != 0 && goes_on(tracee, entry))
                return;
        else if (tracee->waiting != 0)
                drop_left(tracee, entry->sp);
        if (process->pinned && wct_pin_is_affinity((long)entry->number)) {
                tracee->affinity = true;
                wct_pin_affinity_enter(tracee);
        }
        const struct wct_symbol *symbol = symbol_for(tracee, entry);
        if (symbol == NULL || wct_is_own(process->pid, tracee->tid))
                return;
        if (!process->launched && process->segment == NULL)
                segment_early(process, tracee->tid, entry->args[0]);
        begin(tracee, symbol, entry);
}

/* S5. */
static void
refuse(struct wct_tracee *tracee)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        if (regs == NULL)
                return;
        regs->orig_rax = (unsigned long long)-1;
        regs->rax = (unsigned long long)-ENOSYS;
        wct_regs_touch(tracee);
}

/* --- exit --------------------------------------------------------------------------------------------------------- */

static int64_t
handle_exit(struct wct_tracee *tracee, int64_t result)
{
        wct_handler_exit(tracee, innermost(tracee));
        const struct user_regs_struct *regs = wct_regs(tracee);
        return regs == NULL ? result : (int64_t)regs->rax;
}

static void
site_back(struct wct_site *site, struct wct_tracee *tracee, const struct wct_call *call, int64_t result)
{
        site_of(site, tracee, call, NULL);
        site->result = result;
        site->error = result < 0 && result >= -4095 ? (int)-result : 0;
}

void
wct_syscall_finish(struct wct_tracee *tracee, int64_t result)
{
        struct wct_call *call = innermost(tracee);
        struct wct_site site;
        wct_call_returned(call);
        site_back(&site, tracee, call, result);
        if (wct_call_holds(call, &site)) {
                if (call->handlers != NULL && !(call->symbol->flags & WCT_EXECS && result == 0))
                        result = handle_exit(tracee, result);
                call = innermost(tracee);
                site_back(&site, tracee, call, result);
                wct_call_exit(call, &site);
        }
        wct_fault_exit(tracee, call);
        wct_call_pop(tracee);
        tracee->exit_wanted = false;
}

/* The result that a handler put in the place of a call that was not made. */
static int64_t
result_put(struct wct_tracee *tracee, int64_t result)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        if (regs == NULL)
                return result;
        regs->rax = (unsigned long long)result;
        wct_regs_touch(tracee);
        return result;
}

static void
on_exit_stop(struct wct_tracee *tracee, int64_t result)
{
        tracee->entered = 0;
        if (tracee->affinity)
                wct_pin_affinity_exit(tracee);
        tracee->affinity = false;
        if (!tracee->exit_wanted)
                return;
        struct wct_call *call = innermost(tracee);
        if (call->skipped) {
                result = result_put(tracee, call->result);
        } else if (is_restart(result) && call->symbol->number != SYS_rt_sigreturn) {
                call->waiting = true;
                tracee->waiting++;
                tracee->exit_wanted = false;
                tracee->restarting = true;
                return;
        }
        wct_syscall_finish(tracee, result);
}

void
wct_on_syscall(struct wct_tracee *tracee)
{
        struct __ptrace_syscall_info info;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof info, &info) <= 0) {
                wct_resume(tracee);
                return;
        }
        const struct entry entry = {info.entry.nr, info.instruction_pointer, info.stack_pointer,
                                    (const uint64_t *)info.entry.args};
        switch (info.op) { /* S1 */
        case PTRACE_SYSCALL_INFO_ENTRY:
                tracee->entered = entry.number + 1;
                on_entry(tracee, info.arch, &entry);
                break;
        case PTRACE_SYSCALL_INFO_SECCOMP: /* number and arguments stand where those of an entry do */
                if (tracee->entered != entry.number + 1)
                        on_entry(tracee, info.arch, &entry);
                tracee->entered = 0;
                if (info.seccomp.ret_data != FILTER_MARK)
                        refuse(tracee);
                break;
        case PTRACE_SYSCALL_INFO_EXIT:
                on_exit_stop(tracee, info.exit.rval);
                break;
        default:
                break;
        }
        wct_resume(tracee);
}

/* --- a handler upon a call that waits ----------------------------------------------------------------------------- */

/* The call's exit handler sees the registers as they would be without the signal, and changes what the frame gives back. */
static void
finish_in_frame(struct wct_tracee *tracee, const greg_t *saved, uint64_t at)
{
        struct user_regs_struct *regs = wct_regs(tracee);
        const struct user_regs_struct here = *regs;
        regs->rdi = (uint64_t)saved[REG_RDI], regs->rsi = (uint64_t)saved[REG_RSI], regs->rdx = (uint64_t)saved[REG_RDX];
        regs->r10 = (uint64_t)saved[REG_R10], regs->r8 = (uint64_t)saved[REG_R8], regs->r9 = (uint64_t)saved[REG_R9];
        regs->rax = (uint64_t)saved[REG_RAX], regs->rip = (uint64_t)saved[REG_RIP], regs->rsp = (uint64_t)saved[REG_RSP];
        regs->orig_rax = (uint64_t)innermost(tracee)->symbol->number;
        wct_syscall_finish(tracee, saved[REG_RAX]);
        const uint64_t result = regs->rax;
        *regs = here;
        if (result != (uint64_t)saved[REG_RAX])
                wct_write(tracee->tid, at + REG_RAX * sizeof *saved, &result, sizeof result);
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
        const uint64_t at = regs->rdx + offsetof(ucontext_t, uc_mcontext.gregs);
        const bool again = regs->rip == call->back;
        if (!again && wct_read(tracee->tid, saved, at, sizeof saved) != sizeof saved)
                return true;
        const bool ended = again ? !is_restart((int64_t)regs->rax) : (uint64_t)saved[REG_RIP] == call->back;
        if (!ended) {
                note_restart(tracee, call, regs);
                return true;
        }
        tracee->restarting = false;
        wait_no_more(tracee, call);
        if (again)
                wct_syscall_finish(tracee, (int64_t)regs->rax);
        else
                finish_in_frame(tracee, saved, at);
        return true;
}
