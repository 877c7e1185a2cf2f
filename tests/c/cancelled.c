/*
 * cancelled.c: threads are cancelled inside a wrapped read and inside a wrapped write that never return; between them
 * others come and go. Prints how many were cancelled. lint-flags: -pthread */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int ends[2];
static sem_t begun;

static void *
reader(void *asynchronous)
{
        char byte;
        if (asynchronous != NULL)
                pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
        sem_post(&begun);
        for (;;)
                (void)!read(ends[0], &byte, 1);
        return NULL;
}

static void *
worker(void *unused)
{
        for (int i = 0; i < 10; i++)
                (void)getppid();
        return unused;
}

int
main(int argc, char **argv)
{
        const int wanted = argc > 1 ? atoi(argv[1]) : 100;
        int cancelled = 0;
        (void)!pipe(ends);
        sem_init(&begun, 0, 0);
        for (int i = 0; i < wanted; i++) {
                pthread_t thread, other;
                void *result;
                pthread_create(&thread, NULL, reader, i % 2 ? &begun : NULL);
                pthread_create(&other, NULL, worker, NULL);
                sem_wait(&begun);
                pthread_cancel(thread);
                pthread_join(thread, &result);
                pthread_join(other, NULL);
                cancelled += result == PTHREAD_CANCELED;
        }
        printf("%d\n", cancelled);
        return 0;
}
