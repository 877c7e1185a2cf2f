/*
 * wct.h: the tracer's own words: one struct per thread, one per process, and what its files offer each other.
 *
 * The tracer (wc-tracer) is one process with one thread that makes all ptrace calls (a tracee answers to nobody else),
 * started by wc-run beside the program. It takes each stop with next_event (wct_loop.c), lets dispatch_event say
 * whose it is, and resumes; records go into segments of the session exactly as a shim writes them.
 *
 *   wct_main.c      options, the session, the line to wc-run          wct_plan.c      the plan, looked up; wct_tables.c, wct_grow.c
 *   wct_loop.c      next_event, dispatch_event, resume                wct_segment.c   segments; wct_owner.c, wct_ring.c  their rings
 *   wct_tracee.c    tracees, processes, registers of a stop           wct_call.c      one call: counted, captured; wct_written.c  recorded
 *   wct_process.c   fork, vfork, clone, exec, exit; wct_orphan.c      wct_value.c, wct_capture.c, wct_kept.c  what it keeps
 *   wct_signal.c    signals, group-stops                              wct_length.c, wct_variadic.c  lengths; printf's arguments
 *   wct_syscall.c   system calls: entry, exit; wct_restart.c: restart wct_memory.c    reading and writing the tracee
 *   wct_attach.c    -p, detach                                        wct_space.c, wct_want.c  objects, what is planted in them
 *   wct_pin.c       one processor for both                            wct_maps.c, wct_object.c, wct_elf.c  what they are read from
 *   wct_handler.c, wct_swap.c  user handlers, and which there are     wct_break.c     breakpoints: planted, hit, left
 *   wct_image.c     what of an executed image is shown                wct_entry.c, wct_site.c, wct_return.c  functions entered, and left
 *   wct_errno.c, wct_go.c  where errno is; stacks that move           wct_insn.c, wct_move.c, wct_emulate.c, wct_slot.c
 *   wct_inject.c    calls made in the tracee                              what was there, run elsewhere (wct_space.h)
 *   wct_fault.c     declared faults and delays                        wct_pause.c     tracees that wait without holding us up
 *   wct_ask.c       calls that wait for somebody's decision           wct_answer.c, wct_text.c  what was decided, done to a call
 *
 * Rules. T1: any ptrace call may fail with ESRCH at any time; then the tracee is on its way to an end that waitpid will
 * tell. T2: nothing blocks but waitpid and a full ring (block policy, bounded by block_ms). T3: what a tracee's memory
 * holds is hostile. T4: a stop that is not ours is passed on as it came. T5: no path leaves a tracee stopped.
 */
#ifndef WCT_H
#define WCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>

#include "wc_abi.h"
#include "wc_plan.h"

#define WCT_MOST_ARGUMENTS 16
#define WCT_MOST_BLOBS 8

struct wct_space;
struct wct_segment;
struct wct_pair;
struct wct_question;

/* --- the session (wct_main.c fills it once) ------------------------------------------------------------------------- */

enum wct_mode {
        WCT_COVER_ALL,      /* every target of the plan, in every image (FALLBACK ones too: there is no shim) */
        WCT_COVER_BESIDE,   /* a shim covers the images it is in; there only targets without FALLBACK */
};

struct wct_session {
        const char *path;
        struct wci_control *control; /* mapped */
        const uint64_t *words;       /* control words, by target */
        struct wci_limit *limits;    /* by target */
        enum wct_mode mode;
        enum wci_follow follow;
        bool pin;
        bool filtered;  /* the launched program has our seccomp filter: RET_TRACE on its plan's system calls */
        bool over;      /* nobody reads any more: record nothing */
};
extern struct wct_session wct_session;

/* A line to wc-run: "warn ...", "exit PID STATUS". wct_main.c. */
void wct_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t wct_clock(void); /* ticks of the session's clock */

/* --- the plan (wct_plan.c) ------------------------------------------------------------------------------------------ */

