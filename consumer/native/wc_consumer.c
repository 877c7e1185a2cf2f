/*
 * wc_consumer.c: the two things that Python cannot do by itself: read the time stamp counter, and wake a writer that
 * sleeps on a futex in shared memory. Loaded by ctypes; knows no layout.
 */
#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WC_API __attribute__((visibility("default")))

WC_API uint64_t wc_ticks(void);
WC_API long wc_futex_wake(void *word);

WC_API uint64_t
wc_ticks(void)
{
#if defined(__x86_64__)
        return __builtin_ia32_rdtsc();
#else
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

WC_API long
wc_futex_wake(void *word)
{
        return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, 0, 0, 0);
}
