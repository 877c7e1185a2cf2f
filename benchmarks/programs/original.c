/*
 * original.c: the workload by which the original wc-intercept was measured: rounds of malloc, memset, two fopen, fgets,
 * fwrite, two fclose, free. Prints milliseconds. -fno-builtin keeps memset a call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int
main(int argc, char **argv)
{
        const int rounds = argc > 1 ? atoi(argv[1]) : 100000;
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int i = 0; i < rounds; i++) {
                char *buffer = malloc(256);
                memset(buffer, '\n', 256);
                FILE *input = fopen("read.txt", "r");
                FILE *output = fopen("write.txt", "a");
                if (fgets(buffer, 256, input) == NULL)
                        return 1;
                fwrite(buffer, 1, 256, output);
                fclose(input);
                fclose(output);
                free(buffer);
        }
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%.3f\n", (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6);
        return 0;
}