struct wct_plan {
        const struct wct_plan_head *head;
        const struct wct_target *targets;
        const struct wct_symbol *symbols;
        const struct wct_argument *arguments;
        const struct wct_step *steps;
        const struct wc_rule *injects;
        const char *texts;
        bool has_syscalls, has_functions;
        uint32_t first_added; /* symbols from here on came while programs ran */
        uint32_t generation;  /* files added */
        uint32_t room;        /* symbols that there can ever be, and one */
};
extern struct wct_plan wct_plan;

/* Map and check the plan: bounds of everything. Returns NULL, or why it cannot be used. */
const char *wct_plan_open(const char *path);
/* Add a file's targets as number first_target and so on, its symbols as the manifest's first_symbol and so on. */
const char *wct_plan_grow(const char *path, uint32_t first_target, uint32_t first_symbol);
bool wct_plan_is_dropped(uint32_t target); /* nobody wants it: nothing of it is to stand in a program */
void wct_plan_drop(uint32_t target, bool dropped); /* wct_grow.c */
const struct wct_symbol *wct_plan_syscall(long number); /* NULL: no target */
const struct wct_symbol *wct_plan_function(const char *name, const struct wct_symbol *after); /* by ELF name; several */
static inline const char *
wct_text(uint32_t offset)
{
        return wct_plan.texts + offset;
}

/* --- processes and threads (wct_tracee.c) --------------------------------------------------------------------------- */

enum wct_coverage {
        WCT_EVENTS_ONLY, /* forks and execs are followed, nothing is recorded */
        WCT_TARGETS,     /* targets without FALLBACK */
        WCT_EVERYTHING   /* FALLBACK ones too: no shim is here */
};

struct wct_process {
        pid_t pid, parent;
        struct wct_process *next;
        struct wct_space *space;     /* shared with a vfork child and CLONE_VM; NULL while nothing is known of it */
        struct wct_segment *segment; /* shared with forked children until they exec; NULL: nothing is recorded */
        uint32_t threads;
        enum wct_coverage coverage;
        bool launched; /* its exec has begun: before, it is wc-run's own child and nothing of it is shown */
        bool attached; /* by -p, or a child of such */
        bool filtered; /* the seccomp filter is in force: its targets stop by themselves */
        bool pinned;
        bool forked;   /* no exec since its fork: the first record says so */
        /* The loop's own. */
        bool ignored;       /* --follow none: a child, or what a child has become; nothing of it is shown */
        bool shares;        /* a child in the memory of its parent: its breakpoints stay until it execs */
        bool watched;       /* some system call of the plan is shown here */
        bool every;         /* PTRACE_SYSCALL always: no filter stops for them */
        bool reported;      /* wc-run asked for it by its pid: it is told its end */
        uint64_t image;     /* tells this executed image from all others; children have it until they exec */
        uint64_t handled;   /* signals that a handler was seen to run for */
};

enum wct_state { WCT_NEW /* no stop seen yet */, WCT_RUNNING, WCT_STOPPED, WCT_LISTENING /* in a group-stop */ };

