/*
 * ends.c: R9. Wrapped calls before main and after it, from every place that runs then. The argument of getpgid tells the
 * place. lint-flags: -pthread */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_key_t key;

__attribute__((constructor)) static void
begin(void)
{
        (void)getpgid(1);
}

static void
preinit(void)
{
        (void)getpgid(2);
}

__attribute__((section(".preinit_array"), used)) static void (*const preinits[])(void) = {preinit};

static void
at_exit(void)
{
        (void)getpgid(3);
}

static void
on_exit_(int status, void *unused)
{
        (void)status;
        (void)unused;
        (void)getpgid(4);
}

__attribute__((destructor)) static void
end(void)
{
        (void)getpgid(5);
}

/* Sets its key again, so that it runs in each of the rounds that there are. */
static void
key_destroyed(void *value)
{
        (void)getpgid(6);
        if (value != (void *)4)
                pthread_setspecific(key, (char *)value + 1);
}

static void *
thread(void *unused)
{
        pthread_setspecific(key, (void *)1);
        (void)getpgid(7);
        return unused;
}

static void
quick(void)
{
        (void)getpgid(8);
}

int
main(int argc, char **argv)
{
        (void)argv;
        pthread_t other;
        pthread_key_create(&key, key_destroyed);
        atexit(at_exit);
        on_exit(on_exit_, NULL);
        at_quick_exit(quick);
        pthread_create(&other, NULL, thread, NULL);
        pthread_join(other, NULL);
        if (argc > 1)
                quick_exit(0);
        return 0;
}
