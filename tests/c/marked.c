/*
 * marked.c: threads that write records which tell on themselves, until killed: the content of each write is the number
 * of its thread and its own number, over and over, in lengths from 8 to 480 bytes. Argument: threads.
 * lint-flags: -pthread */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static int null;

static void *
loop(void *number)
{
        uint32_t words[120];
        for (uint32_t i = 0;; i++) {
                const unsigned pairs = 1 + i % 60;
                for (unsigned w = 0; w < 2 * pairs; w += 2) {
                        words[w] = (uint32_t)(uintptr_t)number;
                        words[w + 1] = i;
                }
                (void)!write(null, words, 8 * pairs);
        }
        return NULL;
}

int
main(int argc, char **argv)
{
        const int threads = argc > 1 ? atoi(argv[1]) : 1;
        null = open("/dev/null", O_WRONLY);
        for (intptr_t i = 1; i < threads; i++) {
                pthread_t thread;
                pthread_create(&thread, NULL, loop, (void *)i);
        }
        loop(NULL);
        return 0;
}