/* A call that a thread is inside of: a system call, or a function whose return is awaited. */
struct wct_call {
        const struct wct_symbol *symbol;
        uint64_t clock, duration;
        uint64_t sp;   /* at entry */
        uint64_t back; /* function: its return address; system call: the ip behind the instruction */
        uint64_t value[WCT_MOST_ARGUMENTS]; /* the first word of each argument as it was at entry, by ordinal */
        bool recorded;  /* counted and not sampled out: wct_call_exit writes a record */
        bool waiting;   /* a system call that ended with ERESTART*: it may go on */
        uint64_t frame; /* of a waiting one: the sp at which the signal handler that came upon it will make its rt_sigreturn; 0: none */
        bool skipped;   /* by a handler or an action: `result` instead of the real one */
        uint8_t injected; /* WCI_INJECTED, WCI_DELAYED: what its target's inject did */
        bool early;     /* what is to be written before it is not written yet: somebody may still change the call */
        bool shown;     /* record "both" or noreturn: its ENTER record is written */
        bool limited;   /* its target's limits are still to be asked */
        bool hidden;    /* they were against it: counted as filtered */
        int64_t result;
        uint32_t place; /* in the ring's in-flight stack */
        uint32_t serial;
        struct wct_kept *kept; /* what was captured at entry; owned */
        const struct wct_pair *handlers; /* its target's when it began; NULL: none */
        uint64_t own[6]; /* a system call's argument registers as the program has them, when `differs` */
        bool differs;    /* from those that the call was made with: they are put back behind it */
        uint8_t text;    /* 1 + the place of the strings that it was given (wct_text.c); 0: none */
};

struct wct_tracee {
        pid_t tid;
        struct wct_process *process;
        struct wct_tracee *next; /* in its bucket */
        enum wct_state state;
        int signal;         /* to be delivered at the next resume */
        bool exit_wanted;   /* resume with PTRACE_SYSCALL: a recorded system call is under way */
        bool stepping;      /* resume with PTRACE_SINGLESTEP once */
        struct wci_ring *ring; /* NULL until its first record; wct_segment.c */
        struct wct_call *calls; /* innermost last: system calls and functions in one stack */
        uint32_t depth, room;
        struct user_regs_struct regs; /* of the present stop; by wct_regs only */
        bool regs_known, regs_changed;
        struct wct_step_over *over; /* wct_break.c's own */
        /* The loop's own. */
        uint32_t waiting;  /* calls of the stack that ended with ERESTART* and may go on */
        uint32_t returning; /* those of them whose signal handler has not returned */
        uint64_t entered;  /* number + 1 of an entry that PTRACE_SYSCALL has shown: the filter's stop for it may follow */
        bool restarting;   /* a call has just ended with ERESTART*: the next entry is awaited */
        struct user_regs_struct regs_read; /* as the kernel has them, while regs_compared */
        bool regs_compared;
        bool framing;      /* stepping onto a signal handler's first instruction */
        bool affinity;     /* inside a call that asks for its processors */
        bool held;         /* stopped until wct_unhold, or wct_detach_all, is through */
        bool group_stop;   /* stopped with its whole process by a signal */
        uint64_t paused;   /* stopped until then (CLOCK_MONOTONIC, ns): wct_pause.c; 0: it is not */
        bool pause_passes; /* then, or when its question is answered, the instruction under a breakpoint is due */
        struct wct_question *question; /* stopped until it is answered: wct_ask.c; NULL: it has none */
        int first_status;  /* a child that stopped before its parent's event */
};

struct wct_tracee *wct_tracee_find(pid_t tid);
struct wct_tracee *wct_tracee_add(pid_t tid, struct wct_process *process);
void wct_tracee_remove(struct wct_tracee *tracee); /* frees its calls, gives back its ring; its process with the last one */
struct wct_process *wct_process_find(pid_t pid);
struct wct_process *wct_process_add(pid_t pid, pid_t parent);
void wct_each_tracee(void (*visit)(struct wct_tracee *tracee, void *context), void *context);
uint32_t wct_tracees(void);
/* The registers at the present stop, read once; NULL when the tracee is gone. Changes are written by wct_resume. */
struct user_regs_struct *wct_regs(struct wct_tracee *tracee);
static inline void
wct_regs_touch(struct wct_tracee *tracee)
{
        tracee->regs_changed = true;
}
void wct_regs_forget(struct wct_tracee *tracee); /* somebody else has changed them (a handler by PTRACE_SETREGS) */
bool wct_regs_flush(struct wct_tracee *tracee);  /* write changed ones now */

/* --- the loop (wct_loop.c, wct_process.c, wct_signal.c, wct_syscall.c, wct_attach.c) -------------------------------- */

