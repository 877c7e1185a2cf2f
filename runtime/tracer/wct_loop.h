/*
 * wct_loop.h: what the files of the tracer's loop say to each other, and to nobody else.
 */
#ifndef WCT_LOOP_H
#define WCT_LOOP_H

#include "wct.h"

#define WCT_LAUNCH_OPTIONS                                                                                                 \
        (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

/* wct_main.c: commands of wc-run, taken by a thread of their own. Runs those that have come; false: the end was asked for. */
bool wct_commands(bool wait);

/* wct_tracee.c */
void wct_tracee_adopt(struct wct_tracee *tracee, struct wct_process *process); /* a child whose parent's event has come */
void wct_tracee_rename(struct wct_tracee *tracee, pid_t tid);                  /* it is the leader now, by an exec */
void wct_process_drop(struct wct_process *process);                             /* one that never had a thread */
extern uint32_t wct_orphans;      /* tracees without a process: their parents' events have not come */
extern uint32_t wct_orphans_seen; /* ever */

/* wct_loop.c */
/*
 * While held, whatever wct_resume is asked to let run stays stopped instead (tracee->held). wct_hold_all stops every tracee, as
 * far as it can be stopped: the parent in a vfork cannot. Their events are dispatched as ever.
 */
void wct_hold_all(void);
void wct_unhold_all(void);

void wct_dispatch_abandon(void); /* the tracer has crashed in the midst of an event: let its tracee be let go */

/* wct_grow.c: targets come (plan) and go (drop, want). NULL: done; or why not. */
const char *wct_grow(const char *text);
bool wct_is_between_calls(pid_t tid); /* wct_inject.c: where it is stopped, calls can be made in it */

/* wct_signal.c */
void wct_on_stop(struct wct_tracee *tracee, int number); /* PTRACE_EVENT_STOP */

/* wct_syscall.c */
void wct_syscall_finish(struct wct_tracee *tracee, int64_t result); /* the innermost call, a system call, has ended */
/* The same; `answered` goes on, with wct_syscall_answered, when the call asks first what its result is to be. */
void wct_syscall_end(struct wct_tracee *tracee, int64_t result,
                     void (*answered)(struct wct_tracee *tracee, const struct wct_answer *answer));
void wct_syscall_answered(struct wct_tracee *tracee, const struct wct_answer *answer);

/* wct_restart.c */
bool wct_is_restart(int64_t result);
bool wct_restart_enter(struct wct_tracee *tracee, uint64_t number, uint64_t ip, uint64_t sp); /* true: a call that waited goes on */
bool wct_on_step(struct wct_tracee *tracee); /* SIGTRAP on the way into a signal handler; true: it was that */

/* wct_process.c */
void wct_process_judge(struct wct_process *process); /* what of it is shown, by its coverage */
void wct_processes_judge(void); /* the plan has changed */
void wct_first_stop(struct wct_tracee *tracee, int status);
void wct_let_go(struct wct_tracee *tracee); /* one stopped thread: detached and forgotten */

struct wct_process *wct_process_born(const struct wct_process *parent, pid_t pid, bool shares);

/* wct_orphan.c: children whose parents' events have not come. */
void wct_process_bury(struct wct_process *process); /* the last of its threads has ended: it is remembered for its children */
void wct_orphans_review(void);                      /* a child has stopped, or a process has ended: who is nobody's child now? */
void wct_orphans_take_in(void);                     /* all of them, whosever they are */
pid_t wct_orphans_wait(int *status, int options);   /* waitpid while there are such; 0: one has been taken in instead */

/* A line of /proc/TID/status: the number behind `key` ("TracerPid:"), in `base`; -1 when there is none. wct_attach.c. */
long long wct_status_of(pid_t tid, const char *key, int base);
int wct_state_of(pid_t tid); /* its letter in /proc/TID/stat; 'X': gone */

#endif
