/* tight.c: CALLS calls of abs() without a pause; prints ns per call. The producer of the throughput benchmarks. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int
main(int argc, char **argv)
{
        const long calls = argc > 1 ? atol(argv[1]) : 10000000;
        volatile int sink = 0;
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (long i = 0; i < calls; i++)
                sink += abs((int)i);
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%.3f\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / (double)calls);
        return 0;
}
