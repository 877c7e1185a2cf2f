/* THREADS threads that call rand without end, until standard input closes; then how often they did. A line for each byte
 * that is read: every thread has begun and ended a call since. */
/* lint-flags: -pthread */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST 64

static int over;
static long calls[MOST];

static void *
work(void *count)
{
        while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
                (void)rand();
                __atomic_add_fetch((long *)count, 1, __ATOMIC_RELAXED);
                usleep(2000);
        }
        return NULL;
}

/* The first of two calls may have begun before. */
static void
let_all_call_twice(int threads)
{
        long before[MOST];
        for (int i = 0; i < threads; i++)
                before[i] = __atomic_load_n(&calls[i], __ATOMIC_RELAXED);
        for (int i = 0; i < threads; i++)
                while (__atomic_load_n(&calls[i], __ATOMIC_RELAXED) < before[i] + 2)
                        usleep(500);
}

int
main(int argc, char **argv)
{
        const int threads = argc > 1 && atoi(argv[1]) < MOST ? atoi(argv[1]) : 8;
        pthread_t thread[MOST];
        long all = 0;
        char byte;
        for (int i = 0; i < threads; i++)
                if (pthread_create(&thread[i], NULL, work, &calls[i]) != 0)
                        return 1;
        while (read(0, &byte, 1) > 0) {
                let_all_call_twice(threads);
                puts("on");
                fflush(stdout);
        }
        __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
        for (int i = 0; i < threads; i++) {
                pthread_join(thread[i], NULL);
                all += calls[i];
        }
        printf("%ld\n", all);
        return 0;
}
