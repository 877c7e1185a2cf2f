/*
 * loops.c: calls getppid CALLS times in each of THREADS threads, one after another in ROUNDS rounds, and writes to
 * /dev/null once every 16 calls. Prints the number of getppid calls made. lint-flags: -pthread */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long calls;
static int null;
static pthread_barrier_t barrier;

/* The content of each write is its own number, and the thread's, over and over. */
static void *
loop(void *number)
{
        pthread_barrier_wait(&barrier);
        for (long i = 0; i < calls; i++) {
                (void)getppid();
                if (i % 16 == 0) {
                        uint32_t words[32];
                        for (int w = 0; w < 32; w += 2) {
                                words[w] = (uint32_t)(uintptr_t)number;
                                words[w + 1] = (uint32_t)i;
                        }
                        (void)!write(null, words, sizeof words);
                }
        }
        pthread_barrier_wait(&barrier); /* all have been alive at once */
        return NULL;
}

int
main(int argc, char **argv)
{
        calls = argc > 1 ? atol(argv[1]) : 1000;
        const int threads = argc > 2 ? atoi(argv[2]) : 1;
        const int rounds = argc > 3 ? atoi(argv[3]) : 1;
        pthread_t ids[1024];
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        null = open("/dev/null", O_WRONLY);
        for (int round = 0; round < rounds; round++) {
                pthread_barrier_init(&barrier, NULL, (unsigned)threads);
                for (intptr_t i = 0; i < threads; i++)
                        if (pthread_create(&ids[i], &small, loop, (void *)i) != 0)
                                abort();
                for (int i = 0; i < threads; i++)
                        pthread_join(ids[i], NULL);
                pthread_barrier_destroy(&barrier);
        }
        printf("%ld\n", calls * threads * rounds);
        return 0;
}
