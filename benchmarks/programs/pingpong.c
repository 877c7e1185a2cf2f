/*
 * pingpong.c: how long two processes take to wake each other in turn: one stores a number and wakes the other, which does
 * the same. Prints the median of a round trip in ns. Run by benchmarks/decide.py: what a decision cannot be faster than.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t
now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void
wait_for(uint32_t *word, uint32_t wanted)
{
        uint32_t seen;
        while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != wanted)
                syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void
tell(uint32_t *word, uint32_t number)
{
        __atomic_store_n(word, number, __ATOMIC_RELEASE);
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int
by_size(const void *a, const void *b)
{
        const uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
        return (first > second) - (first < second);
}

int
main(int argc, char **argv)
{
        const uint32_t rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 10000;
        uint32_t *there = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *back = there + 64;
        uint64_t *took = calloc(rounds, sizeof *took);
        if (there == MAP_FAILED || took == NULL)
                return 1;
        if (fork() == 0) {
                for (uint32_t i = 1; i <= rounds; i++) {
                        wait_for(there, i);
                        tell(back, i);
                }
                _exit(0);
        }
        for (uint32_t i = 1; i <= rounds; i++) {
                const uint64_t start = now();
                tell(there, i);
                wait_for(back, i);
                took[i - 1] = now() - start;
        }
        wait(NULL);
        qsort(took, rounds, sizeof *took, by_size);
        printf("%llu\n", (unsigned long long)took[rounds / 2]);
        return 0;
}
