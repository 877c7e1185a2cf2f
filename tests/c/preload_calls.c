/* preload_calls.c: calls what preload_library.c stands in front of, and prints what came back. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((weak)) int nowhere(int x);
__attribute__((weak)) char *nowhere_pointer(const char *text);

static void *
work(void *arg)
{
        for (int i = 0; i < 1000; i++)
                *(int *)arg += rand() == 1;
        return NULL;
}

int
main(void)
{
        pthread_t threads[4];
        int counts[4] = {0}, sum = 0;
        for (int i = 0; i < 4; i++)
                pthread_create(&threads[i], NULL, work, &counts[i]);
        for (int i = 0; i < 4; i++) {
                pthread_join(threads[i], NULL);
                sum += counts[i];
        }
        printf("times is %d\n", abs(-5));
        printf("rand is %d\n", rand());
        FILE *file = fopen("/dev/null", "r");
        if (file != NULL)
                fclose(file);
        errno = EDOM;
        const int kept = getppid() != 0 && errno == EDOM;
        printf("errno is kept: %d\n", kept);
        for (int i = 0; nowhere != NULL && i < 2; i++) {
                const int result = nowhere(1);
                if (i == 0)
                        printf("nowhere: %d %s\n", result, strerror(errno));
                const int null = nowhere_pointer("x") == NULL;
                if (i == 0)
                        printf("nowhere pointer: %d %s\n", null, strerror(errno));
        }
        printf("threads: %d\n", sum);
        return 0;
}
