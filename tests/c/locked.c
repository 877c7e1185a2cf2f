/*
 * locked.c: locks its memory as real-time programs do, as an ordinary user with the usual limit, then makes threads and
 * calls wrapped functions. Prints what mlockall returned. lint-flags: -pthread */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static void *
thread(void *unused)
{
        for (int i = 0; i < 100; i++)
                (void)getppid();
        return unused;
}

int
main(void)
{
        const struct rlimit limit = {8 << 20, 8 << 20};
        setrlimit(RLIMIT_MEMLOCK, &limit);
        if (setuid(65534) != 0)
                return 77;
        const int result = mlockall(MCL_CURRENT | MCL_FUTURE);
        printf("%d %d\n", result, result < 0 ? errno : 0);
        pthread_t other;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        if (pthread_create(&other, &small, thread, NULL) != 0)
                return 1;
        pthread_join(other, NULL);
        thread(NULL);
        return 0;
}
