/*
 * THREADS threads call abs, labs and ffs with the number of the call, 1 2 3 ...: each at least LEAST times, and until standard
 * input closes. Every 100 rounds they sleep for a millisecond, so that what happens meanwhile happens between calls.
 */
/* lint-flags: -pthread */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

static atomic_bool enough;
static long least;

static void *
call(void *unused)
{
        volatile long sum = 0;
        for (long i = 1; i <= least || !enough; i++) {
                sum += abs((int)i) + labs(i) + ffs((int)i);
                if (i % 100 == 0)
                        usleep(1000);
        }
        return unused;
}

int
main(int count, char **words)
{
        pthread_t thread[64];
        const int threads = count > 1 ? atoi(words[1]) : 1;
        char byte;
        least = count > 2 ? atol(words[2]) : 1;
        for (int i = 0; i < threads; i++)
                pthread_create(&thread[i], NULL, call, NULL);
        while (read(0, &byte, 1) > 0)
                ;
        enough = true;
        for (int i = 0; i < threads; i++)
                pthread_join(thread[i], NULL);
        return 0;
}
