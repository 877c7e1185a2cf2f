/*
 * Rounds of calls, one for each byte of standard input, by the first thread, THREADS others and a forked child: COUNT times rand,
 * strlen, own and getppid. All of them are there, and waiting, when the first round begins.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 3

static pthread_barrier_t begin, end;
static long count;
static volatile long sum;
static const char *volatile text = "seven..";

__attribute__((noinline)) long
own(long n)
{
        __asm__ volatile("");
        return n + 1;
}

static void
calls(void)
{
        for (long i = 0; i < count; i++)
                sum += rand() % 7 + (long)strlen(text) + own(i) + (getppid() != 0);
}

static void *
worker(void *unused)
{
        (void)unused;
        for (;;) {
                pthread_barrier_wait(&begin);
                calls();
                pthread_barrier_wait(&end);
        }
        return NULL;
}

static void
child(int from, int to)
{
        char order;
        while (read(from, &order, 1) == 1) {
                calls();
                if (write(to, "d", 1) != 1)
                        break;
        }
        _exit(0);
}

int
main(int argc, char **argv)
{
        int there[2], back[2];
        char order;
        pthread_t thread;
        count = argc > 1 ? atol(argv[1]) : 1000;
        if (pipe(there) != 0 || pipe(back) != 0)
                return 2;
        const pid_t pid = fork();
        if (pid == 0) {
                close(there[1]);
                child(there[0], back[1]);
        }
        pthread_barrier_init(&begin, NULL, THREADS + 1);
        pthread_barrier_init(&end, NULL, THREADS + 1);
        for (int i = 0; i < THREADS; i++)
                if (pthread_create(&thread, NULL, worker, NULL) != 0)
                        return 2;
        while (read(0, &order, 1) == 1) {
                pthread_barrier_wait(&begin);
                calls();
                pthread_barrier_wait(&end);
                if (write(there[1], ".", 1) != 1 || read(back[0], &order, 1) != 1 || write(1, "done\n", 5) != 5)
                        return 1;
        }
        close(there[1]);
        return waitpid(pid, NULL, 0) == pid ? 0 : 1;
}