struct wct_event {
        pid_t tid;
        int status; /* as waitpid gives it */
};
bool wct_next_event(struct wct_event *event); /* false: no tracee is left, or wc-run asked for the end */
void wct_dispatch_event(const struct wct_event *event);
void wct_resume(struct wct_tracee *tracee); /* flush registers; PTRACE_CONT, _SYSCALL, _SINGLESTEP or _LISTEN as is due */
/* Wait for one tracee's next stop while all others' events are queued for the loop. Returns its status, -1: it is gone. */
int wct_wait_for(struct wct_tracee *tracee);

void wct_on_fork(struct wct_tracee *parent, pid_t child, int event); /* FORK, VFORK, CLONE */
void wct_on_exec(pid_t pid, pid_t former); /* the thread `former` of pid has become its leader and only one */
void wct_on_exit(struct wct_tracee *tracee, int status);
void wct_on_signal(struct wct_tracee *tracee, int number);
void wct_on_syscall(struct wct_tracee *tracee);
/* Drop calls that a longjmp, an exception or a signal handler's end has left: those entered with a lower stack pointer. */
void wct_calls_unwind(struct wct_tracee *tracee, uint64_t sp);
struct wct_call *wct_call_push(struct wct_tracee *tracee);
void wct_call_pop(struct wct_tracee *tracee); /* frees what the innermost one kept */
bool wct_attach(pid_t pid, char *why, size_t room); /* all threads; false: why not, one sentence */
bool wct_seize_launched(pid_t pid, char *why, size_t room);
void wct_detach_all(void); /* restores code, lets every tracee go; launched and filtered ones stay and are passed on */

/* --- memory of the tracee (wct_memory.c) ----------------------------------------------------------------------------- */

size_t wct_read(pid_t tid, void *into, uint64_t from, size_t size); /* bytes read: less where a page is missing */
size_t wct_read_text(pid_t tid, char *into, uint64_t from, size_t room, bool *ended); /* without the NUL; ended: it was seen */
bool wct_write(pid_t tid, uint64_t to, const void *from, size_t size); /* all or nothing; also into read-only pages */

/* --- records (wct_segment.c, wct_call.c) ------------------------------------------------------------------------------ */

struct wct_segment *wct_segment_new(pid_t pid, pid_t parent, const char *program); /* NULL: no memory; counted */
struct wct_segment *wct_segment_share(struct wct_segment *segment);
bool wct_segments_grow(uint32_t targets); /* there are so many now; false: no memory for their counts */
void wct_segment_release(struct wct_segment *segment); /* by the last: unmapped, and so read to its end and deleted */
bool wct_ring_claim(struct wct_tracee *tracee, uint32_t reason); /* writes PROCESS (reason != 0) or THREAD */
void wct_ring_leave(struct wct_tracee *tracee); /* the thread has ended: its ring may be taken again */

/* Where a call stands: the registers, as a function or a system call has them. */
struct wct_site {
        struct wct_tracee *tracee;
        const uint64_t *registers; /* rdi rsi rdx rcx|r10 r8 r9 */
        uint64_t sp, back;
        int64_t result; /* at exit */
        int error;      /* at exit of a system call: errno, 0 if it succeeded */
};
/*
 * A call begins: look at the target's control word, count, sample, take the time, capture what is read at entry, note it in
 * the in-flight stack; write the ENTER record when there is to be one. call->recorded says whether it is recorded; when it
 * is false, the caller need not wait for the return.
 */
void wct_call_enter(struct wct_call *call, const struct wct_symbol *symbol, const struct wct_site *site);
/*
 * After a handler (wct_handler_enter) or an answer for a recorded call, whatever it changed: the time begins, values and captures
 * are taken from the registers as they are now.
 */
