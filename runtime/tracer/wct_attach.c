/*
 * wct_attach.c: taking hold of programs, and letting them go.
 *
 * Called by wct_main.c.  Rules:
 *   A1  a launched program waits in a pipe while it is seized: it is not stopped, and ends with the tracer (EXITKILL)
 *   A2  an attached one has no EXITKILL and no filter. Its threads are seized until a look at /proc/PID/task finds none that is
 *       new, and are all stopped while its objects are read; a thread that does not stop (in a vfork) is seized all the same
 *   A3  before a program is let go all its threads stop, their ips leave what is ours, and the code is restored. The parent in
 *       a vfork cannot stop: it is let go by the tracer's end, in code that its child's release has restored
 *   A4  what a filter stops for cannot be let go: it is passed on in silence
 *   A5  who may not be attached to is told why in one sentence
 */
#define _GNU_SOURCE
#include "wct_loop.h"

#include "wct_image.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- what /proc says ---------------------------------------------------------------------------------------------- */

static ssize_t
read_whole(const char *path, char *into, size_t room)
{
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -1;
        const ssize_t size = read(fd, into, room - 1);
        into[size < 0 ? 0 : size] = 0;
        close(fd);
        return size;
}

long long
wct_status_of(pid_t tid, const char *key, int base)
{
        char path[64], text[8192];
        snprintf(path, sizeof path, "/proc/%d/status", tid);
        if (read_whole(path, text, sizeof text) <= 0)
                return -1;
        for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
                at += *at == '\n';
                if (strncmp(at, key, strlen(key)) == 0)
                        return (long long)strtoull(at + strlen(key), NULL, base);
        }
        return -1;
}

int
wct_state_of(pid_t tid)
{
        char path[64], text[512];
        snprintf(path, sizeof path, "/proc/%d/stat", tid);
        if (read_whole(path, text, sizeof text) <= 0)
                return 'X';
        const char *behind = strrchr(text, ')'); /* the name may have anything in it */
        return behind != NULL && behind[1] == ' ' ? behind[2] : 'X';
}

/* --- A5 ----------------------------------------------------------------------------------------------------------- */

static void
name_of(pid_t pid, char *into, size_t room)
{
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        if (read_whole(path, into, room) <= 0)
                snprintf(into, room, "?");
        into[strcspn(into, "\n")] = 0;
}

/* Of a process that is not there ptrace says so, unless something forbids ptrace itself. */
static bool
is_ptrace_forbidden(void)
{
        return ptrace(PTRACE_SEIZE, 0x7ffffffe, 0, 0) != 0 && errno != ESRCH;
}

static int
yama_scope(void)
{
        char text[16];
        return read_whole("/proc/sys/kernel/yama/ptrace_scope", text, sizeof text) > 0 ? atoi(text) : 0;
}

/* SELinux's switch against every ptrace. */
static bool
selinux_denies(void)
{
        char text[16];
        return read_whole("/sys/fs/selinux/booleans/deny_ptrace", text, sizeof text) > 0 && text[0] == '1';
}

static void
explain_yama(pid_t pid, char *why, size_t room, int scope)
{
        static const char *const rules[] = {
            "", "only a parent may trace its children", "only an administrator (CAP_SYS_PTRACE) may attach",
            "nobody may attach until the next boot"};
        snprintf(why, room, "process %d cannot be attached to: kernel.yama.ptrace_scope is %d: %s%s", pid, scope, rules[scope],
                 scope == 3 ? "" : "; be root, or set it to 0");
}

static void
explain_refusal(pid_t pid, char *why, size_t room)
{
        char name[64];
        const long long tracer = wct_status_of(pid, "TracerPid:", 10), owner = wct_status_of(pid, "Uid:", 10);
        const int scope = yama_scope();
        if (is_ptrace_forbidden())
                snprintf(why, room, "ptrace is forbidden here%s: in a container, start it with --cap-add SYS_PTRACE",
                         wct_status_of(getpid(), "Seccomp:", 10) == 2 ? " by a seccomp filter" : "");
        else if (tracer > 0) {
                name_of((pid_t)tracer, name, sizeof name);
                snprintf(why, room, "process %d is already traced by %lld (%s)", pid, tracer, name);
        } else if (wct_state_of(pid) == 'Z')
                snprintf(why, room, "process %d has ended: it waits for its parent to take notice", pid);
        else if (wct_status_of(pid, "Kthread:", 10) == 1)
                snprintf(why, room, "process %d is a thread of the kernel", pid);
        else if (owner >= 0 && geteuid() != 0 && owner != (long long)geteuid())
                snprintf(why, room, "process %d belongs to user %lld: be that user, or root", pid, owner);
        else if (scope >= 1 && scope <= 3)
                explain_yama(pid, why, room, scope);
        else if (selinux_denies())
                snprintf(why, room, "process %d cannot be attached to: SELinux denies ptrace (setsebool deny_ptrace off)", pid);
        else
                snprintf(why, room, "process %d cannot be attached to: not permitted (it may be setuid, not dumpable, or its "
                                    "user's privileges greater than ours)", pid);
}

static void
explain(pid_t pid, int error, char *why, size_t room)
{
        if (error == ESRCH)
                snprintf(why, room, "there is no process %d", pid);
        else if (error == EPERM || error == EACCES)
                explain_refusal(pid, why, room);
        else
                snprintf(why, room, "process %d cannot be attached to: %s", pid, strerror(error));
}

/* --- taking hold -------------------------------------------------------------------------------------------------- */

static struct wct_tracee *
known_running(pid_t tid, struct wct_process *process)
{
        struct wct_tracee *tracee = wct_tracee_add(tid, process);
        tracee->state = WCT_RUNNING; /* its next stop may be any */
        return tracee;
}

