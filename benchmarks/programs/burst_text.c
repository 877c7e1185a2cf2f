/*
 * burst_text.c: nanoseconds per call of getenv("X") or strlen("X"), in bursts with pauses, so that no ring is ever full.
 *
 *     burst_text CALLS BURSTS PAUSE_US getenv|strlen        prints the median burst's ns per call
 *
 * Compiled with -fno-builtin: each is a call through the PLT.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static volatile long sink;

static void
look_up(int i)
{
        (void)i;
        sink += getenv("X") != NULL;
}

static void
measure(int i)
{
        (void)i;
        sink += (long)strlen("X");
}

int
main(int argc, char **argv)
{
        const long calls = argc > 1 ? atol(argv[1]) : 4000;
        const int bursts = argc > 2 ? atoi(argv[2]) : 200;
        const long pause = argc > 3 ? atol(argv[3]) : 2000;
        double *burst = malloc(sizeof *burst * (size_t)bursts);
        void (*const call)(int) = argc > 4 && strcmp(argv[4], "strlen") == 0 ? measure : look_up;
        for (int b = 0; b < bursts; b++) {
                const struct timespec rest = {0, pause * 1000};
                nanosleep(&rest, NULL);
                for (int warm = 0; warm < 64; warm++)
                        call(warm);
                const double start = now();
                for (long i = 0; i < calls; i++)
                        call((int)i);
                burst[b] = (now() - start) / (double)calls;
        }
        qsort(burst, (size_t)bursts, sizeof *burst, by_value);
        printf("%.3f\n", burst[bursts / 2]);
        return 0;
}
