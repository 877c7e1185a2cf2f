/*
 * One thread calls rand every few hundred nanoseconds until standard input closes. Before that the other one switches the
 * session's first target on ROUNDS times, each time when the first one is seen to run, and prints when that was.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <wc_abi.h>

static volatile uint64_t last, calls;
static volatile int between = 100; /* calls: so many turns of a loop */

static uint64_t
now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_REALTIME, &time);
        return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void *
call(void *unused)
{
        for (;;) {
                last = now();
                rand();
                calls++;
                for (volatile int pause = 0; pause < between; pause++)
                        ;
        }
        return unused;
}

static void
store(volatile uint64_t *word, uint64_t on)
{
        const uint64_t generation = (WCI_WORD_GENERATION(*word) + 1) & 0xffff;
        *word = 1ull << 32 | generation << 16 | on;
}

int
main(int count, char **words)
{
        char path[4096], byte;
        pthread_t caller;
        snprintf(path, sizeof path, "%s/control", getenv("WC_SESSION"));
        void *map = mmap(NULL, 2 * WCI_CONTROL_WORDS, PROT_READ | PROT_WRITE, MAP_SHARED, open(path, O_RDWR), 0);
        volatile uint64_t *word = (volatile uint64_t *)(void *)((char *)map + WCI_CONTROL_WORDS);
        store(word, 0);
        pthread_create(&caller, NULL, call, NULL);
        for (int i = count > 1 ? atoi(words[1]) : 0; i > 0; i--) {
                usleep(100);
                while (now() - last > 500)
                        ;
                printf("%lu\n", (unsigned long)now());
                store(word, 1);
                for (const uint64_t until = calls + 3; calls < until;)
                        ;
                store(word, 0);
        }
        between = 20000; /* what comes now is measured in milliseconds */
        printf("end\n");
        fflush(stdout);
        while (read(0, &byte, 1) > 0)
                ;
        _exit(0);
}