bool
wct_seize_launched(pid_t pid, char *why, size_t room)
{
        long options = WCT_LAUNCH_OPTIONS | PTRACE_O_EXITKILL;
        if (wct_session.filtered)
                options |= PTRACE_O_TRACESECCOMP;
        if (ptrace(PTRACE_SEIZE, pid, 0, options) != 0) {
                explain(pid, errno, why, room);
                return false;
        }
        struct wct_process *process = wct_process_add(pid, (pid_t)wct_status_of(pid, "PPid:", 10));
        process->filtered = wct_session.filtered;
        process->reported = true;
        process->coverage = WCT_EVERYTHING;
        wct_process_judge(process);
        known_running(pid, process);
        return true;
}

/* Seize the threads that are not ours yet. Returns how many; the first error stands in *error. */
static uint32_t
seize_new(pid_t pid, struct wct_process *process, int *error)
{
        char path[64];
        uint32_t seized = 0;
        snprintf(path, sizeof path, "/proc/%d/task", pid);
        DIR *threads = opendir(path);
        if (threads == NULL) {
                *error = ESRCH;
                return 0;
        }
        for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
                const pid_t tid = atoi(entry->d_name);
                if (tid <= 0 || wct_tracee_find(tid) != NULL)
                        continue;
                if (ptrace(PTRACE_SEIZE, tid, 0, WCT_LAUNCH_OPTIONS) == 0) {
                        known_running(tid, process);
                        seized++;
                } else if (errno == EPERM && wct_status_of(tid, "TracerPid:", 10) == getpid()) {
                        wct_tracee_add(tid, process); /* born of a thread of ours: its first stop is to come */
                        seized++;
                } else if (*error == 0 && errno != ESRCH) {
                        *error = errno;
                }
        }
        closedir(threads);
        return seized;
}

static struct wct_process *of; /* for visits */
static struct wct_tracee *stopped;

static void
find_stopped(struct wct_tracee *tracee, void *context)
{
        (void)context;
        if (tracee->process == of && tracee->held && (stopped == NULL || tracee->tid == of->pid))
                stopped = tracee;
}

static struct wct_tracee *
stopped_of(struct wct_process *process)
{
        of = process;
        stopped = NULL;
        wct_each_tracee(find_stopped, NULL);
        return stopped;
}

static void
record_attached(struct wct_process *process)
{
        char program[4096];
        wct_image_program(process->pid, program, sizeof program);
        process->segment = wct_segment_new(process->pid, process->parent, program);
        struct wct_tracee *tracee = stopped_of(process);
        if (tracee != NULL && (wct_plan.has_functions || wct_texts_are_wanted()))
                wct_space_attach(tracee);
}

bool
wct_attach(pid_t pid, char *why, size_t room)
{
        int error = 0;
        if (pid <= 0 || wct_process_find(pid) != NULL) {
                snprintf(why, room, pid <= 0 ? "%d is no process" : "process %d is traced already, by this very command", pid);
                return false;
        }
        const long long leader = wct_status_of(pid, "Tgid:", 10);
        if (pid == getpid() || pid == getppid() || (leader > 0 && leader != pid)) {
                if (leader != pid)
                        snprintf(why, room, "%d is a thread of process %lld: attach to that", pid, leader);
                else
                        snprintf(why, room, "process %d does the tracing itself", pid);
                return false;
        }
        struct wct_process *process = wct_process_add(pid, (pid_t)wct_status_of(pid, "PPid:", 10));
        process->launched = process->attached = process->reported = true;
        process->coverage = wct_image_coverage(pid);
        process->image = wct_image_key(pid);
        wct_process_judge(process);
        while (seize_new(pid, process, &error) != 0) /* A2 */
                continue;
        if (process->threads == 0) {
                wct_process_drop(process);
                explain(pid, error == 0 ? ESRCH : error, why, room);
                return false;
        }
        wct_hold_all();
        process = wct_process_find(pid); /* it may have ended meanwhile */
        if (process != NULL && !wct_session.over)
                record_attached(process);
        wct_unhold_all();
        return true;
}

/* --- letting go --------------------------------------------------------------------------------------------------- */

/* Its ip out of what is ours, before the code is restored. */
static void
leave_code(struct wct_tracee *tracee, void *context)
{
        (void)context;
        if (tracee->process == NULL || tracee->process->space == NULL || !tracee->held)
                return;
        wct_break_leave(tracee);
        wct_regs_flush(tracee);
}

static void
restore_code(struct wct_tracee *tracee, void *context)
{
        struct wct_process *process = tracee->process;
        (void)context;
        if (process == NULL || process->space == NULL || !tracee->held)
                return;
        wct_space_scrub(process->space, tracee);
        wct_space_release(process->space);
        process->space = NULL;
}

/* A4, or gone. */
static void
let_go_or_pass_on(struct wct_tracee *tracee, void *context)
{
        struct wct_process *process = tracee->process;
        (void)context;
        while (tracee->depth != 0)
                wct_call_pop(tracee);
        tracee->waiting = 0;
        tracee->exit_wanted = tracee->restarting = tracee->framing = false;
        if (process == NULL) {
                tracee->signal = 0;
                wct_let_go(tracee);
                return;
        }
        wct_unpin(process);
        process->coverage = WCT_EVENTS_ONLY;
        wct_process_judge(process);
        if (process->filtered)
                return;
        if (tracee->held)
                wct_let_go(tracee);
        else
                wct_tracee_remove(tracee); /* A3 */
}

void
wct_detach_all(void)
{
        wct_hold_all();
        wct_each_tracee(leave_code, NULL);
        wct_each_tracee(restore_code, NULL);
        wct_each_tracee(let_go_or_pass_on, NULL);
        wct_unhold_all();
}
