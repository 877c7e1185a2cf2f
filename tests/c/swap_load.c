/* THREADS threads that call rand without end, until standard input closes; then how often each did. */
/* lint-flags: -pthread */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int over;

static void *
work(void *count)
{
        long *calls = count;
        while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
                (void)rand();
                ++*calls;
                usleep(2000);
        }
        return NULL;
}

int
main(int argc, char **argv)
{
        const int threads = argc > 1 ? atoi(argv[1]) : 8;
        pthread_t thread[64];
        long calls[64] = {0}, all = 0;
        char byte;
        for (int i = 0; i < threads && i < 64; i++)
                if (pthread_create(&thread[i], NULL, work, &calls[i]) != 0)
                        return 1;
        puts("ready");
        fflush(stdout);
        while (read(0, &byte, 1) > 0)
                ;
        __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
        for (int i = 0; i < threads && i < 64; i++) {
                pthread_join(thread[i], NULL);
                all += calls[i];
        }
        printf("%ld\n", all);
        return 0;
}
