/*
 * torture_execs.c: replaces itself COUNT times, from a thread that is not the first, while three others are busy; each
 * image calls `work` once in its first thread. Prints the process id of the first and that of the last image.
 * lint-flags: -pthread */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static char **words;

__attribute__((noinline, noclone)) int
work(int number)
{
        return number - 1;
}

static void *
busy(void *unused)
{
        for (;;)
                (void)syscall(SYS_getppid);
        return unused;
}

static void *
replace(void *unused)
{
        execv("/proc/self/exe", words);
        abort();
        return unused;
}

int
main(int argc, char **argv)
{
        char left[16], first[16];
        pthread_t thread;
        snprintf(left, sizeof left, "%d", work(argc > 1 ? atoi(argv[1]) : 10));
        snprintf(first, sizeof first, "%s", argc > 2 ? argv[2] : "");
        if (argc <= 2)
                snprintf(first, sizeof first, "%d", getpid());
        if (atoi(left) < 0) {
                printf("%s %d\n", first, getpid());
                return 0;
        }
        words = (char *[]){argv[0], left, first, NULL};
        for (int i = 0; i < 3; i++)
                if (pthread_create(&thread, NULL, busy, NULL) != 0)
                        return 1;
        if (pthread_create(&thread, NULL, replace, NULL) != 0)
                return 1;
        for (;;)
                pause();
}
