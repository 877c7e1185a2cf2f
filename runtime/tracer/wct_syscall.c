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
#include <string.h>
#include <sys/syscall.h>

#define FILTER_MARK 0x5743u /* seccomp.py: what our filter says with its stops */
#define X32_BIT 0x40000000u

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

/* The program finds its registers behind the call as it left them, whatever the call was made with. */
static void
note_own(struct wct_call *call, const uint64_t *own, const uint64_t args[6])
{
        if (call->differs || memcmp(own, args, sizeof call->own) == 0)
                return;
        memcpy(call->own, own, sizeof call->own);
        call->differs = true;
}

static void
give_back_own(struct wct_tracee *tracee, const struct wct_call *call)
{
        if (!call->differs || call->symbol->number == SYS_rt_sigreturn)
                return; /* first: asking for the registers costs a tenth of a call */
        struct user_regs_struct *regs = wct_regs(tracee);
        if (regs == NULL)
                return;
        regs->rdi = call->own[0], regs->rsi = call->own[1], regs->rdx = call->own[2];
        regs->r10 = call->own[3], regs->r8 = call->own[4], regs->r9 = call->own[5];
        wct_regs_touch(tracee);
}

/* Somebody may have changed it, or (skips) have given its result, in the registers of the stop. own: as they were. */
static void
changed(struct wct_tracee *tracee, const uint64_t *own, bool skips)
{
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
        note_own(call, own, args);
        wct_call_changed(call, &site);
}

/* Behind its handler and its question. */
static void
go_on(struct wct_tracee *tracee)
{
        struct wct_call *call = innermost(tracee);
        struct wct_site site;
        site_of(&site, tracee, call, NULL);
        if (!call->skipped)
                wct_fault_enter(tracee, call);
        wct_call_goes_on(call, &site);
        tracee->exit_wanted = true;
}

static void
entry_answered(struct wct_tracee *tracee, const struct wct_answer *answer)
{
        const struct user_regs_struct *regs = wct_regs(tracee);
        if (regs != NULL) {
                const uint64_t own[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
                changed(tracee, own, wct_answer_enter(tracee, innermost(tracee), answer));
        }
        go_on(tracee);
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
                changed(tracee, entry->args, wct_handler_enter(tracee, symbol));
        call = innermost(tracee);
        const bool asks = wct_asks(symbol) & WCT_ASKS_BEFORE && !call->skipped;
        if (!asks || !wct_ask(tracee, call, &site, WCI_ENTER, entry_answered))
                go_on(tracee);
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
        if (tracee->waiting != 0 && wct_restart_enter(tracee, entry->number, entry->ip, entry->sp))
                return;
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
result_now(struct wct_tracee *tracee, int64_t result)
{
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

/* A successful exec: what began the call is gone. */
static bool
is_replaced(const struct wct_call *call, int64_t result)
{
        return call->symbol->flags & WCT_EXECS && result == 0;
}

/* Its handler, its record. */
static void
finish(struct wct_tracee *tracee, int64_t result, bool holds)
{
        struct wct_call *call = innermost(tracee);
        const bool replaced = is_replaced(call, result);
        if (holds) {
                struct wct_site site;
                if (call->handlers != NULL && !replaced) {
                        wct_handler_exit(tracee, call);
                        result = result_now(tracee, result);
                }
                call = innermost(tracee);
                site_back(&site, tracee, call, result);
                wct_call_exit(call, &site);
        }
        wct_fault_exit(tracee, call);
        if (!replaced)
                give_back_own(tracee, call);
        wct_call_pop(tracee);
        tracee->exit_wanted = false;
}

void
wct_syscall_answered(struct wct_tracee *tracee, const struct wct_answer *answer)
{
        struct wct_call *call = innermost(tracee);
        wct_answer_exit(tracee, call, answer);
        finish(tracee, result_now(tracee, call->result), true);
}

void
wct_syscall_end(struct wct_tracee *tracee, int64_t result, void (*answered)(struct wct_tracee *, const struct wct_answer *))
{
        struct wct_call *call = innermost(tracee);
        struct wct_site site;
        wct_call_returned(call);
        site_back(&site, tracee, call, result);
        const bool holds = wct_call_holds(call, &site);
        const bool asks = holds && call->recorded && wct_asks(call->symbol) & WCT_ASKS_AFTER && !is_replaced(call, result);
        if (!asks || !wct_ask(tracee, call, &site, WCI_CALL, answered))
                finish(tracee, result, holds);
}

void
wct_syscall_finish(struct wct_tracee *tracee, int64_t result)
{
        wct_syscall_end(tracee, result, wct_syscall_answered);
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
        } else if (wct_is_restart(result) && call->symbol->number != SYS_rt_sigreturn) {
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
