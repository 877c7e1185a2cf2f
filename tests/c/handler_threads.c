/* handler_threads.c: four threads call rand 2000 times each. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *
work(void *arg)
{
        for (int i = 0; i < 2000; i++)
                rand();
        getppid();
        return arg;
}

int
main(void)
{
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
                pthread_create(&threads[i], NULL, work, NULL);
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        return 0;
}
