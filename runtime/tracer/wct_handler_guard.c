/*
 * wct_handler_guard.c: running a user handler inside the tracer, and surviving it.
 *
 * Called by wct_handler.c. A handler is foreign code in a process that others depend on: a tracer that dies takes the
 * program with it (PTRACE_O_EXITKILL), one that hangs leaves it stopped. So
 *   crashes      SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT in a handler end the handler, not the tracer; it is told and
 *                switched off. A crash that leaves the heap locked ends the tracer, at once and not by a hang
 *   exit, _exit  the same, but for a process that it forks: defined here, so that the dynamic linker binds its calls to ours
 *   ptrace       defined here as well. Asked by a handler about its own process it answers from the registers that the
 *                handler sees, so that PTRACE_SETREGS and writing through regs are one thing and the later counts; what
 *                would resume or release a tracee is refused. All of the tracer's own calls pass through to the kernel
 * Not contained: a handler that never returns, closes descriptors, calls wait, or writes over the tracer's memory.
 * Absent on purpose: what the registers mean.
 */
#define _GNU_SOURCE
#include "wct_handler.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define WCT_EXPORT __attribute__((visibility("default")))
#define LEFT (-1)       /* came back by exit */
#define HEAP_PATIENCE 2 /* seconds */

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define CRASHES (sizeof crashes / sizeof crashes[0])

struct running {
        sigjmp_buf back;
        struct user_regs_struct *regs;
        struct wc_call *call; /* for a handler of wc_call.h */
        pid_t tid, pid; /* both mean the tracee */
        pid_t tracer;   /* a process that the handler forks is not the tracer */
};

static __thread struct running *running;
static struct sigaction before[CRASHES]; /* wct_main.c's: the tracer's own crashes */

/* --- crashes -------------------------------------------------------------------------------------------------------- */

/* Whether the handler that runs can be left: in the tracer itself, in the thread that runs it. */
static bool
can_leave(void)
{
        return running != NULL && running->tracer == getpid();
}

static void
on_crash(int number)
{
        if (can_leave())
                siglongjmp(running->back, number);
        for (size_t i = 0; i < CRASHES; i++) {
                if (crashes[i] != number)
                        continue;
                sigaction(number, &before[i], NULL);
                raise(number); /* of the tracer itself: it is what it would be without us */
        }
}

/* On the alternate stack that wct_main.c has given this thread: a handler may have used up its own. */
void
wct_guard_begin(void)
{
        struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER};
        sigemptyset(&action.sa_mask);
        for (size_t i = 0; i < CRASHES; i++)
                sigaction(crashes[i], &action, &before[i]);
}

static sigjmp_buf locked;

static void
on_patience_end(int number)
{
        (void)number;
        siglongjmp(locked, 1);
}

/*
 * The heap is the tracer's own. Crashed inside malloc, the handler has left it locked: then the next malloc would wait
 * forever, with a tracee stopped. The tracer crashes instead, as it would by a fault of its own.
 */
static void
check_heap(const struct wct_handler *handler)
{
        const struct sigaction patience = {.sa_handler = on_patience_end};
        struct sigaction alarms;
        sigaction(SIGALRM, &patience, &alarms);
        if (sigsetjmp(locked, 1) == 0) {
                alarm(HEAP_PATIENCE);
                (void)mallinfo2(); /* takes the lock of every arena */
                alarm(0);
                sigaction(SIGALRM, &alarms, NULL);
                return;
        }
        sigaction(SIGALRM, &alarms, NULL);
        wct_tell("warn the handler %s has left the tracer's heap locked: the tracer ends", handler->name);
        raise(SIGABRT);
}

static bool
run_guarded(struct wct_handler *handler, struct running *now, int *error)
{
        const int how = sigsetjmp(now->back, 0);
        if (how == 0) {
                running = now;
                errno = 0;
                if (handler->run_call != NULL)
                        handler->run_call(now->call);
                else
                        handler->run(now->regs, now->pid);
                *error = errno;
                if (!can_leave())
                        _exit(0); /* a child that the handler forked and let return: one tracer is enough */
                running = NULL;
                return true;
        }
        running = NULL;
        handler->off = true;
        check_heap(handler);
        if (how == LEFT)
                wct_tell("warn the handler %s called exit: it is switched off, the program runs on", handler->name);
        else
                wct_tell("warn the handler %s crashed (SIG%s): it is switched off, the program runs on", handler->name,
                         sigabbrev_np(how));
        return false;
}

/*
 * The process, as in the preload engine; but one whose leader has ended (pthread_exit) has no memory under that number any
 * more, so that the helpers of wc_ptrace.h need the thread's.
 */
