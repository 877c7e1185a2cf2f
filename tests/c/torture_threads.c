/*
 * torture_threads.c: THREADS threads at once, each calling `work` CALLS times (recursion: LEVELS deep) and getppid as often,
 * each leaving one in 16 by longjmp. Prints how often `work` was entered, and how often it returned.
 *
 * For test_torture.py: what is recorded must be exactly that. lint-flags: -pthread */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEVELS 3

static long calls;
static long entered, returned;
static pthread_barrier_t barrier;
static __thread jmp_buf out;

__attribute__((noinline, noclone)) long
work(long number, int level)
{
        __atomic_fetch_add(&entered, 1, __ATOMIC_RELAXED);
        if (level == 0) {
                if (number % 16 == 15)
                        longjmp(out, 1);
                __atomic_fetch_add(&returned, 1, __ATOMIC_RELAXED);
                return number;
        }
        const long deeper = work(number, level - 1);
        __atomic_fetch_add(&returned, 1, __ATOMIC_RELAXED);
        return deeper + 1;
}

static void *
loop(void *unused)
{
        pthread_barrier_wait(&barrier);
        for (volatile long i = 0; i < calls; i++) {
                (void)syscall(SYS_getppid);
                if (setjmp(out) == 0 && work(i, LEVELS - 1) != i + LEVELS - 1)
                        abort();
        }
        return unused;
}

int
main(int argc, char **argv)
{
        const int threads = argc > 1 ? atoi(argv[1]) : 64;
        calls = argc > 2 ? atol(argv[2]) : 100;
        pthread_t *ids = calloc((size_t)threads, sizeof *ids);
        pthread_barrier_init(&barrier, NULL, (unsigned)threads);
        for (int i = 0; i < threads; i++)
                if (pthread_create(&ids[i], NULL, loop, NULL) != 0)
                        return 1;
        for (int i = 0; i < threads; i++)
                pthread_join(ids[i], NULL);
        free(ids);
        printf("%ld %ld\n", entered, returned);
        return 0;
}
