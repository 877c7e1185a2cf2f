/*
 * asking.c: how long a call takes: of close(-1), which does nothing, or with a second argument of access(), which has a path.
 * Prints the median in ns. Run by benchmarks/decide.py.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t
now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int
by_size(const void *a, const void *b)
{
        const uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
        return (first > second) - (first < second);
}

int
main(int argc, char **argv)
{
        const int rounds = argc > 1 ? atoi(argv[1]) : 10000;
        uint64_t *took = calloc((size_t)rounds, sizeof *took);
        if (took == NULL)
                return 1;
        for (int i = 0; i < rounds; i++) {
                const uint64_t start = now();
                if (argc > 2)
                        (void)!access("/etc/passwd", R_OK);
                else
                        close(-1);
                took[i] = now() - start;
        }
        qsort(took, (size_t)rounds, sizeof *took, by_size);
        printf("%llu\n", (unsigned long long)took[rounds / 2]);
        return 0;
}
