/*
 * traced.c: nanoseconds per call of what a tracer may stop at.
 *
 *     traced syscall|other|read|function CALLS       getppid, getuid, read of a byte, abs; prints ns per call
 *
 * Compiled with -fno-builtin: abs is a call. Warms up first, so that lazy binding and a tracer's first hit are not in it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile long sink;
static int zero;

static void
call(char kind, long number)
{
        if (kind == 's')
                sink += syscall(SYS_getppid);
        else if (kind == 'o')
                sink += syscall(SYS_getuid);
        else if (kind == 'r')
                sink += read(zero, &(char){0}, 1);
        else
                sink += abs((int)number);
}

int
main(int argc, char **argv)
{
        const char kind = argc > 1 ? argv[1][0] : 's';
        const long calls = argc > 2 ? atol(argv[2]) : 100000;
        struct timespec a, b;
        zero = open("/dev/zero", O_RDONLY);
        for (long i = 0; i < 100; i++)
                call(kind, i);
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (long i = 0; i < calls; i++)
                call(kind, i);
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%.3f\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / (double)calls);
        return 0;
}
