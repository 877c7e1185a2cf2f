/*
 * burst.c: nanoseconds per call of abs(), in bursts with pauses, so that no ring is ever full.
 *
 *     burst CALLS BURSTS PAUSE_US        prints the median burst's ns per call
 *
 * Compiled with -fno-builtin: every abs() is a call through the PLT.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double
now(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
        const double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
        const long calls = argc > 1 ? atol(argv[1]) : 4000;
        const int bursts = argc > 2 ? atoi(argv[2]) : 200;
        const long pause = argc > 3 ? atol(argv[3]) : 2000;
        double *burst = malloc(sizeof *burst * (size_t)bursts);
        volatile int sink = 0;
        for (int b = 0; b < bursts; b++) {
                const struct timespec rest = {0, pause * 1000};
                nanosleep(&rest, NULL);
                for (int warm = 0; warm < 64; warm++)
                        sink += abs(warm);
                const double start = now();
                for (long i = 0; i < calls; i++)
                        sink += abs((int)i);
                burst[b] = (now() - start) / (double)calls;
        }
        qsort(burst, (size_t)bursts, sizeof *burst, by_value);
        printf("%.3f\n", burst[bursts / 2]);
        return 0;
}
