/*
 * wci_control.c: the control thread (R1's one exception): it loads handler libraries while the program runs, because no wrapper
 * is a safe place for dlopen.
 *
 * wci_control_begin makes it when the program's _start comes to __libc_start_main, in shims that take handlers.  It sleeps on a
 * futex of the session's table (wc_table.h).  What a program may notice of it, and what is done about that:
 *   signals     all are blocked there, but for the two by which glibc itself speaks to threads (setuid would wait for ever)
 *   main ends   by pthread_exit: the process ends with its last thread, which must not be this one. It looks four times a second
 *   fork        the child has no control thread. One is made at the child's next intercepted call of a target that has changed,
 *               or its first call at all, if there are handlers that it lacks, and it is safe to: no signal is blocked (in a
 *               signal handler its own is), malloc is libc's (others call what is intercepted with their locks held), and the
 *               child comes from a fork that waited until nothing was being loaded. Else it keeps the handlers that it has
 *   vfork       shares its parent's memory: no thread is ever made there
 *   unshare, setns, seccomp   refuse processes of several threads, or would kill one that makes system calls: it ends before
 *   descriptors dlopen's own take the program's next number for an instant. Everything else here uses none
 * Absent on purpose: what is loaded (wci_swap.c).
 */
#include "wci_control.h"

#include "wci_handler.h"
#include "wci_hooks.h"
#include "wci_runtime.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>

#define SMALL_STACK (256ul << 10)
#define LARGE_STACK (8ul << 20)         /* where the program's thread-local storage, which lies there too, is large */
#define SLICE {0, 250000000}            /* of the sleep */
#define PATIENCE 2000                   /* ms that a fork waits for a library to be loaded, and anybody for the thread's end */
#define OF_GLIBC (1ul << 31 | 1ul << 32) /* signals 32 and 33: cancellation, and setuid in every thread */

static struct {
        int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
        int (*init)(pthread_attr_t *);
        int (*size)(pthread_attr_t *, size_t);
        int (*detach)(pthread_attr_t *, int);
        int (*at_fork)(void (*)(void), void (*)(void), void (*)(void), void *); /* pthread_atfork, without crt's part of it */
} threads; /* libc's, behind our wrappers */

static uint32_t loading; /* 1: the control thread is looking, or a fork is under way */
static uint32_t forker;  /* the thread whose fork has it; 0: none */
static bool plain_heap;  /* malloc is libc's own */

static void
sleep_ms(void)
{
        struct timespec time = {0, 1000000};
        wci_syscall3(SYS_nanosleep, &time, 0, 0);
}

static bool
take(void)
{
        for (uint32_t i = 0; i < PATIENCE; i++) {
                if (__atomic_exchange_n(&loading, 1, __ATOMIC_ACQUIRE) == 0)
                        return true;
                sleep_ms();
        }
        return false;
}

static void
give(void)
{
        __atomic_store_n(&loading, 0, __ATOMIC_RELEASE);
}

/* --- the thread ------------------------------------------------------------------------------------------------------- */

static struct wci_answer *answer;

/* The main thread has ended by itself, and has no memory any more. */
static bool
main_has_ended(void)
{
        char byte;
        const struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)&byte, 1};
        return wci_syscall6(SYS_process_vm_readv, (long)wci_alive->pid, (long)&here, 1, (long)&there, 1, 0) == -ESRCH;
}

static bool
is_over(void)
{
        return wci_quiet || __atomic_load_n(&wci_alive->ending, __ATOMIC_ACQUIRE) != 0 || wci_turned_off();
}

static void *
control(void *unused)
{
        const struct timespec slice = SLICE;
        const struct wci_place before = wci_handler_begin(NULL, NULL, (uintptr_t)__builtin_frame_address(0));
        (void)unused;
        answer->thread = (uint32_t)wci_syscall0(SYS_gettid);
        __atomic_store_n(&wci_alive->control, answer->thread, __ATOMIC_RELEASE);
        wci_syscall3(SYS_prctl, PR_SET_NAME, "wc-control", 0);
        while (!is_over()) {
                const uint32_t seen = __atomic_load_n(&wci_table->asked, __ATOMIC_ACQUIRE);
                if (take()) {
                        wci_swap_look(answer);
                        give();
                }
                if (is_over() || main_has_ended())
                        break;
                wci_syscall6(SYS_futex, (long)&wci_table->asked, FUTEX_WAIT, seen, (long)&slice, 0, 0);
        }
        __atomic_store_n(&answer->pid, 0, __ATOMIC_RELEASE);
        wci_handler_end(&before);
        __atomic_store_n(&wci_alive->control, 0, __ATOMIC_RELEASE);
        return NULL;
}

static bool
answer_take(void)
{
        for (uint32_t i = 0; i < WCI_ANSWERS; i++) {
                struct wci_answer *one = &wci_table->answers[i];
                uint32_t pid = __atomic_load_n(&one->pid, __ATOMIC_RELAXED);
                if (pid != 0 && pid != wci_alive->pid && wci_syscall3(SYS_kill, pid, 0, 0) != -ESRCH)
                        continue;
                if (!__atomic_compare_exchange_n(&one->pid, &pid, wci_alive->pid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
                        continue;
                one->ready = one->failed = one->acting = one->thread = 0;
                one->maker = (uint32_t)wci_syscall0(SYS_gettid);
                answer = one;
                return true;
        }
        return false;
}

static void
answer_leave(void)
{
        __atomic_store_n(&answer->pid, 0, __ATOMIC_RELEASE);
        answer = NULL;
}

static bool
make(size_t stack)
{
        pthread_t thread;
        pthread_attr_t attributes;
        const uint64_t all = ~OF_GLIBC;
        uint64_t before = 0;
        if (threads.init(&attributes) != 0 || threads.size(&attributes, stack) != 0 ||
            threads.detach(&attributes, PTHREAD_CREATE_DETACHED) != 0)
                return false;
        wci_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof all, 0, 0);
        const bool made = threads.create(&thread, &attributes, control, NULL) == 0;
        wci_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof before, 0, 0);
        return made;
}