static pid_t
pid_to_ask(const struct wct_tracee *tracee, const struct user_regs_struct *regs)
{
        char byte;
        const pid_t pid = tracee->process->pid;
        const struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)regs->rsp, 1};
        if (pid == tracee->tid || process_vm_readv(pid, &here, 1, &there, 1, 0) == 1 || errno != ESRCH)
                return pid;
        return tracee->tid;
}

bool
wct_handler_run(struct wct_handler *handler, struct wct_tracee *tracee, struct user_regs_struct *regs, struct wc_call *call,
                int *error)
{
        static pid_t tracer;
        if (tracer == 0)
                tracer = getpid();
        struct running now = {
            .regs = regs, .call = call, .tid = tracee->tid, .pid = pid_to_ask(tracee, regs), .tracer = tracer};
        return run_guarded(handler, &now, error);
}

/* --- exit, as a handler calls it ------------------------------------------------------------------------------------- */

WCT_EXPORT void
exit(int status)
{
        void (*real)(int);
        if (can_leave())
                siglongjmp(running->back, LEFT);
        *(void **)&real = dlsym(RTLD_NEXT, "exit");
        real(status);
        _exit(status);
}

WCT_EXPORT void
_exit(int status)
{
        if (can_leave())
                siglongjmp(running->back, LEFT);
        for (;;)
                syscall(SYS_exit_group, status);
}

/* --- ptrace, as a handler calls it ----------------------------------------------------------------------------------- */

/* As glibc's: a word that is read comes as the result, and errno says whether it is one. */
static long
kernel_ptrace(long request, pid_t pid, void *address, void *data)
{
        unsigned long word = 0;
        const bool peeks = request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER;
        const long result = syscall(SYS_ptrace, request, pid, address, peeks ? (void *)&word : data);
        if (result < 0 || !peeks)
                return result;
        errno = 0;
        return (long)word;
}

static long
user_word(long request, uintptr_t offset, unsigned long value)
{
        if (offset % 8 != 0) {
                errno = EIO;
                return -1;
        }
        unsigned long *place = (unsigned long *)((char *)running->regs + offset);
        if (request == PTRACE_POKEUSER)
                *place = value;
        errno = 0;
        return request == PTRACE_POKEUSER ? 0 : (long)*place;
}

static long
register_set(long request, const struct iovec *set)
{
        const size_t size = set->iov_len < sizeof *running->regs ? set->iov_len : sizeof *running->regs;
        if (request == PTRACE_GETREGSET)
                memcpy(set->iov_base, running->regs, size);
        else
                memcpy(running->regs, set->iov_base, size);
        ((struct iovec *)(uintptr_t)set)->iov_len = size;
        return 0;
}

static long
refused(void)
{
        errno = EPERM;
        return -1;
}

static long
answer(long request, void *address, void *data)
{
        switch (request) {
        case PTRACE_GETREGS:
                memcpy(data, running->regs, sizeof *running->regs);
                return 0;
        case PTRACE_SETREGS:
                memcpy(running->regs, data, sizeof *running->regs);
                return 0;
        case PTRACE_PEEKUSER:
        case PTRACE_POKEUSER:
                if ((uintptr_t)address < sizeof *running->regs)
                        return user_word(request, (uintptr_t)address, (unsigned long)(uintptr_t)data);
                break;
        case PTRACE_GETREGSET:
        case PTRACE_SETREGSET:
                if ((uintptr_t)address == NT_PRSTATUS)
                        return register_set(request, data);
                break;
        case PTRACE_PEEKTEXT: case PTRACE_PEEKDATA: case PTRACE_POKETEXT: case PTRACE_POKEDATA:
        case PTRACE_GETFPREGS: case PTRACE_SETFPREGS: case PTRACE_GETSIGINFO: case PTRACE_SETSIGINFO:
        case PTRACE_GETEVENTMSG: case PTRACE_GETSIGMASK: case PTRACE_PEEKSIGINFO: case PTRACE_GET_SYSCALL_INFO:
                break;
        default: /* what resumes, releases or takes a process is the tracer's own */
                return refused();
        }
        return kernel_ptrace(request, running->tid, address, data);
}

WCT_EXPORT long
ptrace(enum __ptrace_request request, ...)
{
        va_list more;
        va_start(more, request);
        const pid_t pid = va_arg(more, pid_t);
        void *const address = va_arg(more, void *), *const data = va_arg(more, void *);
        va_end(more);
        if (running == NULL)
                return kernel_ptrace((long)request, pid, address, data);
        if (pid == running->pid || pid == running->tid)
                return answer((long)request, address, data);
        return refused();
}