void wct_call_changed(struct wct_call *call, const struct wct_site *site);
/* Nothing will change it any more, made or skipped: what wct_call_enter has left to be written before it (call->early). */
void wct_call_goes_on(struct wct_call *call, const struct wct_site *site);
/* It is back: take the time. The first thing at an exit, before handlers; wct_call_exit does it where nobody has. */
void wct_call_returned(struct wct_call *call);
/*
 * Behind it, before handlers: does the call's `when` hold, as far as it asks about the return? False: the call is counted as
 * filtered, and dropped; all that is left to do is wct_call_pop.
 */
bool wct_call_holds(struct wct_call *call, const struct wct_site *site);
/* Capture, write the CALL record. */
void wct_call_exit(struct wct_call *call, const struct wct_site *site);
/* It will never return here: replaced, left by longjmp, dead. Frees what it kept. */
void wct_call_drop(struct wct_call *call, struct wct_tracee *tracee);
bool wct_target_is_on(const struct wct_symbol *symbol);

/* --- address spaces and breakpoints (wct_space.c, wct_break.c) -------------------------------------------------------- */

/* A new image: find its objects, plant what the plan wants there, watch for later ones. The tracee is at EVENT_EXEC. */
void wct_space_exec(struct wct_tracee *tracee);
/* -p: the same for a running program, all of whose threads are stopped. */
void wct_space_attach(struct wct_tracee *tracee);
/* A child got a copy (share false) or the same (vfork, CLONE_VM) memory. */
struct wct_space *wct_space_inherit(struct wct_space *space, bool share);
void wct_space_release(struct wct_space *space);
/* Take all breakpoints out of the memory that `tracee`, which is stopped, lives in. Used before letting a process go. */
void wct_space_scrub(struct wct_space *space, struct wct_tracee *tracee);
/* SIGTRAP: true if it was a breakpoint of ours: everything is done, the tracee can be resumed. */
bool wct_break_hit(struct wct_tracee *tracee);
void wct_break_go_on(struct wct_tracee *tracee); /* its pause is over: what is under its breakpoint is due */
/* A tracee that is to be let go: bring its ip out of a slot, or back in front of a breakpoint that it just hit. */
void wct_break_leave(struct wct_tracee *tracee);
void wct_break_forget(struct wct_tracee *tracee); /* it has ended, or exec'd */
bool wct_ip_is_hidden(struct wct_tracee *tracee, uint64_t ip); /* inside the shim: its own system calls are not shown */

/* --- made in the tracee (wct_inject.c): it must be stopped, and not inside a system call ------------------------------- */

bool wct_inject_syscall(struct wct_tracee *tracee, long number, const uint64_t args[6], int64_t *result);
bool wct_inject_call(struct wct_tracee *tracee, uint64_t function, uint64_t *result); /* no arguments: an IFUNC resolver */

/* --- declared faults and delays (wct_fault.c, wct_pause.c) --------------------------------------------------------------- */

/*
 * A recorded call comes to its target's inject, behind its handler, which did not skip it. True: it is skipped now, and its
 * result stands where a handler's would. Delays are wct_pause.
 */
bool wct_fault_enter(struct wct_tracee *tracee, struct wct_call *call);
void wct_fault_exit(struct wct_tracee *tracee, const struct wct_call *call); /* its record is written */
/* The next wct_resume lets this tracee stand still for so long; all others go on. */
void wct_pause(struct wct_tracee *tracee, uint64_t ns);
void wct_look_at(uint64_t when); /* wct_pauses_end is to look at its time: a tracee waits for something else */
/* Let those run whose time has come, or whose answer, and see to it that a waitpid ends when the next one's does. */
void wct_pauses_end(void);

/* --- calls that wait for a decision (wct_ask.c, wct_answer.c, wct_text.c) -------------------------------------------------- */

