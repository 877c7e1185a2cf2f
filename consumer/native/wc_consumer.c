/*
 * wc_consumer.c: what Python cannot do by itself: read the time stamp counter, wake a writer that sleeps on a futex in
 * shared memory, keep the heartbeat going while the interpreter imports, formats or waits for a disk, and prepare a
 * forked child to be traced. Loaded by consumer/machine.py through ctypes; built by CMake into wc_intercept/_native.
 *
 * Rules: knows no layout; what runs in a forked child allocates nothing and takes no lock; never reads or writes through the mappings it makes (a program may have truncated the file:
 * the kernel then answers EFAULT, where a load would raise SIGBUS).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WC_API __attribute__((visibility("default")))
#define WC_PAGE 4096
#define WC_TRIES 16

WC_API uint64_t wc_ticks(void);
WC_API uint64_t wc_clock_sample(uint64_t sample[3]);
WC_API void *wc_map_page(int descriptor, int64_t offset);
WC_API int wc_unmap_page(void *page);
WC_API long wc_futex_wake(void *word);
WC_API int wc_heart_start(int descriptor, int64_t offset, int64_t period_ns);
WC_API void wc_heart_stop(void);
WC_API int wc_filter_install(const void *program, int64_t size);
WC_API int wc_tracer_allow(int pid);

static uint64_t
nanoseconds(clockid_t clock)
{
        struct timespec now;
        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

WC_API uint64_t
wc_ticks(void)
{
#if defined(__x86_64__)
        return __builtin_ia32_rdtsc();
#else
        return nanoseconds(CLOCK_MONOTONIC);
#endif
}

/*
 * One moment on three clocks: ticks, CLOCK_MONOTONIC and CLOCK_REALTIME in ns. The tightest of a few tries, taken
 * between two reads of the ticks. Returns how many ticks apart those were: the sample's uncertainty.
 */
WC_API uint64_t
wc_clock_sample(uint64_t sample[3])
{
        uint64_t best = UINT64_MAX;
        for (int i = 0; i < WC_TRIES; i++) {
                const uint64_t before = wc_ticks();
                const uint64_t monotonic = nanoseconds(CLOCK_MONOTONIC);
                const uint64_t after = wc_ticks();
                if (after - before >= best)
                        continue;
                best = after - before;
                sample[0] = before + best / 2;
                sample[1] = monotonic;
                sample[2] = nanoseconds(CLOCK_REALTIME) - (nanoseconds(CLOCK_MONOTONIC) - monotonic);
        }
        return best;
}

/* The page of a shared file that holds a futex; NULL when it cannot be mapped. Read-only is enough to wake. */
WC_API void *
wc_map_page(int descriptor, int64_t offset)
{
        void *page = mmap(NULL, WC_PAGE, PROT_READ, MAP_SHARED, descriptor, offset);
        return page == MAP_FAILED ? NULL : page;
}

WC_API int
wc_unmap_page(void *page)
{
        return munmap(page, WC_PAGE);
}

/* Wake whoever sleeps on the futex; returns how many, or -1. */
WC_API long
wc_futex_wake(void *word)
{
        return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, 0, 0, 0);
}

/*
 * The heart: a thread that writes CLOCK_MONOTONIC ns to one place of the control file. It stops when this process stops
 * or dies, and only then: a slow consumer is not a dead one, and programs that wait for it lose nothing.
 */
static struct {
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t stop;
        int64_t offset, period_ns;
        int descriptor; /* its own; -1: not beating */
} heart = {.lock = PTHREAD_MUTEX_INITIALIZER, .descriptor = -1};

static void
heart_wait(void)
{
        const uint64_t until = nanoseconds(CLOCK_MONOTONIC) + (uint64_t)heart.period_ns;
        const struct timespec time = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
        pthread_cond_timedwait(&heart.stop, &heart.lock, &time);
}

static void *
heart_beat(void *unused)
{
        pthread_mutex_lock(&heart.lock);
        while (heart.descriptor >= 0) {
                const uint64_t now = nanoseconds(CLOCK_MONOTONIC);
                if (pwrite(heart.descriptor, &now, sizeof now, heart.offset) != sizeof now)
                        break;
                heart_wait();
        }
        pthread_mutex_unlock(&heart.lock);
        return unused;
}

/* Begin to beat every period_ns into the descriptor (which is duplicated). Returns 0, or an error number. */
WC_API int
wc_heart_start(int descriptor, int64_t offset, int64_t period_ns)
{
        pthread_condattr_t attributes;
        sigset_t all, before;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&heart.stop, &attributes);
        heart.offset = offset;
        heart.period_ns = period_ns;
        heart.descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
        sigfillset(&all); /* signals are for the interpreter's thread */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        const int error = heart.descriptor < 0 ? errno : pthread_create(&heart.thread, NULL, heart_beat, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return error;
}

WC_API void
wc_heart_stop(void)
{
        pthread_mutex_lock(&heart.lock);
        const int descriptor = heart.descriptor;
        heart.descriptor = -1;
        pthread_cond_signal(&heart.stop);
        pthread_mutex_unlock(&heart.lock);
        if (descriptor < 0)
                return;
        pthread_join(heart.thread, NULL);
        close(descriptor);
}

/* --- in a forked child, before its execve ---------------------------------------------------------------------------- */

/* SPEC_ALLOW: before Linux 5.16 a filter slowed its program down by guarding it against speculation. */
static int
filter_try(const struct sock_fprog *filter)
{
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter) == 0)
                return 0;
        if (errno != EINVAL)
                return errno;
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter) == 0 ? 0 : errno;
}

/*
 * Put a seccomp filter (size bytes of struct sock_filter) in force, for good and for all children. Only where the kernel
 * insists, for want of CAP_SYS_ADMIN, the program loses the privileges that setuid files would give it. Returns 0, or an
 * error number.
 */
WC_API int
wc_filter_install(const void *program, int64_t size)
{
        if (size <= 0 || size % (int64_t)sizeof(struct sock_filter) != 0 ||
            size / (int64_t)sizeof(struct sock_filter) > BPF_MAXINSNS)
                return EINVAL;
        const struct sock_fprog filter = {(unsigned short)(size / (int64_t)sizeof(struct sock_filter)),
                                          (struct sock_filter *)(uintptr_t)program};
        const int error = filter_try(&filter);
        if (error != EACCES)
                return error;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
                return errno;
        return filter_try(&filter);
}

/* Let the process pid, which is no ancestor, trace this one. Where Yama is not, that needs no permission. */
WC_API int
wc_tracer_allow(int pid)
{
        if (prctl(PR_SET_PTRACER, (unsigned long)pid, 0, 0, 0) == 0 || errno == EINVAL)
                return 0;
        return errno;
}