/* With an answer of this process's. */
static void
begin(void)
{
        uint32_t none = 0;
        if (!__atomic_compare_exchange_n(&wci_alive->control, &none, UINT32_MAX, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
                return;
        struct wci_answer *const mine = answer;
        if (make(SMALL_STACK) || make(LARGE_STACK)) {
                mine->maker = 0;
                return;
        }
        answer_leave();
        __atomic_store_n(&wci_alive->control, 0, __ATOMIC_RELEASE);
}

/* --- fork ------------------------------------------------------------------------------------------------------------- */

static void
before_fork(void)
{
        const uint32_t thread = (uint32_t)wci_syscall0(SYS_gettid);
        if (thread != wci_alive->control && take())
                forker = thread;
}

static void
in_parent(void)
{
        if (forker != (uint32_t)wci_syscall0(SYS_gettid))
                return;
        forker = 0;
        give();
}

/* wci_alive has been wiped: nobody controls this process. While a fork has it, ours or another, nothing is being loaded. */
static void
in_child(void)
{
        wci_alive->clean = forker != 0;
        forker = 0;
        give();
}

/* --- beginning and end ------------------------------------------------------------------------------------------------ */

static bool
heap_is_plain(void)
{
        extern WCI_HIDDEN const char __ehdr_start[], _end[];
        void *libc = wci_dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        const char *own = libc != NULL ? dlsym(libc, "calloc") : NULL, *found = dlsym(RTLD_DEFAULT, "calloc");
        if (found >= __ehdr_start && found < _end) /* our wrapper */
                found = dlsym(RTLD_NEXT, "calloc");
        return own != NULL && own == found;
}

void
wci_control_claim(void)
{
        if (wci_table != NULL && !wci_quiet && !answer_take())
                wci_swap_warn("other handlers do not come to a program: ", "the session has more than it can count");
}

static bool
prepare(void)
{
        *(void **)&threads.create = dlsym(RTLD_NEXT, "pthread_create");
        *(void **)&threads.init = dlsym(RTLD_NEXT, "pthread_attr_init");
        *(void **)&threads.size = dlsym(RTLD_NEXT, "pthread_attr_setstacksize");
        *(void **)&threads.detach = dlsym(RTLD_NEXT, "pthread_attr_setdetachstate");
        *(void **)&threads.at_fork = dlsym(RTLD_NEXT, "__register_atfork");
        if (threads.create == NULL || threads.init == NULL || threads.size == NULL || threads.detach == NULL ||
            threads.at_fork == NULL)
                return false;
        plain_heap = heap_is_plain();
        return threads.at_fork(before_fork, in_parent, in_child, NULL) == 0;
}

void
wci_control_begin(void)
{
        if (answer == NULL)
                return;
        if (!prepare()) {
                answer_leave();
                return;
        }
        wci_alive->clean = 1;
        begin();
}

static bool
may_begin(void)
{
        uint64_t blocked = 1;
        if (!plain_heap || !wci_alive->clean || wci_quiet || wci_tls.vfork != NULL || wci_tls.handler_frame != 0)
                return false;
        wci_syscall6(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&blocked, sizeof blocked, 0, 0);
        return blocked == 0 && (uint32_t)wci_syscall0(SYS_getpid) == wci_alive->pid && !wci_turned_off();
}

void
wci_control_behind(void)
{
        if (wci_table == NULL || wci_alive->control != 0 || !wci_swap_is_behind() || !may_begin())
                return;
        const int error = errno;
        const struct wci_place before = wci_handler_begin(NULL, NULL, (uintptr_t)__builtin_frame_address(0));
        if (answer_take())
                begin();
        wci_handler_end(&before);
        errno = error;
}

/* Before something that a process of several threads may not do. It is made anew when it is needed. */
void
wci_control_end(void)
{
        if (wci_alive == NULL || wci_alive->control == 0 || wci_table == NULL)
                return;
        __atomic_store_n(&wci_alive->ending, 1, __ATOMIC_RELEASE);
        uint32_t thread = 0;
        for (uint32_t i = 0; i < PATIENCE; i++) {
                const uint32_t now = __atomic_load_n(&wci_alive->control, __ATOMIC_ACQUIRE);
                thread = now != 0 && now != UINT32_MAX ? now : thread;
                if (now == 0 && (thread == 0 || wci_syscall3(SYS_tgkill, wci_alive->pid, thread, 0) == -ESRCH))
                        break;
                __atomic_add_fetch(&wci_table->asked, 1, __ATOMIC_RELEASE);
                wci_syscall3(SYS_futex, &wci_table->asked, FUTEX_WAKE, INT_MAX);
                sleep_ms();
        }
        __atomic_store_n(&wci_alive->ending, 0, __ATOMIC_RELEASE);
}
