/*
 * torture_busy.c: never ends: four threads that call `work` and make system calls, and one that forks children which do
 * the same and end. Says "ready" first. To be killed, attached to and left at random moments.
 * lint-flags: -pthread */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile long sum;

__attribute__((noinline, noclone)) long
work(long number, int level)
{
        return level ? work(number, level - 1) + 1 : number;
}

static void
some(long number)
{
        sum += work(number, 2);
        (void)syscall(SYS_getppid);
        free(malloc((size_t)(number & 1023)));
}

static void *
busy(void *unused)
{
        for (long i = 0;; i++)
                some(i);
        return unused;
}

static void *
forking(void *unused)
{
        for (;;) {
                const pid_t child = fork();
                if (child == 0) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        for (int i = 0; i < 50; i++)
                                some(i);
                        _exit(0);
                }
                waitpid(child, NULL, 0);
        }
        return unused;
}

int
main(int argc, char **argv)
{
        pthread_t thread;
        (void)argv;
        for (int i = 0; i < 3; i++)
                if (pthread_create(&thread, NULL, busy, NULL) != 0)
                        return 1;
        if (argc < 2 && pthread_create(&thread, NULL, forking, NULL) != 0)
                return 1;
        puts("ready");
        fflush(stdout);
        busy(NULL);
}