/* What was decided: a copy, since what the answerer writes may change. */
struct wct_answer {
        uint32_t verdict; /* enum wci_verdict */
        int32_t error;
        uint64_t result;
        uint32_t changed, texts;
        uint64_t value[WCI_ASK_VALUES];
        const char *text; /* WCI_ASK_SIZE - WCI_ASK_TEXT bytes, ended by a NUL; value[i] of a text is an offset in it */
};
uint32_t wct_asks(const struct wct_symbol *symbol); /* WCT_ASKS_* */
/*
 * Ask about a recorded call before it (WCI_ENTER) or when it is back (WCI_CALL). True: its tracee stands still from the next
 * wct_resume on, until goes_on has been called with the answer. False: nobody can be asked.
 */
bool wct_ask(struct wct_tracee *tracee, struct wct_call *call, const struct wct_site *site, enum wci_kind kind,
             void (*goes_on)(struct wct_tracee *tracee, const struct wct_answer *answer));
void wct_ask_forget(struct wct_tracee *tracee); /* nobody waits for the answer any more */
uint64_t wct_ask_look(struct wct_tracee *tracee, uint64_t now); /* is it answered? Returns when to look again, 0: it is, and goes on */
bool wct_answers_came(void); /* since this was last asked */
/* Put an answer into the registers of a call that begins. True: it is not made, and the result stands there. */
bool wct_answer_enter(struct wct_tracee *tracee, struct wct_call *call, const struct wct_answer *answer);
void wct_answer_exit(struct wct_tracee *tracee, const struct wct_call *call, const struct wct_answer *answer);
/* Memory in the tracee for the strings of answers: made where its image begins, taken for one call, given back with it. */
bool wct_texts_are_wanted(void);
void wct_texts_make(struct wct_tracee *tracee);
uint64_t wct_text_take(struct wct_tracee *tracee, struct wct_call *call); /* WCI_ASK_SIZE - WCI_ASK_TEXT bytes; 0: there is none */
void wct_text_leave(struct wct_tracee *tracee, struct wct_call *call);

/* A result in place of what the function returns: its registers, and errno (wct_handler.c). A system call's is the kernel's. */
void wct_result_give(struct wct_tracee *tracee, const struct wct_symbol *symbol, uint64_t result, int error);
void wct_errno_give(struct wct_tracee *tracee, const struct wct_symbol *symbol, int error);

/* --- handlers and placement (wct_handler.c, wct_pin.c) ------------------------------------------------------------------ */

const char *wct_handlers_open(const char *library); /* NULL, or why not */
/* Whether the thread is a shim's control thread, or makes it, or loads handlers: what it does is not shown. */
bool wct_is_own(pid_t pid, pid_t tid);
bool wct_own_thread(pid_t pid, pid_t tid); /* a new thread, which has not run yet: is it one, and taken down as such */
void wct_handlers_look(void); /* at what wc-run has changed */
const struct wct_pair *wct_pair_of(const struct wct_symbol *symbol); /* the target's now; NULL: none */
bool wct_has_handler(const struct wct_symbol *symbol);
/*
 * Run the target's handler for a call that begins or has ended. registers of the stop are what it sees (rip the function,
 * orig_rax the number); what it writes takes effect through wct_regs. At entry, returns true when it skips the call
 * (orig_rax -1): then rax is the result.
 */
bool wct_handler_enter(struct wct_tracee *tracee, const struct wct_symbol *symbol);
void wct_handler_exit(struct wct_tracee *tracee, const struct wct_call *call); /* those that it began with */

void wct_pin(struct wct_process *process);   /* one thread, no children: share our processor */
void wct_unpin(struct wct_process *process); /* for good: it is let go */
/* There is a new thread or process, which has not run yet: if it is of a pinned one, both get their own mask back, for good. */
void wct_pin_fork(pid_t child);
/* sched_setaffinity, sched_getaffinity by a pinned tracee: at entry its own mask is put back, at exit it is pinned again. */
bool wct_pin_is_affinity(long number);
void wct_pin_affinity_enter(struct wct_tracee *tracee);
void wct_pin_affinity_exit(struct wct_tracee *tracee);

#endif
