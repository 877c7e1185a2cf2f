/*
 * wci_sys.h: the machine as the runtime sees it: raw system calls, the clock instruction, unlocked atomics.
 *
 * Included by the runtime's own files and, for the inline parts, by generated code.  Rules: nothing here calls libc
 * (R1), nothing touches errno (R2).  x86-64 only: another architecture brings its own file under this name.
 */
#ifndef WCI_SYS_H
#define WCI_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#define WCI_LIKELY(x) __builtin_expect(!!(x), 1)
#define WCI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define WCI_INLINE static inline __attribute__((always_inline))
#define WCI_COLD __attribute__((cold, noinline))

/* The compiler may not move stores over this line; on x86-64 the processor keeps stores in order by itself. */
#define WCI_ORDER() __asm__ volatile("" ::: "memory")

static inline long
wci_syscall6(long number, long a, long b, long c, long d, long e, long f)
{
        long result;
        register long r10 __asm__("r10") = d;
        register long r8 __asm__("r8") = e;
        register long r9 __asm__("r9") = f;
        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                         : "rcx", "r11", "memory");
        return result;
}

#define wci_syscall3(number, a, b, c) wci_syscall6((number), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define wci_syscall0(number) wci_syscall6((number), 0, 0, 0, 0, 0, 0)

WCI_INLINE uint64_t
wci_rdtsc(void)
{
        uint32_t low, high;
        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        return (uint64_t)high << 32 | low;
}

/* Atomic towards signals of this thread, not towards other processors: that is all a single writer needs. */
WCI_INLINE bool
wci_cmpxchg_unlocked(uint64_t *word, uint64_t *expected, uint64_t desired)
{
        bool done;
        __asm__ volatile("cmpxchgq %3, %1"
                         : "=@ccz"(done), "+m"(*word), "+a"(*expected)
                         : "r"(desired)
                         : "memory");
        return done;
}

WCI_INLINE void
wci_add_unlocked(uint64_t *word, uint64_t n)
{
        __asm__ volatile("addq %1, %0" : "+m"(*word) : "er"(n) : "cc");
}

#endif
