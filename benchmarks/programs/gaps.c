/* How long does a program stand still? One thread reads the clock all the time, and others sleep; each line that is read
 * has the longest time between two readings since the one before printed, in ns. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SLEEPERS 8

static uint64_t longest;

static uint64_t
now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void *
watch(void *unused)
{
        (void)unused;
        uint64_t last = now();
        for (;;) {
                const uint64_t this = now();
                if (this - last > __atomic_load_n(&longest, __ATOMIC_RELAXED))
                        __atomic_store_n(&longest, this - last, __ATOMIC_RELAXED);
                last = this;
        }
        return NULL;
}

static void *
sleeper(void *unused)
{
        (void)unused;
        for (;;)
                sleep(1000);
        return NULL;
}

int
main(void)
{
        pthread_t thread;
        char line[64];
        pthread_create(&thread, NULL, watch, NULL);
        for (int i = 0; i < SLEEPERS; i++)
                pthread_create(&thread, NULL, sleeper, NULL);
        while (fgets(line, sizeof line, stdin) != NULL) {
                printf("%lu\n", (unsigned long)__atomic_exchange_n(&longest, 0, __ATOMIC_RELAXED));
                fflush(stdout);
        }
        return 0;
}
