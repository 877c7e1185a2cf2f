/* Calls of labs by THREADS threads, SECONDS long; then sleeps: usleep(1) and usleep(20000) in turn, SLEEPS of each. */
/* lint-flags: -pthread */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double seconds;

static double
now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *
call(void *unused)
{
        const double end = now() + seconds;
        volatile long sum = 0;
        do
                for (long i = 0; i < 100; i++)
                        sum += labs(-i);
        while (now() < end);
        return unused;
}

int
main(int count, char **words)
{
        pthread_t thread[64];
        const int threads = count > 1 ? atoi(words[1]) : 1;
        seconds = count > 2 ? atof(words[2]) : 0;
        for (int i = 0; i < threads; i++)
                pthread_create(&thread[i], NULL, call, NULL);
        for (int i = 0; i < threads; i++)
                pthread_join(thread[i], NULL);
        for (int i = count > 3 ? atoi(words[3]) : 0; i > 0; i--) {
                usleep(1);
                usleep(20000);
        }
        return 0;
}
