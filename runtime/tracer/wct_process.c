/*
 * wct_process.c: fork, vfork, clone, exec, exit: whose child a new thread is, and what of a process is shown.
 *
 * Called by wct_loop.c; wct_process_judge by wct_attach.c too.  Rules:
 *   P1  a child's first stop and its parent's event come in either order (wct_orphan.c: or the event not at all)
 *   P2  an exec by a thread makes it the leader: the event comes under the leader's number and says the thread's former one
 *   P3  a child in its parent's memory (vfork) keeps the parent's breakpoints until it execs, whatever is shown of it
 *   P4  a process whose system calls stop by a filter cannot be let go, since they would fail without a tracer: it is
 *       passed on in silence
 * Absent on purpose: what a vfork parent does meanwhile (it waits in the kernel: nobody waits for its stop).
 */
#define _GNU_SOURCE
#include "wct_loop.h"

#include "wct_image.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool changed; /* the plan, since plan_has was asked */

/* Which of the plan's system calls there are: those of every image, those of images without a shim, and what no filter has. */
static void
plan_has(bool *everywhere, bool *fallback, bool *added)
{
        static bool known, found[3];
        if (!known || changed)
                memset(found, 0, sizeof found);
        for (uint32_t i = 0; (!known || changed) && i < wct_plan.head->symbols; i++) {
                const struct wct_symbol *symbol = &wct_plan.symbols[i];
                if (symbol->number < 0 || wct_plan_is_dropped(symbol->target))
                        continue;
                found[(symbol->flags & WCT_FALLBACK) != 0] = true;
                found[2] |= i >= wct_plan.first_added;
        }
        known = true;
        changed = false;
        *everywhere = found[0];
        *fallback = found[1];
        *added = found[2];
}

static void
judge_one(struct wct_tracee *tracee, void *context)
{
        (void)context;
        if (tracee->process != NULL)
                wct_process_judge(tracee->process);
}

void
wct_processes_judge(void)
{
        changed = true;
        wct_each_tracee(judge_one, NULL);
}

void
wct_process_judge(struct wct_process *process)
{
        bool everywhere, fallback, added;
        plan_has(&everywhere, &fallback, &added);
        const bool whole = process->coverage == WCT_EVERYTHING;
        const bool beyond_filter = wct_session.mode == WCT_COVER_BESIDE && whole && fallback; /* made for images with a shim */
        process->watched = process->coverage != WCT_EVENTS_ONLY && (everywhere || (whole && fallback));
        process->every = process->watched && process->launched && (!process->filtered || beyond_filter || added);
}

/* --- births ------------------------------------------------------------------------------------------------------- */

/* What the flags of the clone say of memory. Asked where there are breakpoints: the child has them too, in its copy or not. */
static bool
is_same_memory(struct wct_tracee *parent, int event)
{
        struct user_regs_struct *regs = wct_regs(parent);
        uint64_t flags = 0;
        if (regs == NULL)
                return event == PTRACE_EVENT_VFORK;
        switch (regs->orig_rax) {
        case SYS_clone:
                return (regs->rdi & CLONE_VM) != 0;
        case SYS_clone3:
                return wct_read(parent->tid, &flags, regs->rdi, sizeof flags) == sizeof flags && (flags & CLONE_VM);
        default:
                return event == PTRACE_EVENT_VFORK;
        }
}

struct wct_process *
wct_process_born(const struct wct_process *parent, pid_t pid, bool shares)
{
        struct wct_process *child = wct_process_add(pid, parent->pid);
        child->coverage = parent->coverage;
        child->launched = parent->launched;
        child->attached = parent->attached;
        child->filtered = parent->filtered;
        child->ignored = parent->ignored || wct_session.follow == WCI_FOLLOW_NONE;
        child->handled = parent->handled;
        child->image = parent->image;
        child->forked = true;
        child->shares = shares;
        if (child->ignored)
                child->coverage = WCT_EVENTS_ONLY;
        else if (parent->segment != NULL)
                child->segment = wct_segment_share(parent->segment);
        if (parent->space != NULL)
                child->space = wct_space_inherit(parent->space, shares);
        wct_process_judge(child);
        return child;
}

/* A thread of the same process: the kernel knows it under both numbers. */
static bool
is_thread_of(const struct wct_process *process, pid_t tid)
{
        return syscall(SYS_tgkill, process->pid, tid, 0) == 0 || errno == EPERM;
}

static struct wct_process *
process_of_child(struct wct_tracee *parent, pid_t child, int event)
{
        struct wct_process *process = parent->process;
        if (event == PTRACE_EVENT_CLONE && is_thread_of(process, child))
                return process;
        const bool shares = process->space != NULL && is_same_memory(parent, event);
        return wct_process_born(process, child, shares);
}

static bool
is_own(const struct wct_tracee *parent, pid_t child)
{
        const struct wct_process *process = parent->process;
        return process != NULL && wct_is_own(process->pid, parent->tid) && wct_own_thread(process->pid, child);
}

void
wct_on_fork(struct wct_tracee *parent, pid_t child, int event)
{
        struct wct_tracee *tracee = wct_tracee_find(child);
        if (event != PTRACE_EVENT_CLONE || !is_own(parent, child))
                wct_pin_fork(child); /* one that makes no system calls of the program's is no reason to run apart */
        if (child > 0 && (tracee == NULL || tracee->process == NULL)) {
                struct wct_process *process = process_of_child(parent, child, event);
                if (tracee == NULL) {
                        wct_tracee_add(child, process);
                } else {
                        const int status = tracee->first_status;
                        wct_tracee_adopt(tracee, process);
                        wct_first_stop(tracee, status);
                }
        }
        wct_resume(parent);
}

/* Nothing of it is shown, and nothing of ours is in it that could not be taken out: let it go. */
static bool
can_be_let_go(const struct wct_process *process)
{
        return process->ignored && !process->filtered && !process->shares;
}

void
wct_let_go(struct wct_tracee *tracee)
{
        const int signal = tracee->signal;
        wct_regs_flush(tracee);
        ptrace(PTRACE_DETACH, tracee->tid, 0, (long)signal);
        wct_tracee_remove(tracee);
}

void
wct_first_stop(struct wct_tracee *tracee, int status)
{
        struct wct_process *process = tracee->process;
        if (process == NULL) { /* P1 */
                tracee->first_status = status;
                wct_orphans_review();
                return;
        }
        tracee->first_status = 0;
        tracee->state = WCT_STOPPED;
        if (process->ignored && process->forked && !process->shares && process->space != NULL) {
                wct_space_scrub(process->space, tracee);
                wct_space_release(process->space);
                process->space = NULL;
        }
        if (can_be_let_go(process) && process->threads == 1)
                wct_let_go(tracee);
        else if (status >> 16 == PTRACE_EVENT_STOP)
                wct_on_stop(tracee, WSTOPSIG(status));
        else
                wct_on_signal(tracee, WSTOPSIG(status));
}

/* --- exec --------------------------------------------------------------------------------------------------------- */

static struct wct_process *among; /* for remove_others: visits have one context */

static void
remove_others(struct wct_tracee *tracee, void *survivor)
{
        if (tracee->process == among && tracee != survivor)
                wct_tracee_remove(tracee);
}

/* P2. Everybody else in the process has ended, some without a word. NULL: nobody whom we know. */
static struct wct_tracee *
survivor_of(pid_t pid, pid_t former)
{
        struct wct_tracee *tracee = wct_tracee_find(former);
        if (tracee == NULL)
                tracee = wct_tracee_find(pid);
        if (tracee == NULL || tracee->process == NULL)
                return NULL;
        among = tracee->process;
        wct_each_tracee(remove_others, tracee);
        if (tracee->tid != pid)
                wct_tracee_rename(tracee, pid);
        return tracee;
}

/* The old image is gone: what the thread was inside of, its ring, its breakpoints. */
static void
image_end(struct wct_tracee *tracee)
{
        struct wct_process *process = tracee->process;
        const bool early = !process->launched && process->segment != NULL; /* made for the record of this very exec */
        while (tracee->depth != 0)
                wct_call_pop(tracee);
        wct_break_forget(tracee);
        tracee->entered = 0;
        tracee->exit_wanted = tracee->restarting = tracee->framing = tracee->affinity = false;
        tracee->stepping = false;
        if (process->space != NULL)
                wct_space_release(process->space);
        process->space = NULL;
        process->shares = process->forked = false;
        process->handled = 0;
        if (early)
                return;
        wct_ring_leave(tracee);
        tracee->ring = NULL;
        if (process->segment != NULL)
                wct_segment_release(process->segment);
        process->segment = NULL;
}

static void
image_begin(struct wct_tracee *tracee)
{
        struct wct_process *process = tracee->process;
        process->launched = true;
        process->image = wct_image_key(process->pid);
        if (process->ignored || wct_session.over)
                process->coverage = WCT_EVENTS_ONLY;
        else
                process->coverage = wct_image_coverage(process->pid);
        wct_process_judge(process);
        if (process->coverage == WCT_EVENTS_ONLY)
                return;
        if (process->segment == NULL) {
                char program[4096];
                wct_image_program(process->pid, program, sizeof program);
                process->segment = wct_segment_new(process->pid, process->parent, program);
                if (process->segment != NULL)
                        wct_ring_claim(tracee, WCI_PROCESS_EXEC);
        }
        if (wct_plan.has_functions || wct_texts_are_wanted())
                wct_space_exec(tracee);
        wct_pin(process);
}

void
wct_on_exec(pid_t pid, pid_t former)
{
        struct wct_tracee *tracee = survivor_of(pid, former);
        if (tracee == NULL) {
                ptrace(PTRACE_CONT, pid, 0, 0);
                return;
        }
        tracee->state = WCT_STOPPED;
        tracee->group_stop = false;
        wct_regs_forget(tracee);
        if (tracee->exit_wanted)
                wct_syscall_finish(tracee, 0);
        image_end(tracee);
        image_begin(tracee);
        if (can_be_let_go(tracee->process))
                wct_let_go(tracee);
        else
                wct_resume(tracee);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

void
wct_on_exit(struct wct_tracee *tracee, int status)
{
        struct wct_process *process = tracee->process;
        if (process != NULL && process->reported && (tracee->tid == process->pid || process->threads == 1)) {
                wct_tell("exit %d %d", process->pid, status); /* by its last thread where the first had left before we came */
                process->reported = false;
        }
        wct_tracee_remove(tracee);
        wct_orphans_review();
}
